#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pipeline/chunk.h"

namespace penstock {

// The ids of a word as the value of a WordTable: as many as fit into kBytes. `Id` is as wide as the
// vocabulary needs.
template <typename Id, std::size_t kBytes>
struct WordIds {
  static constexpr std::size_t kCapacity = kBytes / sizeof(Id) - 1;

  std::array<Id, kCapacity> ids;
  Id count;

  // Writes kCapacity + 1 places, of which the first `count` are the ids.
  void copy_to(TokenId* to) const {
    std::array<Id, kCapacity + 1> all;
    std::memcpy(all.data(), this, sizeof all);
    for (std::size_t i = 0; i <= kCapacity; ++i) {
      to[i] = all[i];
    }
  }
  // Writes all kCapacity places to `to`, of which the first `count` are the ids, and returns the
  // end of these.
  TokenId* append_to(TokenId* to) const {
    for (std::size_t i = 0; i < kCapacity; ++i) {
      to[i] = ids[i];
    }
    return to + count;
  }

  static WordIds of(const TokenId* from, std::size_t num_ids) {
    WordIds value{};
    for (std::size_t i = 0; i < num_ids; ++i) {
      value.ids[i] = static_cast<Id>(from[i]);
    }
    value.count = static_cast<Id>(num_ids);
    return value;
  }
};

}  // namespace penstock
