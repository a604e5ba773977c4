#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

// What `penstock generate` is asked for.
struct GenerateOptions {
  std::string checkpoint_path;  // of a checkpoint of lm_train or a folder of them; or:
  std::string weights_path;     // safetensors
  std::string tokenizer_path;   // SentencePiece; empty: the checkpoint's
  std::vector<std::string> prompts;
  std::int64_t num_tokens = 40;
  double temperature = 0;
  std::int64_t top_k = 0;
  double top_p = 1;
  std::int64_t seed = 1;
  std::int64_t heads = 0;
  std::string device = "auto";  // as the option `kind` of `device`
};

// Prints each prompt with what the model says behind it, up to an end of sequence. Returns the exit
// status.
int generate_command(const GenerateOptions& options);

}  // namespace penstock
