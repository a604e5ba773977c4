#include "stages/tokenizer/bpe_merger.h"

#include <algorithm>
#include <bit>

#include "stages/tokenizer/utf8_decoding.h"

namespace penstock {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::size_t kFew = 64;

}  // namespace

const std::vector<TokenId>& BpeMerger::merge(std::string_view word) {
  ids_.clear();
  if (!word.empty()) {
    split(word);
    if (parts_.size() <= kFew) {
      merge_few();
    } else {
      merge_many();
    }
    append_ids(word);
  }
  return ids_;
}

void BpeMerger::split(std::string_view word) {
  parts_.clear();
  for (std::size_t at = 0; at < word.size(); at += utf8_length(word[at])) {
    const auto index = static_cast<std::uint32_t>(parts_.size());
    parts_.push_back({vocabulary_.symbol_of(decode_utf8(word.data() + at)),
                      static_cast<std::uint32_t>(at),
                      index + 1,
                      index - 1});
  }
  parts_.back().next = kNone;
}

// With a bit for each part that is left, and a number for each that is the left one of a pair:
// rank and place, so that the least of them is the next pair to merge.
void BpeMerger::merge_few() {
  constexpr unsigned kPlaceBits = 6;
  std::array<std::uint32_t, kFew> order;
  std::array<std::uint32_t, kFew> merged;
  order.fill(kNone);
  const auto num_parts = static_cast<std::uint32_t>(parts_.size());
  std::uint64_t left_over =
      num_parts == kFew ? ~std::uint64_t{0} : (std::uint64_t{1} << num_parts) - 1;
  const auto look_up = [&](std::uint32_t left, std::uint32_t right) {
    const BpeVocabulary::Merge found =
        vocabulary_.merge_of(parts_[left].symbol, parts_[right].symbol);
    merged[left] = found.symbol;
    order[left] = found.rank == BpeVocabulary::kNoRank ? kNone : found.rank << kPlaceBits | left;
  };
  for (std::uint32_t left = 0; left + 1 < num_parts; ++left) {
    look_up(left, left + 1);
  }
  for (;;) {
    std::uint32_t least = kNone;
    for (std::uint32_t i = 0; i < num_parts; ++i) {
      least = std::min(least, order[i]);
    }
    if (least == kNone) {
      break;
    }
    const std::uint32_t place = least % kFew;
    parts_[place].symbol = merged[place];
    // The right part is the next one that is left over.
    std::uint64_t behind = left_over & ~std::uint64_t{1} << place;
    const auto right = static_cast<std::uint32_t>(std::countr_zero(behind)) % kFew;
    left_over &= ~(std::uint64_t{1} << right);
    order[right] = kNone;
    behind &= behind - 1;
    if (behind != 0) {
      look_up(place, static_cast<std::uint32_t>(std::countr_zero(behind)) % kFew);
    } else {
      order[place] = kNone;
    }
    const std::uint64_t before = left_over & ((std::uint64_t{1} << place) - 1);
    if (before != 0) {
      look_up(static_cast<std::uint32_t>(std::bit_width(before)) - 1, place);
    }
  }
  std::uint32_t previous = kNone;
  for (; left_over != 0; left_over &= left_over - 1) {
    const auto place = static_cast<std::uint32_t>(std::countr_zero(left_over));
    if (previous != kNone) {
      parts_[previous].next = place;
    }
    previous = place;
  }
  parts_[previous].next = kNone;
}

void BpeMerger::add_candidate(std::uint32_t left) {
  const std::uint32_t right = left == kNone ? kNone : parts_[left].next;
  if (right == kNone) {
    return;
  }
  const std::uint32_t left_symbol = parts_[left].symbol;
  const std::uint32_t right_symbol = parts_[right].symbol;
  const BpeVocabulary::Merge found = vocabulary_.merge_of(left_symbol, right_symbol);
  if (found.rank != BpeVocabulary::kNoRank) {
    heap_.push_back({found.rank, left, left_symbol, right_symbol, found.symbol});
  }
}

// With a heap. What a merge makes obsolete stays in it and is told by its symbols, which no part
// has twice: they only grow.
void BpeMerger::merge_many() {
  const auto comes_later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  heap_.clear();
  for (std::uint32_t left = 0; left < parts_.size(); ++left) {
    add_candidate(left);
  }
  std::make_heap(heap_.begin(), heap_.end(), comes_later);
  const auto add = [&](std::uint32_t left) {
    const std::size_t size = heap_.size();
    add_candidate(left);
    if (heap_.size() > size) {
      std::push_heap(heap_.begin(), heap_.end(), comes_later);
    }
  };
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), comes_later);
    const Candidate best = heap_.back();
    heap_.pop_back();
    Part& left = parts_[best.left];
    if (left.symbol != best.left_symbol || left.next == kNone ||
        parts_[left.next].symbol != best.right_symbol) {
      continue;
    }
    Part& right = parts_[left.next];
    right.symbol = kNone;  // no candidate has it
    left.symbol = best.merged;
    left.next = right.next;
    if (left.next != kNone) {
      parts_[left.next].previous = best.left;
    }
    add(left.previous);
    add(best.left);
  }
}

void BpeMerger::append_ids(std::string_view word) {
  for (std::uint32_t index = 0; index != kNone; index = parts_[index].next) {
    const Part& part = parts_[index];
    if (vocabulary_.is_piece(part.symbol)) {
      ids_.push_back(part.symbol);
      continue;
    }
    std::array<TokenId, BpeVocabulary::kMaxUnknownIds> unknown;
    TokenId* const end = vocabulary_.append_unknown(
        word.substr(part.begin, utf8_length(word[part.begin])), unknown.data());
    ids_.insert(ids_.end(), unknown.data(), end);
  }
}

}  // namespace penstock
