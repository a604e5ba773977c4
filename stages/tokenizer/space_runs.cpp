#include "stages/tokenizer/space_runs.h"

#include <algorithm>
#include <limits>
#include <string>

#include "stages/tokenizer/piece_text.h"

namespace penstock {
namespace {

// The spaces at the front of the text.
std::size_t count_leading_spaces(const std::string& text) {
  return std::min(text.find_first_not_of(' '), text.size());
}

}  // namespace

SpaceRuns::SpaceRuns(const SentencePieceModel& model) {
  std::optional<TokenId> space;
  bool has_runs = false;
  float best_run = -std::numeric_limits<float>::infinity();
  float worst_other = std::numeric_limits<float>::infinity();
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const bool in_texts = piece.type == PieceType::kNormal || piece.type == PieceType::kUserDefined;
    if (!in_texts || piece.text.find(' ') != std::string::npos) {
      continue;
    }
    const std::string text = with_spaces(piece.text);
    const std::size_t leading = count_leading_spaces(text);
    if (text.find(' ', leading) != std::string::npos) {
      return;  // a space behind something else
    }
    if (leading > 0 &&
        (piece.type == PieceType::kUserDefined || (leading > 1 && leading < text.size()))) {
      return;
    }
    if (text == " ") {
      space = static_cast<TokenId>(id);
    } else if (leading == text.size()) {
      has_runs = true;
      best_run = std::max(best_run, piece.score);
    } else {
      worst_other = std::min(worst_other, piece.score);
    }
  }
  if (has_runs && best_run < worst_other) {
    space_id_ = space;
  }
}

bool SpaceRuns::mark(const BlockMarks* marks,
                     std::size_t size,
                     std::uint64_t* cuts,
                     std::uint64_t& spaces_before) {
  constexpr std::size_t kBlockBytes = TextKernels::kBlockBytes;
  std::uint64_t any = 0;
  for (std::size_t block = 0; block * kBlockBytes < size; ++block) {
    const std::size_t here = std::min(size - block * kBlockBytes, kBlockBytes);
    const std::uint64_t in_text = ~std::uint64_t{0} >> (kBlockBytes - here);
    const std::uint64_t spaces = marks[block].spaces;
    const std::uint64_t behind_two =
        (spaces << 1U | spaces_before >> 63U) & (spaces << 2U | spaces_before >> 62U);
    const std::uint64_t word_begins = behind_two & ~spaces & ~cuts[block] & in_text;
    cuts[block] |= word_begins >> 1U;
    if (block > 0) {
      cuts[block - 1] |= word_begins << 63U;
    }
    any |= word_begins;
    spaces_before = spaces;
  }
  return any != 0;
}

}  // namespace penstock
