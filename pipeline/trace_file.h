#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "pipeline/atomic_file.h"
#include "pipeline/span.h"

namespace penstock {

// Writes the spans of a run as a time line for ui.perfetto.dev, as the run goes on: a process for
// the threads of this process and one for each device, a row for each thread and stream. The
// pipeline's threads are called "worker N" in the order of their first span. Holds no more than a
// write buffer; whatever comes after the first `max_events` spans is counted only.
//
// Format: "JSON Object Format" of the Trace Event Format,
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
class TraceFile final : public SpanListener {
 public:
  // 150 to 200 MB.
  static constexpr std::int64_t kMaxEvents = 2'000'000;

  // Throws FileError. Time 0 of the trace is now.
  explicit TraceFile(std::string path, std::int64_t max_events = kMaxEvents);

  // A failure to write is told by finish().
  void add(const Span& span) noexcept override;

  // Publishes the file; spans that come later are ignored. Any thread, once. Throws FileError.
  void finish();

  // Spans that were left out so far.
  std::int64_t num_dropped() const;

 private:
  struct Process {
    int id = 0;
    std::map<std::int64_t, int> tracks;  // track of a span -> id
  };

  void write_event(const Span& span);
  Process& process_of(std::string_view device);
  int track_of(Process& process, const Span& span);
  std::string new_track_name(const Span& span);
  void write_name(std::string_view kind, int process, int track, std::string_view name);
  const std::string& quoted(std::string_view text);
  void begin_line();

  const std::int64_t max_events_;
  const std::int64_t origin_ns_;

  mutable std::mutex mutex_;
  // Protected by mutex_.
  AtomicFile file_;
  std::map<std::string, Process, std::less<>> processes_;   // by device
  std::map<std::string, std::string, std::less<>> quoted_;  // names in JSON; there are few
  std::string line_;
  const char* separator_ = "";
  int num_ids_ = 0;  // of processes and tracks together, so that no track has a process' id
  int num_workers_ = 0;
  std::int64_t num_events_ = 0;
  std::int64_t num_dropped_ = 0;
  std::exception_ptr error_;
  bool finished_ = false;
};

}  // namespace penstock
