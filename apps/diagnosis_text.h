#pragma once

#include <string>

#include "apps/diagnosis.h"
#include "apps/run_evidence.h"

namespace penstock {

// What `penstock doctor` prints.
std::string diagnosis_text(const RunEvidence& evidence, const Diagnosis& diagnosis);

}  // namespace penstock
