#include "tests/stages/tokenizer/simd_targets.h"

#include <cstdint>

#include <gtest/gtest.h>
#include <hwy/highway.h>

namespace penstock::testing {

void with_every_simd_target(const std::function<void()>& check) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    check();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace penstock::testing
