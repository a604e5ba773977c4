#include "stages/tokenizer/bpe_merger.h"

#include <algorithm>
#include <bit>

#include "stages/tokenizer/utf8_decoding.h"

namespace penstock {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;

}  // namespace

const std::vector<TokenId>& BpeMerger::merge_some(const std::string_view* words,
                                                  std::size_t num_words,
                                                  std::size_t* ends) {
  ids_.clear();
  std::array<bool, kSome> in_lane{};
  std::size_t num_lanes = 0;
  for (std::size_t i = 0; i < num_words; ++i) {
    in_lane[i] = fill(lanes_[num_lanes], begins_[num_lanes], words[i]);
    num_lanes += in_lane[i] ? 1 : 0;
  }
  kernels_.merge(vocabulary_.pairs(), lanes_.data(), num_lanes);
  std::size_t lane = 0;
  for (std::size_t i = 0; i < num_words; ++i) {
    if (in_lane[i]) {
      append_lane(lanes_[lane], begins_[lane], words[i]);
      ++lane;
    } else {
      merge_long(words[i]);
    }
    ends[i] = ids_.size();
  }
  return ids_;
}

bool BpeMerger::fill(MergeLane& lane, Begins& begins, std::string_view word) const {
  std::uint32_t count = 0;
  for (std::size_t at = 0; at < word.size(); at += utf8_length(word[at])) {
    if (count == MergeLane::kMaxSymbols) {
      return false;
    }
    lane.symbols[MergeLane::kFirst + count] = vocabulary_.symbol_of(decode_utf8(word.data() + at));
    begins[count] = static_cast<std::uint8_t>(at);
    ++count;
  }
  lane.begin(count);
  return true;
}

void BpeMerger::append_lane(const MergeLane& lane, const Begins& begins, std::string_view word) {
  std::uint64_t left_over = lane.left_over & ~MergeLane::kEnds;
  for (; left_over != 0; left_over &= left_over - 1) {
    const auto place = static_cast<std::size_t>(std::countr_zero(left_over));
    append_symbol(lane.symbols[place], word, begins[place - MergeLane::kFirst]);
  }
}

void BpeMerger::append_symbol(std::uint32_t symbol, std::string_view word, std::size_t begin) {
  if (vocabulary_.is_piece(symbol)) {
    ids_.push_back(vocabulary_.id_of(symbol));
    return;
  }
  std::array<TokenId, BpeVocabulary::kMaxUnknownIds> unknown;
  TokenId* const end =
      vocabulary_.append_unknown(word.substr(begin, utf8_length(word[begin])), unknown.data());
  ids_.insert(ids_.end(), unknown.data(), end);
}

void BpeMerger::add_candidate(std::uint32_t left) {
  const std::uint32_t right = left == kNone ? kNone : parts_[left].next;
  if (right == kNone) {
    return;
  }
  const std::uint32_t left_symbol = parts_[left].symbol;
  const std::uint32_t right_symbol = parts_[right].symbol;
  const PairTable::Merge found = vocabulary_.pairs().find(left_symbol, right_symbol);
  if (found.rank != PairTable::kNoRank) {
    heap_.push_back({found.rank, left, left_symbol, right_symbol, found.symbol});
  }
}

void BpeMerger::merge_long(std::string_view word) {
  if (word.size() <= long_word_bytes_) {
    merge_chain(word);
    return;
  }
  const std::lock_guard turn(long_words_);
  merge_chain(word);
  parts_ = std::vector<Part>();
  heap_ = std::vector<Candidate>();
}

// With a heap. What a merge makes obsolete stays in it and is told by its symbols: a part that has
// grown never has the symbol again that it had.
void BpeMerger::merge_chain(std::string_view word) {
  parts_.clear();
  for (std::size_t at = 0; at < word.size(); at += utf8_length(word[at])) {
    const auto index = static_cast<std::uint32_t>(parts_.size());
    parts_.push_back({vocabulary_.symbol_of(decode_utf8(word.data() + at)),
                      static_cast<std::uint32_t>(at),
                      index + 1,
                      index - 1});
  }
  parts_.back().next = kNone;

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
  for (std::uint32_t index = 0; index != kNone; index = parts_[index].next) {
    append_symbol(parts_[index].symbol, word, parts_[index].begin);
  }
}

}  // namespace penstock
