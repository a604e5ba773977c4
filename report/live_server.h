#pragma once

#include <functional>
#include <memory>
#include <string>

#include "report/listen_address.h"
#include "report/page_data.h"
#include "report/run_recorder.h"

namespace penstock {

// Shows a run that goes on: the page at /, and what has come since at /data, from threads of its
// own. On a loopback address it answers only those who call it by a number or by localhost, so that
// no page of another site can read from it.
class LiveServer {
 public:
  // What a reader who has come to the position has not seen yet. Called by any thread.
  using PageSource = std::function<PageData(const RunRecorder::Position&)>;

  // Takes the address and does not answer yet. Throws std::runtime_error where it cannot be had,
  // because the port is in use for example.
  LiveServer(const ListenAddress& address, PageSource source);
  // Stops.
  ~LiveServer();
  LiveServer(const LiveServer&) = delete;
  LiveServer& operator=(const LiveServer&) = delete;

  void start();
  // "http://127.0.0.1:8080/"
  const std::string& url() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace penstock
