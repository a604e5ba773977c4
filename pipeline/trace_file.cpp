#include "pipeline/trace_file.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace penstock {
namespace {

// In microseconds with three decimals.
void append_microseconds(std::string& text, std::int64_t nanoseconds) {
  if (nanoseconds < 0) {
    text += '-';
    nanoseconds = -nanoseconds;
  }
  const std::string fraction = std::to_string(1000 + nanoseconds % 1000);
  text += std::to_string(nanoseconds / 1000);
  text += '.';
  text.append(fraction, 1);
}

}  // namespace

TraceFile::TraceFile(std::string path, std::int64_t max_events)
    : max_events_(max_events), origin_ns_(now_ns()), file_(std::move(path)) {
  file_.write("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
  process_of("");
}

void TraceFile::add(const Span& span) noexcept {
  const std::lock_guard lock(mutex_);
  if (finished_ || error_) {
    return;
  }
  if (num_events_ == max_events_) {
    ++num_dropped_;
    return;
  }
  try {
    write_event(span);
    ++num_events_;
  } catch (...) {
    error_ = std::current_exception();
  }
}

void TraceFile::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  if (error_) {
    std::rethrow_exception(error_);
  }
  file_.write("\n],\"otherData\":{\"dropped_events\":" + std::to_string(num_dropped_) + "}}\n");
  file_.commit();
}

std::int64_t TraceFile::num_dropped() const {
  const std::lock_guard lock(mutex_);
  return num_dropped_;
}

void TraceFile::write_event(const Span& span) {
  Process& process = process_of(span.device);
  const int track = track_of(process, span);
  begin_line();
  line_ += "{\"ph\":\"X\",\"name\":";
  line_ += quoted(span.name);
  line_ += ",\"pid\":";
  line_ += std::to_string(process.id);
  line_ += ",\"tid\":";
  line_ += std::to_string(track);
  line_ += ",\"ts\":";
  append_microseconds(line_, span.begin_ns - origin_ns_);
  line_ += ",\"dur\":";
  append_microseconds(line_, span.end_ns - span.begin_ns);
  line_ += '}';
  file_.write(line_);
}

TraceFile::Process& TraceFile::process_of(std::string_view device) {
  const auto found = processes_.find(device);
  if (found != processes_.end()) {
    return found->second;
  }
  Process& process = processes_[std::string(device)];
  process.id = ++num_ids_;
  write_name("process_name", process.id, process.id, device.empty() ? "penstock" : device);
  return process;
}

int TraceFile::track_of(Process& process, const Span& span) {
  const auto found = process.tracks.find(span.track);
  if (found != process.tracks.end()) {
    return found->second;
  }
  const int id = process.tracks[span.track] = ++num_ids_;
  write_name("thread_name", process.id, id, new_track_name(span));
  return id;
}

std::string TraceFile::new_track_name(const Span& span) {
  return span.track_name.empty() ? "worker " + std::to_string(num_workers_++)
                                 : std::string(span.track_name);
}

void TraceFile::write_name(std::string_view kind, int process, int track, std::string_view name) {
  begin_line();
  line_ += "{\"ph\":\"M\",\"name\":\"";
  line_ += kind;
  line_ += "\",\"pid\":" + std::to_string(process) + ",\"tid\":" + std::to_string(track) +
           ",\"args\":{\"name\":" + quoted(name) + "}}";
  file_.write(line_);
}

const std::string& TraceFile::quoted(std::string_view text) {
  const auto found = quoted_.find(text);
  if (found != quoted_.end()) {
    return found->second;
  }
  using Json = nlohmann::json;
  return quoted_[std::string(text)] =
             Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Of the list of events, which has one a line.
void TraceFile::begin_line() {
  line_ = std::exchange(separator_, ",\n");
}

}  // namespace penstock
