#pragma once

#include <string>

namespace penstock {

// Where a server listens.
struct ListenAddress {
  std::string host = "127.0.0.1";  // name or number, without brackets
  int port = 0;                    // 0: any that is free

  bool is_loopback() const;
};

// "PORT", "HOST:PORT" or "[HOST]:PORT". Throws std::invalid_argument.
ListenAddress parse_listen_address(const std::string& text);

// "127.0.0.1:8080", "[::1]:8080"
std::string to_string(const ListenAddress& address);

}  // namespace penstock
