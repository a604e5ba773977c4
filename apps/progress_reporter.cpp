#include "apps/progress_reporter.h"

#include <algorithm>
#include <chrono>
#include <string>

#include <spdlog/spdlog.h>

#include "apps/standard_streams.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBarPeriod{200};
constexpr milliseconds kLogPeriod{10'000};
constexpr double kBarWindowSeconds = 5;
constexpr double kLogWindowSeconds = 10;

}  // namespace

ProgressReporter::ProgressReporter(const Pipeline& pipeline)
    : pipeline_(pipeline),
      on_terminal_(standard_error_is_terminal()),
      rates_(on_terminal_ ? kBarWindowSeconds : kLogWindowSeconds),
      calls_(on_terminal_ ? kBarPeriod : kLogPeriod,
             [this] { on_terminal_ ? draw_bar() : log_line(); }) {}

void ProgressReporter::stop() {
  calls_.stop();
  if (drawn_columns_ > 0) {
    write_standard_error('\r' + std::string(drawn_columns_, ' ') + '\r');
    drawn_columns_ = 0;
  }
}

void ProgressReporter::draw_bar() {
  const RunSummary now = pipeline_.progress();
  rates_.add(now);
  // A character in the last column would make some terminals begin a new line.
  std::string line = progress_bar(now, rates_, terminal_columns() - 1);
  const std::size_t columns = line.size();
  line.append(drawn_columns_ - std::min(columns, drawn_columns_), ' ');
  write_standard_error('\r' + line);
  drawn_columns_ = columns;
}

void ProgressReporter::log_line() {
  const RunSummary now = pipeline_.progress();
  rates_.add(now);
  spdlog::info("{}", progress_sentence(now, rates_));
}

}  // namespace penstock
