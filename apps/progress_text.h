#pragma once

#include <deque>
#include <optional>
#include <string>

#include "pipeline/pipeline.h"

namespace penstock {

// Speeds over the last few seconds of a run, so that they follow what happens now: of what every
// sink is finished with. Batches may take longer than that, so speeds are measured from one
// delivery to another, and fall when the next one is overdue.
class RecentRates {
 public:
  explicit RecentRates(double window_seconds) : window_seconds_(window_seconds) {}

  // `now` is later than the one added before.
  void add(const RunSummary& now);

  double tokens_per_second() const;
  double text_bytes_per_second() const;  // of the text that gave these tokens
  double share_per_second() const;       // of RunSummary::share_done()

 private:
  struct Sample {
    double seconds = 0;
    double tokens = 0;
    double text_bytes = 0;
    double share = 0;
  };
  double rate(double Sample::*amount) const;

  const double window_seconds_;
  double now_ = 0;  // seconds
  // When something had been delivered; the start of the run, to begin with.
  std::deque<Sample> samples_ = {Sample{}};
};

// Seconds until everything has been delivered at this speed, or at that of the whole run where
// lately there was none; nothing where nobody can tell.
std::optional<double> seconds_left(const RunSummary& now, double share_per_second);

// One line of at most `columns` characters; what matters least is left out of a narrow one. `loss`
// is that of a model in training.
std::string progress_bar(const RunSummary& now,
                         const RecentRates& rates,
                         int columns,
                         std::optional<double> loss = {});
// The same facts as a sentence for a log.
std::string progress_sentence(const RunSummary& now,
                              const RecentRates& rates,
                              std::optional<double> loss = {});

}  // namespace penstock
