#include "pipeline/trace_file.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "pipeline/errors.h"
#include "pipeline/metrics.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

Span span(std::string_view name, std::int64_t track, std::int64_t begin_ns, std::int64_t ns) {
  Span made;
  made.name = name;
  made.track = track;
  made.begin_ns = begin_ns;
  made.end_ns = begin_ns + ns;
  return made;
}

Span on_device(Span made, std::string_view stream) {
  made.device = "cuda:0";
  made.track_name = stream;
  return made;
}

class TraceFileTest : public testing::Test {
 protected:
  std::string path() const { return folder_.path("run.trace.json"); }

  json parsed() const {
    std::ifstream file(path());
    return json::parse(file);
  }

  // The names that the trace gives to its processes or threads, by id.
  static std::map<int, std::string> names(const json& trace, const std::string& kind) {
    std::map<int, std::string> found;
    for (const json& event : trace["traceEvents"]) {
      if (event["ph"] == "M" && event["name"] == kind) {
        found[event[kind == "process_name" ? "pid" : "tid"]] = event["args"]["name"];
      }
    }
    return found;
  }

  static std::vector<json> spans(const json& trace) {
    std::vector<json> found;
    for (const json& event : trace["traceEvents"]) {
      if (event["ph"] == "X") {
        found.push_back(event);
      }
    }
    return found;
  }

  TemporaryFolder folder_;
};

TEST_F(TraceFileTest, IsValidWithoutASpan) {
  TraceFile(path()).finish();
  const json trace = parsed();
  EXPECT_THAT(names(trace, "process_name"), ElementsAre(std::pair(1, "penstock")));
  EXPECT_TRUE(spans(trace).empty());
  EXPECT_EQ(trace["otherData"]["dropped_events"], 0);
}

TEST_F(TraceFileTest, WritesMicrosecondsWithNanoseconds) {
  TraceFile file(path());
  const std::int64_t start = now_ns();
  file.add(span("parse", 0, start, 1'234'007));
  file.add(span("parse", 0, start + 2'000'050, 0));
  file.finish();
  const std::vector<json> events = spans(parsed());
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0]["name"], "parse");
  EXPECT_DOUBLE_EQ(events[0]["dur"], 1234.007);
  EXPECT_DOUBLE_EQ(events[1]["dur"], 0);
  EXPECT_NEAR(events[1]["ts"].get<double>() - events[0]["ts"].get<double>(), 2000.05, 1e-6);
  EXPECT_GE(events[0]["ts"], 0);
  EXPECT_LT(events[0]["ts"], 10e6);
}

TEST_F(TraceFileTest, WritesWhatBeganBeforeItAsNegativeTime) {
  const std::int64_t start = now_ns();
  TraceFile file(path());
  file.add(span("parse", 0, start - 5'000'500, 1));
  file.finish();
  EXPECT_LT(spans(parsed())[0]["ts"], -5000.4);
}

TEST_F(TraceFileTest, NamesThreadsStreamsAndDevices) {
  TraceFile file(path());
  Span device_thread = span("device", 9, now_ns(), 5);
  device_thread.track_name = "device";
  file.add(span("parse", 7, now_ns(), 5));
  file.add(span("tokenize", 4, now_ns(), 5));
  file.add(device_thread);
  file.add(on_device(span("gemm", 7, now_ns(), 5), "compute stream"));
  file.add(on_device(span("copy to device", 8, now_ns(), 5), "copy stream"));
  file.add(span("tokenize", 7, now_ns(), 5));
  file.finish();
  const json trace = parsed();
  const auto processes = names(trace, "process_name");
  const auto threads = names(trace, "thread_name");
  const auto place = [&](const json& event) {
    return processes.at(event["pid"]) + "/" + threads.at(event["tid"]) + "/" +
           event["name"].get<std::string>();
  };
  std::vector<std::string> places;
  for (const json& event : spans(trace)) {
    places.push_back(place(event));
  }
  EXPECT_THAT(places,
              ElementsAre("penstock/worker 0/parse",
                          "penstock/worker 1/tokenize",
                          "penstock/device/device",
                          "cuda:0/compute stream/gemm",
                          "cuda:0/copy stream/copy to device",
                          "penstock/worker 0/tokenize"));
  EXPECT_EQ(threads.size(), 5U);
}

TEST_F(TraceFileTest, EscapesNames) {
  TraceFile file(path());
  file.add(span("a \"b\" \\ \n \xFF", 0, now_ns(), 1));
  file.finish();
  EXPECT_EQ(spans(parsed())[0]["name"], "a \"b\" \\ \n \xEF\xBF\xBD");
}

TEST_F(TraceFileTest, CountsWhatIsBeyondItsBound) {
  TraceFile file(path(), 3);
  for (int i = 0; i < 8; ++i) {
    file.add(span("parse " + std::to_string(i), 0, now_ns(), 1));
  }
  EXPECT_EQ(file.num_dropped(), 5);
  file.finish();
  const json trace = parsed();
  EXPECT_EQ(spans(trace).size(), 3U);
  EXPECT_EQ(spans(trace)[2]["name"], "parse 2");
  EXPECT_EQ(trace["otherData"]["dropped_events"], 5);
}

TEST_F(TraceFileTest, IgnoresWhatComesAfterItsEnd) {
  TraceFile file(path());
  file.finish();
  file.add(span("parse", 0, now_ns(), 1));
  EXPECT_TRUE(spans(parsed()).empty());
}

TEST_F(TraceFileTest, LeavesNoFileWhenItIsNotFinished) {
  { TraceFile(path()).add(span("parse", 0, now_ns(), 1)); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(TraceFileTest, RefusesAPathThatCannotBeWritten) {
  EXPECT_THROW(TraceFile(folder_.path("no_folder/run.trace.json")), FileError);
}

TEST_F(TraceFileTest, TakesTheSpansOfManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 5000;
  auto file = std::make_shared<TraceFile>(path());
  Metrics metrics;
  StageMetrics& outer = metrics.add("outer", kThreads);
  StageMetrics& inner = metrics.add("inner", kThreads);
  metrics.listen(file);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const BusyTimer around(outer.busy);
        const BusyTimer within(inner.busy);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  file->finish();
  const json trace = parsed();
  EXPECT_EQ(spans(trace).size(), 2U * kThreads * kRounds);
  std::vector<std::string> workers;
  for (const auto& [id, name] : names(trace, "thread_name")) {
    workers.push_back(name);
  }
  EXPECT_THAT(workers, UnorderedElementsAre("worker 0", "worker 1", "worker 2", "worker 3"));
  // The inner span of a thread lies within the outer one, which is over after it.
  std::map<int, json> last_inner;
  int nested = 0;
  for (const json& event : spans(trace)) {
    if (event["name"] == "inner") {
      last_inner[event["tid"]] = event;
      continue;
    }
    const json& within = last_inner.at(event["tid"]);
    const double begin = event["ts"];
    const double inner_begin = within["ts"];
    nested += inner_begin >= begin - 1e-3 && inner_begin + within["dur"].get<double>() <=
                                                 begin + event["dur"].get<double>() + 1e-3
                  ? 1
                  : 0;
  }
  EXPECT_EQ(nested, kThreads * kRounds);
}

}  // namespace
}  // namespace penstock
