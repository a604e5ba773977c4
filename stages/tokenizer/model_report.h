#pragma once

#include <string>

namespace penstock {

// What a SentencePiece model is and how it would be encoded with, for people: type, pieces,
// normalizer, which engine and why, where its texts can be cut. Throws std::runtime_error with path
// and reason.
std::string model_report(const std::string& path);

}  // namespace penstock
