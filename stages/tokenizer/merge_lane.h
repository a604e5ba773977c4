#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "stages/tokenizer/pair_table.h"

namespace penstock {

// A word that is being merged. Several are merged at the same time, a step of each in turn and
// without branches: one waits for memory while the others go on.
//
// Symbol i of the word is in place kFirst + i of the arrays. The places before and behind have
// symbols that no pair has, so that the ends of a word need no special case; a word that is
// finished goes on idly in kIdle.
struct MergeLane {
  static constexpr std::size_t kMostLanes = 4;  // at the same time
  static constexpr std::size_t kMaxSymbols = 31;
  static constexpr std::uint32_t kFirst = 16;
  static constexpr std::uint32_t kIdle = kFirst + kMaxSymbols;
  static constexpr std::size_t kPlaces = kIdle + 3;
  static constexpr std::uint64_t kEnds = std::uint64_t{1} << (kFirst - 1) | std::uint64_t{3}
                                                                                << (kIdle + 1);
  static constexpr unsigned kNumberBits = 5;
  static constexpr std::uint32_t kNone = UINT32_MAX;  // ends in the number of kIdle

  std::array<std::uint32_t, kPlaces> symbols;
  // Of the pair whose left symbol is here: its rank and, in the lowest bits, the number of that
  // symbol, so that the least is merged next. kNone where the two are not merged.
  alignas(64) std::array<std::uint32_t, kPlaces> order;
  std::array<std::uint32_t, kPlaces> merged;  // what such a pair becomes
  std::uint64_t left_over;                    // a bit for each place with a symbol
  std::uint32_t num_symbols;                  // at first

  MergeLane() { symbols.fill(PairTable::kNoSymbol); }

  // Begins a word whose symbols have been filled in.
  void begin(std::uint32_t count) {
    num_symbols = count;
    left_over = kEnds | ((std::uint64_t{1} << count) - 1) << kFirst;
    order.fill(kNone);
  }
};

[[gnu::always_inline]] inline void set_pair(MergeLane& lane,
                                            std::uint64_t left,
                                            const PairTable::Merge& found) {
  const auto none = static_cast<std::uint32_t>(static_cast<std::int32_t>(found.rank) >> 31U);
  lane.merged[left] = found.symbol;
  lane.order[left] = found.rank << MergeLane::kNumberBits |
                     static_cast<std::uint32_t>(left - MergeLane::kFirst) | none;
}

// What a step has found out before it knows what its new symbol is merged with.
struct MergeStep {
  std::uint64_t place;
  std::uint64_t previous;
  PairTable::Probe with_next;
  PairTable::Probe with_previous;
};

// Merges the pair that comes first, if there is one; `least` is the least order.
[[gnu::always_inline]] inline MergeStep begin_step(const PairTable& pairs,
                                                   MergeLane& lane,
                                                   std::uint32_t least) {
  const std::uint64_t active = least != MergeLane::kNone ? 1 : 0;
  const std::uint64_t place =
      MergeLane::kFirst + least % (std::uint32_t{1} << MergeLane::kNumberBits);
  const std::uint32_t symbol = lane.merged[place];
  lane.symbols[place] = symbol;
  std::uint64_t behind = lane.left_over & ~std::uint64_t{1} << place;
  const auto right = static_cast<std::uint64_t>(__builtin_ctzll(behind));
  lane.left_over &= ~(active << right);
  lane.order[right] = MergeLane::kNone;
  behind &= behind - 1;
  const auto next = static_cast<std::uint64_t>(__builtin_ctzll(behind));
  const std::uint64_t before = lane.left_over & ((std::uint64_t{1} << place) - 1);
  const auto previous = static_cast<std::uint64_t>(63 ^ __builtin_clzll(before));
  return {place,
          previous,
          pairs.probe(symbol, lane.symbols[next]),
          pairs.probe(lane.symbols[previous], symbol)};
}

[[gnu::always_inline]] inline void end_step(const PairTable& pairs,
                                            MergeLane& lane,
                                            const MergeStep& step) {
  set_pair(lane, step.place, pairs.read(step.with_next));
  set_pair(lane, step.previous, pairs.read(step.with_previous));
}

// Merges each word as far as it goes. `least_order(lane, num_symbols)` is the least order of the
// first places.
template <typename LeastOrder>
[[gnu::always_inline]] inline void merge_lanes_with(const PairTable& pairs,
                                                    MergeLane* lanes,
                                                    std::size_t num_lanes,
                                                    const LeastOrder& least_order) {
  std::uint32_t most_symbols = 0;
  for (std::size_t i = 0; i < num_lanes; ++i) {
    MergeLane& lane = lanes[i];
    const std::uint32_t last = MergeLane::kFirst + lane.num_symbols - 1;
    for (std::uint32_t place = MergeLane::kFirst; place < last; ++place) {
      set_pair(lane, place, pairs.find(lane.symbols[place], lane.symbols[place + 1]));
    }
    lane.merged[MergeLane::kIdle] = PairTable::kNoSymbol;
    most_symbols = lane.num_symbols > most_symbols ? lane.num_symbols : most_symbols;
  }
  std::array<MergeStep, MergeLane::kMostLanes> steps;
  for (bool any = true; any;) {
    any = false;
    for (std::size_t i = 0; i < num_lanes; ++i) {
      const std::uint32_t least = least_order(lanes[i], most_symbols);
      any |= least != MergeLane::kNone;
      steps[i] = begin_step(pairs, lanes[i], least);
    }
    for (std::size_t i = 0; i < num_lanes; ++i) {
      end_step(pairs, lanes[i], steps[i]);
    }
  }
}

}  // namespace penstock
