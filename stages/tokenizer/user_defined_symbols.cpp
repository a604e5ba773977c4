#include "stages/tokenizer/user_defined_symbols.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <functional>
#include <map>
#include <utility>

#include "pipeline/utf8.h"
#include "stages/tokenizer/piece_text.h"

namespace penstock {
namespace {

constexpr std::size_t kBlockBytes = TextKernels::kBlockBytes;

// Which bytes follow a byte at the begin of symbols, and which it follows.
struct Neighbours {
  std::bitset<256> behind;
  std::bitset<256> before;
};

bool operator<(const Neighbours& a, const Neighbours& b) {
  return std::pair(a.behind.to_string(), a.before.to_string()) <
         std::pair(b.behind.to_string(), b.before.to_string());
}

// By byte; those that are not ASCII are one.
std::array<Neighbours, 129> neighbours_of(const std::vector<std::string>& symbols) {
  const auto index = [](char byte) {
    return std::min<std::size_t>(static_cast<unsigned char>(byte), 128);
  };
  std::array<Neighbours, 129> neighbours;
  for (const std::string& symbol : symbols) {
    const std::size_t first = index(symbol[0]);
    for (std::size_t second = 0; second < neighbours.size(); ++second) {
      if (symbol.size() == 1 || index(symbol[1]) == second) {
        neighbours[first].behind.set(second);
        neighbours[second].before.set(first);
      }
    }
  }
  return neighbours;
}

// A byte may not follow another where a symbol may begin with the two. Bytes with the same
// neighbours share a class, and if these are too many the others do, so that more may begin.
ByteClasses classes_of(const std::vector<std::string>& symbols) {
  ByteClasses classes;
  classes.may_follow.fill(0xFFFF);
  const std::array<Neighbours, 129> neighbours = neighbours_of(symbols);
  std::map<Neighbours, std::uint8_t> numbers;
  std::array<std::uint8_t, 129> class_of{};
  for (std::size_t byte = 0; byte < 128; ++byte) {
    const auto next = static_cast<std::uint8_t>(
        std::min<std::size_t>(numbers.size(), ByteClasses::kNotAscii - 1));
    class_of[byte] = numbers.emplace(neighbours[byte], next).first->second;
    classes.class_of[byte] = class_of[byte];
  }
  class_of[128] = ByteClasses::kNotAscii;
  for (std::size_t first = 0; first < neighbours.size(); ++first) {
    for (std::size_t second = 0; second < neighbours.size(); ++second) {
      if (neighbours[first].behind[second]) {
        classes.may_follow[class_of[first]] &=
            static_cast<std::uint16_t>(~(1U << class_of[second]));
      }
    }
  }
  return classes;
}

// The bits of a block from `begin` up to `end`, which are positions in the block.
std::uint64_t bits_between(std::size_t begin, std::size_t end) {
  const std::uint64_t below_end = end >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << end) - 1;
  return begin >= 64 ? 0 : below_end & ~std::uint64_t{0} << begin;
}

}  // namespace

// The library looks at no more than 64 symbols of which each is the beginning of the next one, and
// sees symbols as far as their first zero byte.
std::string UserDefinedSymbols::refusal(const SentencePieceModel& model) {
  constexpr std::size_t kMaxSymbolLength = 64;
  for (const Piece& piece : model.pieces) {
    if (piece.type != PieceType::kUserDefined) {
      continue;
    }
    if (piece.text.find('\0') != std::string::npos || !is_utf8(piece.text)) {
      return "a user-defined symbol has a zero byte or is not valid UTF-8";
    }
    if (piece.text.size() > kMaxSymbolLength) {
      return "the user-defined symbol '" + piece.text + "' is longer than 64 bytes";
    }
  }
  return {};
}

UserDefinedSymbols::UserDefinedSymbols(const SentencePieceModel& model) {
  std::vector<std::string> symbols;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    // A text has no space left when symbols are looked for.
    if (piece.type == PieceType::kUserDefined && piece.text.find(' ') == std::string::npos) {
      symbols.push_back(with_spaces(piece.text));
      ids_.emplace(symbols.back(), static_cast<TokenId>(id));
      lengths_[static_cast<unsigned char>(symbols.back()[0])].push_back(symbols.back().size());
    }
  }
  for (std::vector<std::size_t>& lengths : lengths_) {
    std::sort(lengths.begin(), lengths.end(), std::greater<>());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  }
  first_bytes_ = classes_of(symbols);
}

std::optional<TokenId> UserDefinedSymbols::id_of(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::size_t UserDefinedSymbols::longest_prefix(std::string_view text) const {
  for (const std::size_t length : lengths_[static_cast<unsigned char>(text[0])]) {
    // A symbol of one byte has been found with its first byte.
    if (length == 1) {
      return 1;
    }
    if (length <= text.size() && ids_.find(text.substr(0, length)) != ids_.end()) {
      return length;
    }
  }
  return 0;
}

void UserDefinedSymbols::mark(const TextKernels& kernels,
                              std::string_view text,
                              std::size_t first_block,
                              std::size_t num_blocks,
                              std::uint64_t* cuts,
                              std::vector<BlockMarks>& scratch,
                              std::size_t& covered) const {
  scratch.resize(num_blocks);
  const std::size_t begin = first_block * kBlockBytes;
  // From the second byte on, so that a bit stands for the first byte of a pair.
  kernels.mark_cuts(first_bytes_, text.data() + begin + 1, num_blocks, scratch.data());
  for (std::size_t block = 0; block < num_blocks; ++block) {
    const std::size_t here = begin + block * kBlockBytes;
    // The part of the block that a symbol covers, and the cut where it ends.
    const auto cover = [&](std::size_t from) {
      const std::size_t end = covered - here;
      cuts[block] &= ~bits_between(from, end);
      cuts[block] |= bits_between(end, end + 1);
    };
    if (covered >= here) {
      cover(0);
    }
    for (std::uint64_t maybe = scratch[block].cuts; maybe != 0; maybe &= maybe - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(maybe));
      const std::size_t at = here + bit;
      if (at < covered || at >= text.size()) {
        continue;
      }
      if (const std::size_t length = longest_prefix(text.substr(at)); length > 0) {
        covered = at + length;
        cover(bit + 1);
        cuts[block] |= std::uint64_t{1} << bit;
      }
    }
  }
}

}  // namespace penstock
