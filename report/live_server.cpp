#include "report/live_server.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include <httplib.h>
#include <sys/socket.h>

#include "pipeline/errors.h"
#include "report/report_page.h"

namespace penstock {
namespace {

constexpr int kThreads = 4;
constexpr int kTimeoutSeconds = 1;  // for a client that neither sends nor reads

// The library would let two processes listen on one port.
void set_socket_options(socket_t socket) {
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

// Of a Host header: whether it is a number or localhost.
bool is_plain_host(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos &&
                        host.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
  const std::string_view name = has_port ? host.substr(0, colon) : host;
  return name == "localhost" ||
         name.find_first_not_of("0123456789abcdefABCDEF.:[]") == std::string_view::npos;
}

// A position that is not given is 0; so is one that is no number.
std::size_t parameter(const httplib::Request& request, const char* name) {
  const std::string text = request.get_param_value(name);
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

class LiveServer::Implementation {
 public:
  Implementation(ListenAddress address, PageSource source)
      : address_(std::move(address)), source_(std::move(source)) {
    server_.new_task_queue = [] {
      return std::make_unique<httplib::ThreadPool>(kThreads).release();
    };
    server_.set_socket_options(set_socket_options);
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(kTimeoutSeconds);
    server_.set_write_timeout(kTimeoutSeconds);
    add_handlers();
    bind();
  }

  ~Implementation() {
    if (thread_.joinable()) {
      server_.stop();
      thread_.join();
    }
  }

  void start() {
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) {
      std::this_thread::yield();  // until then a stop would be forgotten
    }
  }

  const std::string& url() const { return url_; }

 private:
  void bind() {
    errno = 0;
    bool is_bound = false;
    if (address_.port == 0) {
      address_.port = server_.bind_to_any_port(address_.host);
      is_bound = address_.port > 0;
    } else {
      is_bound = server_.bind_to_port(address_.host, address_.port);
    }
    if (!is_bound) {
      throw std::runtime_error(
          "cannot listen on " + to_string(address_) + ": " +
          (errno != 0 ? error_text(errno) : std::string("this is no address of this machine")));
    }
    url_ = "http://" + to_string(address_) + '/';
  }

  void add_handlers() {
    server_.set_default_headers({{"Cache-Control", "no-store"},
                                 {"X-Content-Type-Options", "nosniff"},
                                 {"Referrer-Policy", "no-referrer"}});
    server_.set_pre_routing_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          if (!address_.is_loopback() || is_plain_host(request.get_header_value("Host"))) {
            return httplib::Server::HandlerResponse::Unhandled;
          }
          response.status = 403;
          response.set_content("Call this server by its number or as localhost.\n", "text/plain");
          return httplib::Server::HandlerResponse::Handled;
        });
    server_.Get("/", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(report_page(source_({})), "text/html; charset=utf-8");
    });
    server_.Get("/data", [this](const httplib::Request& request, httplib::Response& response) {
      const RunRecorder::Position position{parameter(request, "metrics"),
                                           parameter(request, "occupancy"),
                                           parameter(request, "samples")};
      response.set_content(page_json(source_(position)), "application/json");
    });
  }

  ListenAddress address_;
  const PageSource source_;
  std::string url_;
  httplib::Server server_;
  std::thread thread_;
};

LiveServer::LiveServer(const ListenAddress& address, PageSource source)
    : implementation_(std::make_unique<Implementation>(address, std::move(source))) {}

LiveServer::~LiveServer() = default;

void LiveServer::start() {
  implementation_->start();
}

const std::string& LiveServer::url() const {
  return implementation_->url();
}

}  // namespace penstock
