#include "apps/summary_text.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <variant>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "apps/number_text.h"

namespace penstock {
namespace {

std::string headline(const RunReport& report) {
  const std::string time = duration(report.summary.wall_seconds);
  switch (report.status) {
    case RunStatus::kFinished:
      return "Finished in " + time + ": the whole input was read.";
    case RunStatus::kStopped:
      return "Stopped after " + time + ", before the end of the input; the output is not complete.";
    case RunStatus::kFailed:
      return "Failed after " + time + "; the output is not complete.";
  }
  return {};
}

std::string row(std::string_view name, std::string_view text) {
  return fmt::format("  {:<10} {}\n", name, text);
}

std::string input_row(const RunSummary& summary) {
  std::string bytes = data_size(summary.input_bytes);
  if (summary.total_input_bytes) {
    bytes += " of " + data_size(*summary.total_input_bytes);
  }
  return row("input", bytes + " as stored, " + counted(summary.records, "record"));
}

std::string documents_row(const RunSummary& summary) {
  const std::string rejects = counted(summary.rejects, "record") + " rejected";
  if (summary.documents > 0) {
    return row("documents",
               fmt::format("{} with {} of text{}; {}",
                           grouped(summary.documents),
                           data_size(summary.text_bytes),
                           summary.resumed ? " in this run" : "",
                           rejects));
  }
  return row("documents",
             summary.records == 0 ? "no documents: the input held no records"
                                  : "no documents came out of the records; " + rejects);
}

// Packed, but some sink was not finished with their batch when the run was stopped or failed.
std::int64_t undelivered_tokens(const RunSummary& summary) {
  return summary.tokens.out - summary.delivered_tokens;
}

std::string tokens_row(const RunSummary& summary) {
  const TokenAccount& tokens = summary.tokens;
  std::string text = grouped(tokens.in) + ": " + grouped(tokens.out) + " packed";
  if (const std::int64_t undelivered = undelivered_tokens(summary); undelivered > 0) {
    text += fmt::format(" ({} of them not delivered)", grouped(undelivered));
  }
  text += ", " + grouped(tokens.dropped) + " dropped";
  // Until the run is over, the rest waits for its batch to fill.
  if (const std::int64_t waiting = tokens.in - tokens.out - tokens.dropped; waiting > 0) {
    text += fmt::format(", {} not packed yet", grouped(waiting));
  }
  return row("tokens", text);
}

std::string batches_row(const RunSummary& summary) {
  return row("batches",
             fmt::format("{}; {} cells are padding, {} repeat the last token of the row before",
                         grouped(summary.batches),
                         grouped(summary.tokens.padded),
                         grouped(summary.tokens.repeated)));
}

// Where the run goes on; the rows after it count what was there before as well.
std::string resumed_row(const RunSummary& summary) {
  if (!summary.resumed) {
    return {};
  }
  const StreamPosition& from = *summary.resumed;
  return row("resumed",
             fmt::format("with batch {}; before: {}, {}; they are counted below, but not in speed",
                         grouped(from.next_batch),
                         counted(from.totals.documents, "document"),
                         counted(from.account.out, "token")));
}

std::string checkpoints_row(const RunReport& report) {
  const RunSummary& summary = report.summary;
  if (!summary.checkpoints) {
    return {};
  }
  const CheckpointCounts& counts = *summary.checkpoints;
  std::string text = counted(counts.written, "checkpoint");
  if (!counts.last.empty()) {
    text += ", the last one " + counts.last;
  }
  if (report.status != RunStatus::kFinished && counts.written > 0) {
    text += ": --resume latest goes on behind it";
  }
  if (counts.failed > 0) {
    text += fmt::format("; {} failed", grouped(counts.failed));
  }
  if (counts.left_out > 0) {
    text +=
        fmt::format("; {} left out, because one was still being written", grouped(counts.left_out));
  }
  return row("saved", text);
}

std::string speed_row(const RunSummary& summary) {
  const double wall = summary.wall_seconds;
  return row("speed",
             fmt::format("{}{} {} of text, {} of stored input",
                         token_rate(static_cast<double>(summary.new_tokens()) / wall),
                         undelivered_tokens(summary) > 0 ? "; read:" : ",",
                         data_rate(static_cast<double>(summary.text_bytes) / wall),
                         data_rate(static_cast<double>(summary.input_bytes) / wall)));
}

std::string processor_row(const RunSummary& summary) {
  const double cores = summary.wall_seconds > 0 ? summary.cpu_seconds / summary.wall_seconds : 0;
  return row(
      "processor",
      fmt::format("{:.1f} cores used on average by {}", cores, counted(summary.threads, "thread")));
}

std::string memory_row(const RunSummary& summary) {
  return row("memory",
             fmt::format("at most {} in flight of {} allowed; the process at most {}",
                         memory_size(summary.peak_in_flight_bytes),
                         memory_size(summary.memory_limit),
                         memory_size(summary.peak_resident_bytes)));
}

std::string per_busy_second(std::int64_t amount, double busy_seconds, std::string (*text)(double)) {
  return amount > 0 && busy_seconds > 0 ? text(static_cast<double>(amount) / busy_seconds) : "-";
}

// Time in which a thread of the pipeline, or the stage's own, worked on it.
double busy_seconds(const StageSummary& stage) {
  return std::max(stage.busy_seconds, stage.own_thread_seconds);
}

std::string stage_table(const RunSummary& summary) {
  constexpr std::string_view kName = "stage";
  std::size_t name_width = kName.size();
  for (const StageSummary& stage : summary.stages) {
    name_width = std::max(name_width, stage.name.size());
  }
  constexpr const char* kRow = "  {:<{}}  {:>5}  {:>5}  {:>11}  {:>16}  {:>8}  {:>10}\n";
  std::string table = fmt::format(
      kRow, kName, name_width, "width", "busy", "bytes in", "tokens", "rejects", "blocked");
  for (const StageSummary& stage : summary.stages) {
    table += fmt::format(kRow,
                         stage.name,
                         name_width,
                         stage.width,
                         fmt::format("{:.0f}%", 100 * stage.busy_share),
                         per_busy_second(stage.bytes_in, busy_seconds(stage), data_rate),
                         per_busy_second(stage.tokens, busy_seconds(stage), token_rate),
                         grouped(stage.rejects),
                         stage.blocked_seconds > 0 ? duration(stage.blocked_seconds) : "-");
  }
  return table +
         "  (width: threads at once; busy: share of the time of that many threads, or of the "
         "stage's\n"
         "  own; bytes in and tokens: per second in which a thread was busy; blocked: waiting "
         "because\n"
         "  memory_limit was used up)\n";
}

std::string notes(const RunSummary& summary) {
  std::string text;
  for (const StageSummary& stage : summary.stages) {
    if (!stage.note.empty()) {
      text += fmt::format("\n  {}: {}\n", stage.name, stage.note);
    }
  }
  return text;
}

std::string limit_line(const RunSummary& summary) {
  if (summary.limiting_stage.empty()) {
    return {};
  }
  return fmt::format("\n  limit: {}, because {}\n", summary.limiting_stage, summary.limit_reason);
}

// The first of the numbers, and how many there are.
std::string numbers_text(const std::vector<double>& numbers) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(numbers.size(), kShown); ++i) {
    text += fmt::format("{}{:.4g}", i == 0 ? "" : ", ", numbers[i]);
  }
  return numbers.size() <= kShown
             ? text
             : text + ", ... (" + grouped(static_cast<std::int64_t>(numbers.size())) + " in all)";
}

struct ResultText {
  std::string operator()(std::int64_t count) const { return grouped(count); }
  std::string operator()(double number) const {
    return std::isnan(number) ? "-" : fmt::format("{:.6g}", number);
  }
  std::string operator()(const std::string& text) const { return text; }
  std::string operator()(const std::vector<double>& numbers) const { return numbers_text(numbers); }
};

std::string sink_results(const SinkSummary& sink) {
  if (sink.results.empty()) {
    return {};
  }
  std::size_t width = 0;
  for (const Result& result : sink.results) {
    width = std::max(width, result.name.size());
  }
  std::string text = "\n  " + sink.name + "\n";
  for (const Result& result : sink.results) {
    text +=
        fmt::format("    {:<{}}  {}\n", result.name, width, std::visit(ResultText{}, result.value));
  }
  return text;
}

}  // namespace

std::string summary_text(const RunReport& report) {
  const RunSummary& summary = report.summary;
  std::string text = headline(report) + "\n\n" + resumed_row(summary);
  text += input_row(summary) + documents_row(summary) + tokens_row(summary) + batches_row(summary);
  text += speed_row(summary) + processor_row(summary) + memory_row(summary);
  text += checkpoints_row(report);
  if (!summary.stages.empty()) {
    text += '\n' + stage_table(summary);
  }
  text += notes(summary);
  text += limit_line(summary);
  for (const SinkSummary& sink : summary.sinks) {
    text += sink_results(sink);
  }
  for (const std::string& warning : summary.warnings) {
    text += "\n  warning: " + warning + '\n';
  }
  return text;
}

}  // namespace penstock
