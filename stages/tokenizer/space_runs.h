#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "pipeline/chunk.h"
#include "stages/tokenizer/sentencepiece_model.h"
#include "stages/tokenizer/text_kernels.h"

namespace penstock {

// Knows whether a run of spaces before a word can be encoded apart from the word although pieces
// hold spaces side by side. It can where pieces of several spaces are worse than all others, so
// that they are merged when everything else is done, and where no piece holds several spaces and
// something else, or a space behind something else. Then the last space of a run goes to the word
// behind it, unless the word's ids begin with that of a space alone: such a space belongs to the
// run.
class SpaceRuns {
 public:
  explicit SpaceRuns(const SentencePieceModel& model);

  bool are_cut() const { return space_id_.has_value(); }
  // Of a space alone; only where runs are cut.
  TokenId space_id() const { return *space_id_; }

  // Cuts before the last space of each run of several that no cut parts from what is behind it, in
  // `size` bytes of text. Bits as those of TextSplitter::mark. `spaces_before` are those of the
  // block before, 0 at first. Returns whether there was one.
  static bool mark(const BlockMarks* marks,
                   std::size_t size,
                   std::uint64_t* cuts,
                   std::uint64_t& spaces_before);

 private:
  std::optional<TokenId> space_id_;
};

}  // namespace penstock
