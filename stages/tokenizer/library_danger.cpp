#include "stages/tokenizer/library_danger.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "stages/tokenizer/charsmap.h"

namespace penstock {
namespace {

// What PrefixMatcher of the library's normalizer.cc has room for.
constexpr std::size_t kMostNestedSymbols = 64;

// The longest chain of user-defined symbols of which each begins the next one. To the library they
// end before their first zero byte.
std::size_t count_nested_symbols(const SentencePieceModel& model) {
  std::vector<std::string_view> symbols;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kUserDefined) {
      const std::string_view text = piece.text;
      symbols.push_back(text.substr(0, text.find('\0')));
    }
  }
  std::sort(symbols.begin(), symbols.end());
  symbols.erase(std::unique(symbols.begin(), symbols.end()), symbols.end());
  std::vector<std::string_view> chain;
  std::size_t longest = 0;
  for (const std::string_view symbol : symbols) {
    while (!chain.empty() && !symbol.starts_with(chain.back())) {
      chain.pop_back();
    }
    chain.push_back(symbol);
    longest = std::max(longest, chain.size());
  }
  return longest;
}

}  // namespace

std::string library_danger(const SentencePieceModel& model) {
  for (const NormalizerSpec* spec : {&model.normalizer, &model.denormalizer}) {
    if (const std::string danger = Charsmap::danger(spec->charsmap); !danger.empty()) {
      return "its precompiled_charsmap " + danger;
    }
  }
  if (count_nested_symbols(model) > kMostNestedSymbols) {
    return "it has more than " + std::to_string(kMostNestedSymbols) +
           " user-defined symbols of which each is the begin of the next one";
  }
  return {};
}

}  // namespace penstock
