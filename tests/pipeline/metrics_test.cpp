#include "pipeline/metrics.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace penstock {
namespace {

// Lets the clock tick.
void pass_time() {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::microseconds(100)) {
  }
}

TEST(Metrics, CountsACallThatIsUnderWay) {
  BusyClock clock;
  EXPECT_EQ(clock.total_ns(), 0);
  auto timer = std::make_unique<BusyTimer>(clock);
  pass_time();
  EXPECT_GE(clock.under_way_ns(), 100'000);
  EXPECT_GE(clock.total_ns(), 100'000);
  timer.reset();
  EXPECT_EQ(clock.under_way_ns(), 0);
  const std::int64_t total = clock.total_ns();
  EXPECT_GE(total, 100'000);
  pass_time();
  EXPECT_EQ(clock.total_ns(), total);
}

TEST(Metrics, AddsUpOverThreads) {
  BusyClock clock;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const BusyTimer timer(clock);
        pass_time();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_GE(clock.total_ns(), 4 * 50 * 100'000);
  EXPECT_EQ(clock.under_way_ns(), 0);
}

// Keeps what it is told.
class KeptFigures final : public FiguresListener {
 public:
  void add(std::string_view sink,
           std::int64_t num_batches,
           const std::vector<Result>& figures) noexcept override {
    told_.push_back(std::string(sink) + " " + std::to_string(num_batches) + " " +
                    figures.at(0).name);
  }
  const std::vector<std::string>& told() const { return told_; }

 private:
  std::vector<std::string> told_;
};

TEST(Metrics, PassesFiguresOnToAllWhoListen) {
  Metrics metrics;
  metrics.pass_on_figures("device", 1, {{"loss", 3.0}});
  const auto first = std::make_shared<KeptFigures>();
  const auto second = std::make_shared<KeptFigures>();
  metrics.listen(first);
  metrics.listen(second);
  metrics.pass_on_figures("device", 2, {{"loss", 2.0}});
  EXPECT_EQ(first->told(), std::vector<std::string>{"device 2 loss"});
  EXPECT_EQ(second->told(), first->told());
}

// What a listener was told.
struct Heard {
  std::string name;
  std::string device;
  std::string track_name;
  std::int64_t track = 0;
  std::int64_t ns = 0;
};

class KeepSpans final : public SpanListener {
 public:
  void add(const Span& span) noexcept override {
    const std::lock_guard lock(mutex_);
    heard_.push_back({std::string(span.name),
                      std::string(span.device),
                      std::string(span.track_name),
                      span.track,
                      span.end_ns - span.begin_ns});
  }
  std::vector<Heard> heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Heard> heard_;
};

TEST(Metrics, PassesOnWhatItsRowsAreBusyWith) {
  Metrics metrics;
  StageMetrics& before = metrics.add("parse", 2);
  const auto first = std::make_shared<KeepSpans>();
  metrics.listen(first);
  StageMetrics& after = metrics.add("write_npy", 1);
  const auto second = std::make_shared<KeepSpans>();
  metrics.listen(second);
  {
    const BusyTimer timer(before.busy);
    pass_time();
  }
  { const BusyTimer timer(after.own_thread); }
  for (const auto& listener : {first, second}) {
    const std::vector<Heard> heard = listener->heard();
    ASSERT_EQ(heard.size(), 2U);
    EXPECT_EQ(heard[0].name, "parse");
    EXPECT_EQ(heard[0].device, "");
    EXPECT_EQ(heard[0].track_name, "");
    EXPECT_EQ(heard[0].ns, before.busy.total_ns());
    EXPECT_EQ(heard[1].name, "write_npy");
    EXPECT_EQ(heard[1].track_name, "write_npy");
    EXPECT_EQ(heard[1].track, heard[0].track);
  }
}

TEST(Metrics, TellsThreadsApart) {
  Metrics metrics;
  StageMetrics& row = metrics.add("parse", 4);
  const auto listener = std::make_shared<KeepSpans>();
  metrics.listen(listener);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&row] {
      for (int round = 0; round < 100; ++round) {
        const BusyTimer timer(row.busy);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::map<std::int64_t, int> spans_of_track;
  for (const Heard& each : listener->heard()) {
    ++spans_of_track[each.track];
  }
  ASSERT_EQ(spans_of_track.size(), 4U);
  for (const auto& [track, spans] : spans_of_track) {
    EXPECT_EQ(spans, 100);
  }
}

TEST(Metrics, PassesOnTheSpansOfADevice) {
  Metrics metrics;
  const auto listener = std::make_shared<KeepSpans>();
  metrics.listen(listener);
  Span span;
  span.name = "gemm";
  span.device = "cuda:0";
  span.track = 13;
  span.track_name = "compute stream";
  metrics.pass_on(span);
  ASSERT_EQ(listener->heard().size(), 1U);
  EXPECT_EQ(listener->heard()[0].device, "cuda:0");
  EXPECT_EQ(listener->heard()[0].track, 13);
}

}  // namespace
}  // namespace penstock
