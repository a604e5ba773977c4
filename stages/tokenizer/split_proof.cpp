#include "stages/tokenizer/split_proof.h"

#include <algorithm>
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
  std::string_view name;  // of four characters at most
  std::string_view characters;
};
constexpr std::array<NamedClass, ByteClasses::kNumClasses> kClasses = {{
    {"sp", " "},
    {"a-z", "abcdefghijklmnopqrstuvwxyz"},
    {"A-Z", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    {"0-9", "0123456789"},
    {"lf", "\n"},
    {".", "."},
    {",", ","},
    {";:!?", ";:!?"},
    {"'\"`", "'\"`"},
    {"-", "-"},
    {"_", "_"},
    {"([{<", "([{<"},
    {")]}>", ")]}>"},
    {"/\\", "/\\"},
    {"*", ""},
    {"**", ""},
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

using CharacterPairs = std::vector<std::pair<char32_t, char32_t>>;

// The neighbours in a piece, U+2581 being a space.
CharacterPairs pairs_of(std::string_view piece) {
  CharacterPairs pairs;
  char32_t before = 0;
  for (std::size_t at = 0; at < piece.size();) {
    const Utf8Character character = first_utf8_character(piece.substr(at));
    const char32_t here = character.code_point == kSpaceSymbol ? U' ' : character.code_point;
    if (at > 0) {
      pairs.emplace_back(before, here);
    }
    before = here;
    at += character.length;
  }
  return pairs;
}

}  // namespace

SplitProof::SplitProof(const std::vector<std::string_view>& pieces)
    : pairs_((std::size_t{1} << kHashBits) / 64) {
  classes_.class_of = ascii_classes();
  // Not every byte from 0x80 is the first one of a character.
  classes_.may_follow[ByteClasses::kNotAscii] = 1U << ByteClasses::kNotAscii;
  std::set<std::pair<char32_t, char32_t>> pairs;
  for (const std::string_view piece : pieces) {
    if (is_utf8(piece)) {
      for (const auto& pair : pairs_of(piece)) {
        pairs.insert(pair);
        add_obstacle(pair.first, pair.second, piece);
      }
    }
  }
  for (const auto& [before, after] : pairs) {
    add_pair(before, after);
  }
  num_pairs_ = pairs.size();
}

std::uint8_t SplitProof::class_of(char32_t character) const {
  return character < kNumAscii ? classes_.class_of[character] : ByteClasses::kNotAscii;
}

void SplitProof::add_obstacle(char32_t before, char32_t after, std::string_view piece) {
  Obstacle& obstacle = obstacles_[class_of(before)][class_of(after)];
  if (obstacle.num_pieces++ == 0) {
    obstacle.example = piece;
  }
}

void SplitProof::add_pair(char32_t before, char32_t after) {
  classes_.may_follow[class_of(before)] |= static_cast<std::uint16_t>(1U << class_of(after));
  if (before < kNumAscii && after < kNumAscii) {
    ascii_pairs_[before][after] = true;
  } else {
    const std::uint32_t hash = pair_hash(before, after);
    pairs_[hash / 64] |= std::uint64_t{1} << (hash % 64);
  }
}

std::string SplitProof::report() const {
  const auto cell = [](std::string_view text) {
    return std::string(5 - text.size(), ' ') + std::string(text);
  };
  std::string table = "  " + cell("");
  for (const NamedClass& after : kClasses) {
    table += cell(after.name);
  }
  table += '\n';
  std::vector<std::pair<std::size_t, std::string>> exceptions;
  for (std::size_t before = 0; before < kClasses.size(); ++before) {
    table += "  " + cell(kClasses[before].name);
    for (std::size_t after = 0; after < kClasses.size(); ++after) {
      table += cell((classes_.may_follow[before] >> after & 1U) != 0 ? "." : "cut");
      const Obstacle& obstacle = obstacles_[before][after];
      if (obstacle.num_pieces > 0) {
        exceptions.emplace_back(obstacle.num_pieces,
                                std::string(kClasses[before].name) + " before " +
                                    std::string(kClasses[after].name) + ": " +
                                    std::to_string(obstacle.num_pieces) + ", such as '" +
                                    obstacle.example + "'");
      }
    }
    table += '\n';
  }
  table +=
      "  (rows: the character before the cut; columns: behind it; sp: space; lf: line feed; *: "
      "other\n"
      "  ASCII; **: other characters; cut: no piece holds the two side by side; . : some piece "
      "does)\n";
  std::sort(exceptions.begin(), exceptions.end());
  constexpr std::size_t kShown = 10;
  if (!exceptions.empty()) {
    table += "\nWhere the fewest pieces stand in the way of a cut:\n";
  }
  for (std::size_t i = 0; i < std::min(exceptions.size(), kShown); ++i) {
    table += "  " + exceptions[i].second + '\n';
  }
  return table;
}

}  // namespace penstock
