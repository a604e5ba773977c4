#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace penstock::gpu {

// Times of one clock in nanoseconds, end not included.
struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// A union of intervals.
class IntervalSet {
 public:
  // In any order; quick where they come almost in the order of time.
  void add(Interval interval);
  // Takes out what lies before `time`.
  IntervalSet take_before(std::int64_t time);

  // Disjoint, not touching, in the order of time.
  const std::vector<Interval>& intervals() const { return intervals_; }
  std::int64_t length_ns() const;

 private:
  std::vector<Interval> intervals_;
};

// The length of what is in both.
std::int64_t common_ns(const IntervalSet& a, const IntervalSet& b);

// How long kernels, copies and the stages of the pipeline worked, and how long two of them at the
// same time. Memory is bounded whatever the length of a run: when there are too many intervals, the
// older half is summed up and forgotten. A kernel or copy that is heard of only after that still
// counts with its time, but as one that overlapped nothing, and a late stage does not count: an
// overlap is never overstated. One thread at a time.
class Overlap {
 public:
  struct Figures {
    std::int64_t kernel_ns = 0;         // at least one kernel ran
    std::int64_t copy_ns = 0;           // at least one copy ran
    std::int64_t hidden_copy_ns = 0;    // of these: beside a kernel
    std::int64_t staged_kernel_ns = 0;  // of kernel_ns: beside a stage
    std::int64_t kernel_span_ns = 0;    // from the begin of the first kernel to the end of the last
  };

  // `max_intervals` >= 2 of each of the three are held.
  explicit Overlap(std::size_t max_intervals = std::size_t{1} << 18)
      : max_intervals_(max_intervals) {}

  void add_kernel(Interval interval);
  void add_copy(Interval interval);
  void add_stage(Interval interval);
  Figures figures() const;

 private:
  struct Sets {
    IntervalSet kernels;
    IntervalSet copies;
    IntervalSet stages;
  };

  static void sum_up(const Sets& sets, Figures& sums);
  // Returns what of the interval is late.
  std::int64_t cut_late_part(Interval& interval) const;
  void bound(const IntervalSet& grown);

  const std::size_t max_intervals_;
  Sets sets_;       // from summed_until_ on
  Figures summed_;  // before it; kernel_span_ns is not used
  std::int64_t summed_until_ = std::numeric_limits<std::int64_t>::min();
  Interval kernel_span_;
};

}  // namespace penstock::gpu
