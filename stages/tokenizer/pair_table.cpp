#include "stages/tokenizer/pair_table.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "stages/tokenizer/model_refused.h"

namespace penstock {

PairTable::PairTable(const std::vector<Pair>& pairs, std::vector<std::uint32_t> rank_of_symbol)
    : num_pairs_(pairs.size()), rank_of_symbol_(std::move(rank_of_symbol)) {
  // Four pairs a group on average; a quarter of the slots stays empty.
  const std::size_t num_groups = std::bit_ceil(std::max<std::size_t>(pairs.size() / 4, 2));
  pilot_shift_ = 64 - static_cast<unsigned>(std::countr_zero(num_groups));
  pilots_.resize(num_groups);
  num_slots_ = pairs.size() + pairs.size() / 3 + 1;
  memory_ = TableMemory(num_slots_ * sizeof(std::uint64_t));
  slots_ = static_cast<std::uint64_t*>(memory_.data());
  // One is enough for nearly every vocabulary.
  constexpr int kMaxTries = 16;
  multiplier_ = 0x9E3779B97F4A7C15U;
  for (int i = 0; !build(pairs); ++i) {
    if (i == kMaxTries) {
      throw ModelRefused("no perfect hash was found for its " + std::to_string(pairs.size()) +
                         " merges");
    }
    multiplier_ = multiplier_ * 0xD1342543DE82EF95U | 1U;
  }
}

// Places the largest groups first, while there is most room.
bool PairTable::build(const std::vector<Pair>& pairs) {
  std::fill_n(slots_, num_slots_, kEmptySlot);
  marks_.assign(num_slots_, 0);
  std::vector<std::vector<std::uint64_t>> groups(pilots_.size());
  for (const Pair& pair : pairs) {
    const std::uint64_t key = std::uint64_t{pair.left} << kSymbolBits | pair.right;
    const std::uint64_t tied = rank_of_symbol_[pair.merged] != pair.merged ? 1 : 0;
    groups[key * multiplier_ >> pilot_shift_].push_back(key << (kSymbolBits + 1) |
                                                        std::uint64_t{pair.merged} << 1U | tied);
  }
  std::vector<std::size_t> order(groups.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::stable_sort(order.begin(), order.end(), [&groups](std::size_t a, std::size_t b) {
    return groups[a].size() > groups[b].size();
  });
  std::vector<std::size_t> places;
  const auto fits = [&](const std::vector<std::uint64_t>& group, std::uint16_t pilot) {
    places.clear();
    for (const std::uint64_t slot : group) {
      const std::size_t place = slot_of((slot >> (kSymbolBits + 1)) * multiplier_, pilot);
      if (slots_[place] != kEmptySlot ||
          std::find(places.begin(), places.end(), place) != places.end()) {
        return false;
      }
      places.push_back(place);
    }
    return true;
  };
  for (const std::size_t number : order) {
    const std::vector<std::uint64_t>& group = groups[number];
    std::uint32_t pilot = 0;
    while (!fits(group, static_cast<std::uint16_t>(pilot))) {
      if (++pilot > UINT16_MAX) {
        return false;
      }
    }
    pilots_[number] = static_cast<std::uint16_t>(pilot);
    for (std::size_t i = 0; i < group.size(); ++i) {
      slots_[places[i]] = group[i];
      marks_[places[i]] = mark_of((group[i] >> (kSymbolBits + 1)) * multiplier_);
    }
  }
  return true;
}

std::size_t PairTable::bytes() const {
  return memory_.size() + sizeof(std::uint16_t) * pilots_.size() + marks_.size() +
         sizeof(std::uint32_t) * rank_of_symbol_.size();
}

}  // namespace penstock
