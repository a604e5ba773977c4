#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stages/tokenizer/table_memory.h"

namespace penstock {

// Says what two neighbouring symbols are merged into. Symbols are numbers in the order in which
// merging prefers them. A perfect hash: a lookup reads one slot and has no branches that depend on
// the pair. Immutable once built.
class PairTable {
 public:
  static constexpr unsigned kSymbolBits = 21;
  // Is merged with nothing.
  static constexpr std::uint32_t kNoSymbol = (1U << kSymbolBits) - 2;
  static constexpr std::uint32_t kNoRank = UINT32_MAX;

  struct Pair {
    std::uint32_t left;
    std::uint32_t right;
    std::uint32_t merged;
  };
  // Two symbols that are not merged give kNoSymbol and kNoRank.
  struct Merge {
    std::uint32_t symbol;
    std::uint32_t rank;  // the lowest is merged first
  };

  PairTable() = default;
  // Each pair once; throws ModelRefused where no perfect hash is found. `rank_of_symbol` has the
  // rank of every merged symbol: its number, or that of the first one of those that are merged as
  // readily.
  PairTable(const std::vector<Pair>& pairs, std::vector<std::uint32_t> rank_of_symbol);

  Merge find(std::uint32_t left, std::uint32_t right) const { return read(probe(left, right)); }

  // The two halves of find(): where to look, which fetches that into the cache, and looking.
  struct Probe {
    std::uint64_t key;
    std::size_t slot;
  };
  Probe probe(std::uint32_t left, std::uint32_t right) const {
    const std::uint64_t key = std::uint64_t{left} << kSymbolBits | right;
    const std::uint64_t hash = key * multiplier_;
    const std::size_t place = slot_of(hash, pilots_[hash >> pilot_shift_]);
    // Most pairs are not merged. What tells that of nearly all of them fits into a near cache; they
    // look at the first slot then, which is not theirs.
    const std::size_t maybe = marks_[place] == mark_of(hash) ? 1 : 0;
    const std::size_t slot = place & (0 - maybe);
    __builtin_prefetch(slots_ + slot);
    return {key, slot};
  }
  Merge read(const Probe& probe) const {
    const std::uint64_t slot = slots_[probe.slot];
    const auto symbol = static_cast<std::uint32_t>(slot >> 1U) & kSymbolMask;
    std::uint32_t rank = symbol;
    if ((slot & 1U) != 0) [[unlikely]] {
      rank = rank_of_symbol_[symbol];
    }
    // All bits where the pair is another one. Compilers make jumps of a choice, and these cannot be
    // predicted.
    const std::uint64_t difference = slot >> (kSymbolBits + 1) ^ probe.key;
    const auto none = static_cast<std::uint32_t>(
        static_cast<std::int64_t>(difference | (~difference + 1)) >> 63U);
    return {(symbol & ~none) | (kNoSymbol & none), rank | none};
  }

  std::size_t size() const { return num_pairs_; }
  std::size_t bytes() const;

 private:
  static constexpr std::uint32_t kSymbolMask = (1U << kSymbolBits) - 1;
  // Not the slot of any pair: both its symbols would be kNoSymbol + 1. Without the bit for ties.
  static constexpr std::uint64_t kEmptySlot = ~std::uint64_t{1};

  // Where a pair is, by its hash and what was found to spread the pairs of a group without
  // collision.
  std::size_t slot_of(std::uint64_t hash, std::uint16_t pilot) const {
    const auto step = static_cast<std::uint32_t>(hash >> 8U) | 1U;
    const std::uint32_t place = static_cast<std::uint32_t>(hash >> 20U) + pilot * step;
    return std::uint64_t{place} * num_slots_ >> 32U;
  }
  static std::uint8_t mark_of(std::uint64_t hash) { return static_cast<std::uint8_t>(hash >> 56U); }
  bool build(const std::vector<Pair>& pairs);

  std::size_t num_pairs_ = 0;
  std::uint64_t multiplier_ = 0;
  unsigned pilot_shift_ = 63;
  std::uint64_t num_slots_ = 1;
  std::vector<std::uint16_t> pilots_;
  std::vector<std::uint8_t> marks_;  // of the pair in each slot
  TableMemory memory_;
  // Each has the left, right and merged symbol, and whether the merged one is tied.
  std::uint64_t* slots_ = nullptr;
  std::vector<std::uint32_t> rank_of_symbol_;
};

}  // namespace penstock
