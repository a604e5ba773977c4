#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipeline/chunk.h"
#include "stages/tokenizer/byte_classes.h"
#include "stages/tokenizer/sentencepiece_model.h"
#include "stages/tokenizer/text_kernels.h"

namespace penstock {

// Finds the user-defined symbols of a model, which are always one token and never part of another:
// from the left, the longest one at each character. In texts and symbols alike a space stands for
// U+2581. Immutable.
class UserDefinedSymbols {
 public:
  // The model has passed refusal().
  explicit UserDefinedSymbols(const SentencePieceModel& model);
  // Why the symbols cannot be looked for as the library does; nothing where they can.
  static std::string refusal(const SentencePieceModel& model);

  bool is_empty() const { return ids_.empty(); }
  std::size_t size() const { return ids_.size(); }
  // The id of the symbol that is the whole text.
  std::optional<TokenId> id_of(std::string_view text) const;
  // The length of the longest symbol at the front of the text, which is not empty; 0 where there is
  // none.
  std::size_t longest_prefix(std::string_view text) const;

  // Bits as those of TextSplitter::mark: cuts before and behind each symbol are set, those inside
  // are cleared. `covered` is where the last symbol so far ends, for the next blocks; 0 at first.
  // One byte behind the blocks is readable.
  void mark(const TextKernels& kernels,
            std::string_view text,
            std::size_t first_block,
            std::size_t num_blocks,
            std::uint64_t* cuts,
            std::vector<BlockMarks>& scratch,
            std::size_t& covered) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  // That symbols with this first byte have, the longest first.
  std::array<std::vector<std::size_t>, 256> lengths_;
  // A byte may not follow another where a symbol may begin with the two: the kernel that marks cuts
  // then marks where symbols may begin.
  ByteClasses first_bytes_;
};

}  // namespace penstock
