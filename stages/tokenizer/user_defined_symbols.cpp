#include "stages/tokenizer/user_defined_symbols.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "pipeline/utf8.h"
#include "stages/tokenizer/piece_text.h"

namespace penstock {
namespace {

constexpr std::size_t kBlockBytes = TextKernels::kBlockBytes;

// Every character gets a class by itself as far as the classes suffice, then some share one.
std::uint8_t class_of(unsigned char byte) {
  return byte < 0x80 ? static_cast<std::uint8_t>(byte % ByteClasses::kNotAscii)
                     : ByteClasses::kNotAscii;
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
  for (unsigned byte = 0; byte < first_bytes_.class_of.size(); ++byte) {
    first_bytes_.class_of[byte] = class_of(static_cast<unsigned char>(byte));
  }
  first_bytes_.may_follow.fill(0xFFFF);
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    // A text has no space left when symbols are looked for.
    if (piece.type != PieceType::kUserDefined || piece.text.find(' ') != std::string::npos) {
      continue;
    }
    const std::string symbol = with_spaces(piece.text);
    ids_.emplace(symbol, static_cast<TokenId>(id));
    lengths_.push_back(symbol.size());
    add_first_bytes(symbol);
  }
  std::sort(lengths_.begin(), lengths_.end(), std::greater<>());
  lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
}

void UserDefinedSymbols::add_first_bytes(std::string_view symbol) {
  const std::uint8_t first = class_of(static_cast<unsigned char>(symbol[0]));
  const auto second =
      symbol.size() > 1 ? 1U << class_of(static_cast<unsigned char>(symbol[1])) : 0xFFFFU;
  first_bytes_.may_follow[first] &= static_cast<std::uint16_t>(~second);
}

std::optional<TokenId> UserDefinedSymbols::id_of(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::size_t UserDefinedSymbols::longest_prefix(std::string_view text) const {
  for (const std::size_t length : lengths_) {
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
