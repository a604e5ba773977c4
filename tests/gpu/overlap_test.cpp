#include "gpu/overlap.h"

#include <random>
#include <vector>

#include <gmock/gmock.h>

namespace penstock::gpu {
namespace {

using testing::ElementsAre;

MATCHER_P2(IsInterval, begin, end, "") {
  return arg.begin == begin && arg.end == end;
}

IntervalSet set_of(const std::vector<Interval>& intervals) {
  IntervalSet set;
  for (const Interval& interval : intervals) {
    set.add(interval);
  }
  return set;
}

// A union as a row of flags, a nanosecond each.
class Flags {
 public:
  void add(Interval interval) {
    for (std::int64_t i = interval.begin; i < interval.end; ++i) {
      flags_[static_cast<std::size_t>(i)] = true;
    }
  }
  std::int64_t length() const { return common(*this); }
  std::int64_t common(const Flags& other) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < flags_.size(); ++i) {
      sum += flags_[i] && other.flags_[i] ? 1 : 0;
    }
    return sum;
  }

 private:
  std::vector<bool> flags_ = std::vector<bool>(5000);
};

void expect_figures(const Overlap& overlap,
                    const Flags& kernels,
                    const Flags& copies,
                    const Flags& stages) {
  const Overlap::Figures figures = overlap.figures();
  EXPECT_EQ(figures.kernel_ns, kernels.length());
  EXPECT_EQ(figures.copy_ns, copies.length());
  EXPECT_EQ(figures.hidden_copy_ns, copies.common(kernels));
  EXPECT_EQ(figures.staged_kernel_ns, kernels.common(stages));
}

TEST(Overlap, UnitesIntervalsInAnyOrder) {
  EXPECT_THAT(set_of({{10, 20}, {30, 40}, {20, 25}, {28, 31}, {0, 5}}).intervals(),
              ElementsAre(IsInterval(0, 5), IsInterval(10, 25), IsInterval(28, 40)));
  EXPECT_THAT(set_of({{10, 20}, {30, 40}, {50, 60}, {15, 55}}).intervals(),
              ElementsAre(IsInterval(10, 60)));
  EXPECT_THAT(set_of({{10, 20}, {12, 14}}).intervals(), ElementsAre(IsInterval(10, 20)));
}

TEST(Overlap, IgnoresWhatTakesNoTime) {
  EXPECT_TRUE(set_of({{10, 10}, {20, 15}}).intervals().empty());
}

TEST(Overlap, TakesOutWhatIsOlder) {
  IntervalSet set = set_of({{0, 5}, {10, 20}, {30, 40}});
  EXPECT_THAT(set.take_before(15).intervals(), ElementsAre(IsInterval(0, 5), IsInterval(10, 15)));
  EXPECT_THAT(set.intervals(), ElementsAre(IsInterval(15, 20), IsInterval(30, 40)));
  EXPECT_THAT(set.take_before(20).intervals(), ElementsAre(IsInterval(15, 20)));
  EXPECT_THAT(set.intervals(), ElementsAre(IsInterval(30, 40)));
}

TEST(Overlap, MeasuresWhatTwoSetsShare) {
  const IntervalSet a = set_of({{0, 10}, {20, 30}, {40, 50}});
  EXPECT_EQ(common_ns(a, set_of({{5, 25}, {29, 41}})), 5 + 5 + 1 + 1);
  EXPECT_EQ(common_ns(a, set_of({{10, 20}})), 0);
  EXPECT_EQ(common_ns(a, IntervalSet()), 0);
}

TEST(Overlap, HasNoFiguresOfNothing) {
  const Overlap::Figures figures = Overlap().figures();
  EXPECT_EQ(figures.kernel_ns, 0);
  EXPECT_EQ(figures.kernel_span_ns, 0);
}

TEST(Overlap, SpansFromTheFirstKernelToTheLast) {
  Overlap overlap;
  overlap.add_kernel({300, 400});
  overlap.add_kernel({100, 150});
  overlap.add_kernel({320, 350});
  overlap.add_copy({0, 1000});
  EXPECT_EQ(overlap.figures().kernel_span_ns, 300);
  EXPECT_EQ(overlap.figures().kernel_ns, 150);
  EXPECT_EQ(overlap.figures().hidden_copy_ns, 150);
}

TEST(Overlap, MeasuresLikeAPlainCount) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    Overlap overlap;
    Flags kernels;
    Flags copies;
    Flags stages;
    for (int i = 0; i < 60; ++i) {
      const auto next = [&] {
        const auto begin = static_cast<std::int64_t>(random() % 4900);
        return Interval{begin, begin + static_cast<std::int64_t>(random() % 60)};
      };
      const Interval kernel = next();
      const Interval copy = next();
      const Interval stage = next();
      overlap.add_kernel(kernel);
      kernels.add(kernel);
      overlap.add_copy(copy);
      copies.add(copy);
      overlap.add_stage(stage);
      stages.add(stage);
    }
    expect_figures(overlap, kernels, copies, stages);
  }
}

// As in a long run: a little out of order, and far more than is held.
TEST(Overlap, SumsUpTheOlderHalfWithoutLoss) {
  std::mt19937 random(2);
  for (const std::size_t held : {2U, 8U, 50U}) {
    Overlap overlap(held);
    Flags kernels;
    Flags copies;
    Flags stages;
    for (std::int64_t time = 0; time + 8 < 5000; time += 8) {
      const auto length = [&] { return 1 + static_cast<std::int64_t>(random() % 6); };
      const Interval kernel{time, time + length()};
      const Interval copy{time + 1, time + 1 + length()};
      const Interval stage{time + 2, time + 2 + length()};
      overlap.add_stage(stage);
      overlap.add_copy(copy);
      overlap.add_kernel(kernel);
      kernels.add(kernel);
      copies.add(copy);
      stages.add(stage);
    }
    const Overlap::Figures figures = overlap.figures();
    EXPECT_EQ(figures.kernel_ns, kernels.length());
    EXPECT_EQ(figures.copy_ns, copies.length());
    if (held > 2) {
      expect_figures(overlap, kernels, copies, stages);
    }
  }
}

TEST(Overlap, CountsLateKernelsButNotWhatTheyOverlapped) {
  Overlap overlap(4);
  overlap.add_stage({0, 1000});
  for (std::int64_t time = 0; time < 1000; time += 100) {
    overlap.add_kernel({time, time + 10});
  }
  overlap.add_kernel({50, 60});
  overlap.add_copy({50, 60});
  overlap.add_stage({50, 60});
  const Overlap::Figures figures = overlap.figures();
  EXPECT_EQ(figures.kernel_ns, 110);
  EXPECT_EQ(figures.staged_kernel_ns, 100);
  EXPECT_EQ(figures.copy_ns, 10);
  EXPECT_EQ(figures.hidden_copy_ns, 0);
  EXPECT_EQ(figures.kernel_span_ns, 910);
}

}  // namespace
}  // namespace penstock::gpu
