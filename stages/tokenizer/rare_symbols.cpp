#include "stages/tokenizer/rare_symbols.h"

#include <algorithm>
#include <utility>

#include "pipeline/utf8.h"
#include "stages/tokenizer/piece_text.h"

namespace penstock {
namespace {

// Texts are searched for these, so there are few.
constexpr std::string_view kFirstBytes = "<[";

}  // namespace

bool RareSymbols::has(const Piece& piece) {
  return piece.type == PieceType::kUserDefined && piece.text.size() > 1 &&
         kFirstBytes.find(piece.text[0]) != std::string_view::npos && is_utf8(piece.text) &&
         piece.text.find(' ') == std::string::npos &&
         piece.text.find(kSpaceSymbol) == std::string::npos;
}

RareSymbols::RareSymbols(const SentencePieceModel& model) {
  std::vector<ByteTrie::Entry> entries;
  for (const Piece& piece : model.pieces) {
    if (has(piece)) {
      entries.push_back({piece.text, 0});
      if (first_bytes_.find(piece.text[0]) == std::string::npos) {
        first_bytes_ += piece.text[0];
      }
    }
  }
  num_symbols_ = entries.size();
  symbols_ = ByteTrie(std::move(entries));
}

// At each place the longest one: it covers the others.
void RareSymbols::find(std::string_view text, std::vector<Place>& places) const {
  places.clear();
  for (const char first : first_bytes_) {
    for (std::size_t at = text.find(first); at != std::string_view::npos;
         at = text.find(first, at + 1)) {
      const std::size_t length = symbols_.longest_prefix(text.substr(at)).length;
      if (length > 0) {
        places.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + length)});
      }
    }
  }
  std::sort(places.begin(), places.end(), [](const Place& left, const Place& right) {
    return left.begin < right.begin;
  });
}

}  // namespace penstock
