#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

struct BenchOptions {
  ConfigText config;
  std::vector<std::string> overrides;
  // Numbers of threads to run with; empty: thread_counts() of the processors there are.
  std::vector<int> threads;
  int repetitions = 5;
  double seconds = 30;             // for everything; a bound to aim at, not to rely on
  std::int64_t capture_bytes = 0;  // text in the sample; 0: 16 MiB a thread, 64 MiB at least
  std::string json_path;           // empty: none; "-": standard output, instead of the text
};

// 1, 2, 4, ... and `processors`.
std::vector<int> thread_counts(int processors);

// `penstock bench`: measures the pipeline without its sinks and each of its stages alone, and
// prints what limits it. Returns the exit status. Throws ConfigError and FileError for what is
// wrong before anything runs.
int bench_command(const BenchOptions& options, const StageRegistry& registry);

}  // namespace penstock
