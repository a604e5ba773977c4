#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/ceiling.h"
#include "apps/spread.h"

namespace penstock {

// A stage alone on one thread.
struct BenchStage {
  std::string name;
  int node = 0;                       // of the graph
  std::optional<int> width;           // of the node; none: as many threads as there are
  Spread seconds_per_byte;            // of text, for the second half of the sample
  double first_seconds_per_byte = 0;  // for the first half, with a new instance; median
};

// The whole pipeline with a number of threads.
struct BenchRun {
  int threads = 1;
  double ceiling = 0;                     // bytes of text per second
  Spread bytes_per_second;                // of text
  Spread share;                           // of the ceiling that the same round gave
  std::int64_t peak_resident_bytes = 0;   // of the process, before there was a sample
  std::int64_t peak_in_flight_bytes = 0;  // byte credits
  double cores_used = 1;                  // processor time over wall time
  double processor_share = 1;   // of the time in which threads had work, a processor was theirs
  bool memory_limited = false;  // reading mostly waited for memory_limit
};

// What `penstock bench` found out.
struct BenchReport {
  std::string config;  // path as given
  std::chrono::system_clock::time_point started;
  double wall_seconds = 0;
  int rounds = 0;
  int processors = 1;  // that this process may use

  // The sample. Its first half warms up, its second half is timed.
  std::int64_t chunks = 0;
  std::int64_t text_bytes = 0;
  std::int64_t tokens = 0;
  std::int64_t timed_text_bytes = 0;
  std::int64_t timed_tokens = 0;
  int passes = 1;  // how often the input was begun for it

  std::vector<BenchStage> stages;  // in pipeline order; no sinks
  std::vector<BenchRun> runs;      // with more and more threads
};

// "71 %", "0.4 %"
std::string share_text(double share);

double tokens_per_byte(const BenchReport& report);
std::vector<StageCost> stage_costs(const BenchReport& report);
// How many cores a run can use.
int cores_of(const BenchReport& report, const BenchRun& run);

// Processor time that the stages take alone for what a run did, as a share of what it took. Other
// programs on the machine make hardly any difference.
double work_share(const BenchReport& report, const BenchRun& run);

// What a reader has to know to trust the figures, a sentence each.
std::vector<std::string> bench_notes(const BenchReport& report);
// What limits the run with the most threads, what it would gain to change that, and where the rest
// of the ceiling goes.
std::string bench_verdict(const BenchReport& report);

}  // namespace penstock
