#pragma once

#include <stdexcept>
#include <string>

namespace penstock {

// The bytes of a file that may be a SentencePiece model. Throws what model_file_error() makes.
std::string read_model_file(const std::string& path);

// "cannot load 'PATH': REASON"
std::runtime_error model_file_error(const std::string& path, const std::string& reason);

}  // namespace penstock
