#include "gpu/generator.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace penstock::gpu {

void check_prompts(const std::vector<TokenText>& prompts,
                   std::int64_t num_tokens,
                   const GeneratorOptions& options) {
  if (prompts.empty() || std::ssize(prompts) > options.max_prompts) {
    throw std::invalid_argument("got " + std::to_string(prompts.size()) +
                                " prompts, expected from 1 to " +
                                std::to_string(options.max_prompts));
  }
  if (num_tokens < 1) {
    throw std::invalid_argument("got " + std::to_string(num_tokens) +
                                " tokens to generate, expected at least 1");
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const TokenText& prompt = prompts[i];
    const std::string which = "prompt " + std::to_string(i + 1) + " ";
    if (prompt.empty()) {
      throw std::invalid_argument(which + "has no tokens, and the model continues what is there");
    }
    if (std::ssize(prompt) + num_tokens > options.max_length) {
      throw std::invalid_argument(which + "has " + std::to_string(prompt.size()) +
                                  " tokens; with " + std::to_string(num_tokens) +
                                  " more they are above the " + std::to_string(options.max_length) +
                                  " positions that there are");
    }
    const TokenId highest = *std::max_element(prompt.begin(), prompt.end());
    if (highest >= options.vocabulary) {
      throw std::invalid_argument(which + "has the id " + std::to_string(highest) +
                                  ", and the vocabulary has " + std::to_string(options.vocabulary) +
                                  " ids");
    }
  }
}

std::runtime_error logits_not_finite() {
  return std::runtime_error("logits are not finite: the weights are too large or damaged");
}

}  // namespace penstock::gpu
