#pragma once

#include <cstdint>

namespace penstock {

// What became of the tokens. in == out + dropped, and the cells of all batches are
// out + repeated + padded.
struct TokenAccount {
  std::int64_t in = 0;        // tokens that came from the stages before
  std::int64_t out = 0;       // of these, the ones that are in a batch
  std::int64_t dropped = 0;   // of these, the ones that are in none (drop_last)
  std::int64_t padded = 0;    // cells filled with the pad id
  std::int64_t repeated = 0;  // cells that repeat a row's last token as the next row's first

  // Equal in every count.
  bool operator==(const TokenAccount&) const = default;
};

}  // namespace penstock
