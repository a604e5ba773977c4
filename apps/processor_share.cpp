#include "apps/processor_share.h"

#include <algorithm>

namespace penstock {

double processor_share(const RunSummary& summary, int cores) {
  double busy_seconds = 0;
  for (const StageSummary& stage : summary.stages) {
    busy_seconds += stage.busy_seconds;
  }
  // Threads that are more than the processors wait for each other.
  const double expected = busy_seconds * cores / summary.threads;
  return expected > 0 ? std::min(summary.cpu_seconds / expected, 1.0) : 1;
}

}  // namespace penstock
