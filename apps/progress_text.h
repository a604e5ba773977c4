#pragma once

#include <deque>
#include <optional>
#include <string>

#include "pipeline/pipeline.h"

namespace penstock {

// Speeds over the last few seconds of a run, so that they follow what happens now.
class RecentRates {
 public:
  explicit RecentRates(double window_seconds) : window_seconds_(window_seconds) {}

  // `now` is later than the one added before.
  void add(const RunSummary& now);

  double tokens_per_second() const;
  double text_bytes_per_second() const;
  double input_bytes_per_second() const;

 private:
  struct Sample {
    double seconds = 0;
    double tokens = 0;
    double text_bytes = 0;
    double input_bytes = 0;
  };
  double rate(double Sample::*amount) const;

  const double window_seconds_;
  std::deque<Sample> samples_ = {Sample{}};  // the start of the run, to begin with
};

// Seconds until the input has been read at this speed; nothing where nobody can tell.
std::optional<double> seconds_left(const RunSummary& now, double input_bytes_per_second);

// One line of at most `columns` characters; what matters least is left out of a narrow one.
std::string progress_bar(const RunSummary& now, const RecentRates& rates, int columns);
// The same facts as a sentence for a log.
std::string progress_sentence(const RunSummary& now, const RecentRates& rates);

}  // namespace penstock
