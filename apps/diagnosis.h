#pragma once

#include <string>
#include <vector>

#include "apps/run_evidence.h"

namespace penstock {

enum class Bottleneck {
  kDisk,
  kDecompression,
  kParsing,
  kTokenization,
  kPacking,
  kOtherStage,
  kWriting,
  kCopy,
  kGpu,
  kHostSynchronisation,
  kDeviceOnCpu,
  kMemoryLimit,
  kTooFewLanes,
  kTooFewThreads,
  kNoisyNeighbour,
};
std::string to_string(Bottleneck bottleneck);

// Something that can be changed, and what would come of it.
struct Remedy {
  std::string what;                // "Give it all 16 processors."
  std::vector<std::string> lines;  // of the configuration: "threads: 16"; empty where it is no
                                   // matter of the configuration
  double bytes_per_second = 0;     // predicted
};

struct Diagnosis {
  Bottleneck limit = Bottleneck::kTokenization;
  std::string stage;             // that limits, as labelled in the configuration; may be empty
  std::string evidence;          // a sentence with figures
  std::vector<Remedy> remedies;  // those that gain most first; none without a gain but what frees
                                 // processors at the same speed
};

// What limits a run, and what would follow from each possible change. Predictions come from one
// model: the pipeline is as fast as the slowest of its cores, of its nodes with few threads, of its
// sink and of its memory allows, at the efficiency that was measured.
Diagnosis diagnose(const RunEvidence& evidence);

}  // namespace penstock
