#include "stages/tokenizer/split_proof.h"

#include <set>
#include <utility>

#include "pipeline/utf8.h"

namespace penstock {
namespace {

constexpr char32_t kSpaceSymbol = 0x2581;

// Characters that texts hold side by side in much the same way; what no class names is in the one
// before the last. Few classes can be looked up at once, and a pair of classes is safe only where
// every pair of their characters is.
struct NamedClass {
  std::string_view name;
  std::string_view characters;
};
constexpr std::array<NamedClass, ByteClasses::kNumClasses> kClasses = {{
    {"space", " "},
    {"a-z", "abcdefghijklmnopqrstuvwxyz"},
    {"A-Z", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    {"0-9", "0123456789"},
    {"line feed", "\n"},
    {".", "."},
    {",", ","},
    {"; : ! ?", ";:!?"},
    {"quotes", "'\"`"},
    {"-", "-"},
    {"_", "_"},
    {"opening brackets", "([{<"},
    {"closing brackets", ")]}>"},
    {"/ \\", "/\\"},
    {"other ASCII", ""},
    {"not ASCII", ""},
}};
constexpr std::uint8_t kOtherAscii = 14;

std::array<std::uint8_t, 128> ascii_classes() {
  std::array<std::uint8_t, 128> class_of{};
  class_of.fill(kOtherAscii);
  for (std::uint8_t number = 0; number < kOtherAscii; ++number) {
    for (const char character : kClasses[number].characters) {
      class_of[static_cast<unsigned char>(character)] = number;
    }
  }
  return class_of;
}

}  // namespace

SplitProof::SplitProof(const std::vector<std::string_view>& pieces)
    : pairs_((std::size_t{1} << kHashBits) / 64) {
  classes_.class_of = ascii_classes();
  // Not every byte from 0x80 is the first one of a character.
  classes_.may_follow[ByteClasses::kNotAscii] = 1U << ByteClasses::kNotAscii;
  std::set<std::pair<char32_t, char32_t>> pairs;
  for (std::string_view piece : pieces) {
    if (!is_utf8(piece)) {
      continue;
    }
    char32_t before = 0;
    for (std::size_t at = 0; at < piece.size();) {
      const Utf8Character character = first_utf8_character(piece.substr(at));
      const char32_t here = character.code_point == kSpaceSymbol ? U' ' : character.code_point;
      if (at > 0) {
        pairs.emplace(before, here);
      }
      before = here;
      at += character.length;
    }
  }
  for (const auto& [before, after] : pairs) {
    add_pair(before, after);
  }
  num_pairs_ = pairs.size();
}

void SplitProof::add_pair(char32_t before, char32_t after) {
  const bool before_is_ascii = before < kNumAscii;
  const bool after_is_ascii = after < kNumAscii;
  const std::uint8_t left = before_is_ascii ? classes_.class_of[before] : ByteClasses::kNotAscii;
  const std::uint8_t right = after_is_ascii ? classes_.class_of[after] : ByteClasses::kNotAscii;
  classes_.may_follow[left] |= static_cast<std::uint16_t>(1U << right);
  if (before_is_ascii && after_is_ascii) {
    ascii_pairs_[before][after] = true;
  } else {
    const std::uint32_t hash = pair_hash(before, after);
    pairs_[hash / 64] |= std::uint64_t{1} << (hash % 64);
  }
}

std::string SplitProof::report() const {
  std::string text;
  for (std::size_t right = 0; right < ByteClasses::kNumClasses; ++right) {
    std::string before;
    for (std::size_t left = 0; left < ByteClasses::kNumClasses; ++left) {
      if ((classes_.may_follow[left] >> right & 1U) == 0) {
        before += (before.empty() ? "" : ", ") + std::string(kClasses[left].name);
      }
    }
    text += "  before " + std::string(kClasses[right].name) +
            ", behind: " + (before.empty() ? std::string("-") : before) + '\n';
  }
  return text;
}

}  // namespace penstock
