#include "apps/progress_reporter.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <spdlog/spdlog.h>

#include "apps/standard_streams.h"
#include "pipeline/figures.h"
#include "pipeline/result.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBarPeriod{200};
constexpr milliseconds kLogPeriod{10'000};
constexpr double kBarWindowSeconds = 5;
constexpr double kLogWindowSeconds = 10;

}  // namespace

// The figure `loss` that a sink told last. Any thread.
class ProgressReporter::LatestLoss final : public FiguresListener {
 public:
  void add(std::string_view /*sink*/,
           std::int64_t /*num_batches*/,
           const std::vector<Result>& figures) noexcept override {
    for (const Result& figure : figures) {
      if (const auto* loss = std::get_if<double>(&figure.value); loss && figure.name == "loss") {
        value_ = *loss;
      }
    }
  }
  std::optional<double> value() const {
    const double value = value_;
    return std::isnan(value) ? std::nullopt : std::optional(value);
  }

 private:
  std::atomic<double> value_{std::numeric_limits<double>::quiet_NaN()};
};

ProgressReporter::ProgressReporter(Pipeline& pipeline)
    : pipeline_(pipeline),
      on_terminal_(standard_error_is_terminal()),
      rates_(on_terminal_ ? kBarWindowSeconds : kLogWindowSeconds),
      loss_(std::make_shared<LatestLoss>()),
      calls_(on_terminal_ ? kBarPeriod : kLogPeriod,
             [this] { on_terminal_ ? draw_bar() : log_line(); }) {
  pipeline.listen(std::shared_ptr<FiguresListener>(loss_));
}

ProgressReporter::~ProgressReporter() = default;

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
  std::string line = progress_bar(now, rates_, terminal_columns() - 1, loss_->value());
  const std::size_t columns = line.size();
  line.append(drawn_columns_ - std::min(columns, drawn_columns_), ' ');
  write_standard_error('\r' + line);
  drawn_columns_ = columns;
}

void ProgressReporter::log_line() {
  const RunSummary now = pipeline_.progress();
  rates_.add(now);
  spdlog::info("{}", progress_sentence(now, rates_, loss_->value()));
}

}  // namespace penstock
