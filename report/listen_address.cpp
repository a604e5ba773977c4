#include "report/listen_address.h"

#include <charconv>
#include <stdexcept>
#include <string_view>

namespace penstock {
namespace {

constexpr int kMaxPort = 65535;

[[noreturn]] void throw_error(const std::string& text) {
  throw std::invalid_argument("got '" + text +
                              "', expected PORT or ADDRESS:PORT, such as 127.0.0.1:8080");
}

int parse_port(std::string_view digits, const std::string& text) {
  int port = -1;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size() || port < 0 ||
      port > kMaxPort) {
    throw_error(text);
  }
  return port;
}

}  // namespace

bool ListenAddress::is_loopback() const {
  return host == "localhost" || host == "::1" || host.compare(0, 4, "127.") == 0;
}

ListenAddress parse_listen_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) {
    return {"127.0.0.1", parse_port(text, text)};
  }
  std::string host = text.substr(0, colon);
  const int port = parse_port(std::string_view(text).substr(colon + 1), text);
  const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (has_brackets) {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty() || (!has_brackets && host.find(':') != std::string::npos)) {
    throw_error(text);
  }
  return {host, port};
}

std::string to_string(const ListenAddress& address) {
  const bool has_colon = address.host.find(':') != std::string::npos;
  return (has_colon ? '[' + address.host + ']' : address.host) + ':' + std::to_string(address.port);
}

}  // namespace penstock
