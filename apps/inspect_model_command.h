#pragma once

#include <string>

namespace penstock {

// `penstock inspect-model`: prints what a tokenizer model is, which engine encodes with it and why.
// Returns the exit status.
int inspect_model_command(const std::string& path);

}  // namespace penstock
