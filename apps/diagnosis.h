#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/option_change.h"
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
  std::string what;                   // "Give it all 16 processors."
  std::vector<OptionChange> changes;  // empty where it is no matter of the configuration
  double predicted = 0;               // bytes of text per second
  std::optional<double> tried = {};   // the same, of a run with the changes
  std::string failure = {};           // why there was no such run, though it was tried

  // The best that is known of it.
  double bytes_per_second() const { return tried.value_or(predicted); }
};

struct Diagnosis {
  Bottleneck limit = Bottleneck::kTokenization;
  std::string stage;             // that limits, as labelled in the configuration; may be empty
  std::string evidence;          // a sentence with figures
  std::vector<Remedy> remedies;  // those that gain most first; none that promises no gain but what
                                 // frees processors at the same speed
};

// Those that gain most first.
void sort_by_gain(std::vector<Remedy>& remedies);

// What limits a run, and what would follow from each possible change. Predictions come from one
// model: the pipeline is as fast as the slowest of its cores, of its nodes with few threads, of its
// sink and of its memory allows, at the efficiency that was measured.
Diagnosis diagnose(const RunEvidence& evidence);

}  // namespace penstock
