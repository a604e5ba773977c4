#include "gpu/overlap.h"

#include <algorithm>
#include <utility>

namespace penstock::gpu {

void IntervalSet::add(Interval interval) {
  if (interval.begin >= interval.end) {
    return;
  }
  if (intervals_.empty() || intervals_.back().end < interval.begin) {
    intervals_.push_back(interval);
    return;
  }
  const auto first =
      std::partition_point(intervals_.begin(), intervals_.end(), [&](const Interval& other) {
        return other.end < interval.begin;
      });
  const auto last = std::partition_point(
      first, intervals_.end(), [&](const Interval& other) { return other.begin <= interval.end; });
  if (first == last) {
    intervals_.insert(first, interval);
    return;
  }
  first->begin = std::min(first->begin, interval.begin);
  first->end = std::max(std::prev(last)->end, interval.end);
  intervals_.erase(std::next(first), last);
}

IntervalSet IntervalSet::take_before(std::int64_t time) {
  const auto first = std::partition_point(intervals_.begin(),
                                          intervals_.end(),
                                          [&](const Interval& other) { return other.end <= time; });
  IntervalSet taken;
  taken.intervals_.assign(intervals_.begin(), first);
  if (first != intervals_.end() && first->begin < time) {
    taken.intervals_.push_back({first->begin, time});
    first->begin = time;
  }
  intervals_.erase(intervals_.begin(), first);
  return taken;
}

std::int64_t IntervalSet::length_ns() const {
  std::int64_t sum = 0;
  for (const Interval& interval : intervals_) {
    sum += interval.end - interval.begin;
  }
  return sum;
}

std::int64_t common_ns(const IntervalSet& a, const IntervalSet& b) {
  std::int64_t sum = 0;
  auto left = a.intervals().begin();
  auto right = b.intervals().begin();
  while (left != a.intervals().end() && right != b.intervals().end()) {
    const std::int64_t begin = std::max(left->begin, right->begin);
    const std::int64_t end = std::min(left->end, right->end);
    sum += std::max<std::int64_t>(end - begin, 0);
    ++(left->end < right->end ? left : right);
  }
  return sum;
}

void Overlap::add_kernel(Interval interval) {
  if (interval.begin >= interval.end) {
    return;
  }
  const bool is_first = kernel_span_.begin == kernel_span_.end;
  kernel_span_.begin = is_first ? interval.begin : std::min(kernel_span_.begin, interval.begin);
  kernel_span_.end = is_first ? interval.end : std::max(kernel_span_.end, interval.end);
  summed_.kernel_ns += cut_late_part(interval);
  sets_.kernels.add(interval);
  bound(sets_.kernels);
}

void Overlap::add_copy(Interval interval) {
  summed_.copy_ns += cut_late_part(interval);
  sets_.copies.add(interval);
  bound(sets_.copies);
}

void Overlap::add_stage(Interval interval) {
  cut_late_part(interval);
  sets_.stages.add(interval);
  bound(sets_.stages);
}

Overlap::Figures Overlap::figures() const {
  Figures figures = summed_;
  sum_up(sets_, figures);
  figures.kernel_span_ns = kernel_span_.end - kernel_span_.begin;
  return figures;
}

void Overlap::sum_up(const Sets& sets, Figures& sums) {
  sums.kernel_ns += sets.kernels.length_ns();
  sums.copy_ns += sets.copies.length_ns();
  sums.hidden_copy_ns += common_ns(sets.copies, sets.kernels);
  sums.staged_kernel_ns += common_ns(sets.kernels, sets.stages);
}

std::int64_t Overlap::cut_late_part(Interval& interval) const {
  const std::int64_t begin = interval.begin;
  interval.begin = std::clamp(summed_until_, begin, std::max(begin, interval.end));
  return interval.begin - begin;
}

void Overlap::bound(const IntervalSet& grown) {
  const std::vector<Interval>& intervals = grown.intervals();
  if (intervals.size() <= max_intervals_) {
    return;
  }
  summed_until_ = intervals[intervals.size() / 2].begin;
  sum_up({sets_.kernels.take_before(summed_until_),
          sets_.copies.take_before(summed_until_),
          sets_.stages.take_before(summed_until_)},
         summed_);
}

}  // namespace penstock::gpu
