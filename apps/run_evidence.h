#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "apps/ceiling.h"

namespace penstock {

// What `penstock doctor` measured of a configuration. Rates and costs are in bytes of text; NaN
// where something could not be measured.
struct RunEvidence {
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

  int processors = 1;  // that this process may use
  int threads = 1;
  int lanes = 1;
  std::int64_t memory_limit = 0;
  std::int64_t peak_in_flight_bytes = 0;
  std::int64_t machine_memory = std::numeric_limits<std::int64_t>::max();  // bytes
  bool has_lanes_option = true;  // the source has an option `lanes`

  // Each stage alone: processor time. A node without a width has the threads there are.
  std::vector<StageCost> costs;
  double tokens_per_byte = 1;
  double expansion = 1;        // bytes as decompressed for each that is stored
  double processor_share = 1;  // of the time in which threads had work, a processor was theirs

  // The whole as configured, once it was warm.
  double seconds = 0;
  double bytes_per_second = 0;
  double threads_busy = 0;     // share of the time of the pipeline's threads
  double reading_blocked = 0;  // share of the time: memory_limit was used up
  double disk_wait = 0;        // seconds for a byte in which reading did not use its processor

  // The sink that was busiest.
  std::string sink;              // label; empty where sinks took no time
  bool sink_has_thread = false;  // of its own, as `device` does
  bool sink_is_device = false;
  double sink_busy = 0;         // share of the time
  double gpu_busy = kUnknown;   // share of the time, kernels
  double copy_busy = kUnknown;  // share of the time, copies to the device
  std::string batching_stage;   // label of the stage with an option batch_size; may be empty
  std::int64_t batch_size = 0;  // of that stage; 0: not known
  std::int64_t slots = 0;       // of `device`; 0: not known

  // The same without sinks.
  double feed_bytes_per_second = 0;

  bool read_again = false;  // there was less input than the time would have been enough for
};

}  // namespace penstock
