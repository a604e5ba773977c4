#include "stages/tokenizer/pair_table.h"

#include <map>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "stages/tokenizer/model_refused.h"

namespace penstock {
namespace {

// Of symbols below `num_symbols`, each pair once, merged into any symbol.
std::vector<PairTable::Pair> random_pairs(std::mt19937& random,
                                          std::size_t num_pairs,
                                          std::uint32_t num_symbols) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> merged;
  while (merged.size() < num_pairs) {
    merged[{static_cast<std::uint32_t>(random() % num_symbols),
            static_cast<std::uint32_t>(random() % num_symbols)}] =
        static_cast<std::uint32_t>(random() % num_symbols);
  }
  std::vector<PairTable::Pair> pairs;
  for (const auto& [pair, symbol] : merged) {
    pairs.push_back({pair.first, pair.second, symbol});
  }
  return pairs;
}

std::vector<std::uint32_t> own_ranks(std::uint32_t num_symbols) {
  std::vector<std::uint32_t> ranks(num_symbols);
  for (std::uint32_t symbol = 0; symbol < num_symbols; ++symbol) {
    ranks[symbol] = symbol;
  }
  return ranks;
}

// The same pair twice has no perfect hash.
TEST(PairTable, IsRefusedWhereThereIsNoPerfectHash) {
  EXPECT_THROW(PairTable({{0, 1, 2}, {0, 1, 3}}, own_ranks(4)), ModelRefused);
}

TEST(PairTable, FindsEveryPairAndNoOther) {
  std::mt19937 random(7);
  for (const std::size_t num_pairs : {1, 2, 10, 1000, 60'000}) {
    const std::uint32_t num_symbols = num_pairs < 100 ? 10 : 2000;
    const std::vector<PairTable::Pair> pairs = random_pairs(random, num_pairs, num_symbols);
    const PairTable table(pairs, own_ranks(num_symbols));
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> merged;
    for (const PairTable::Pair& pair : pairs) {
      merged[{pair.left, pair.right}] = pair.merged;
      const PairTable::Merge found = table.find(pair.left, pair.right);
      EXPECT_EQ(found.symbol, pair.merged);
      EXPECT_EQ(found.rank, pair.merged);
    }
    for (int i = 0; i < 10'000; ++i) {
      const auto left = static_cast<std::uint32_t>(random() % (2 * num_symbols));
      const auto right = static_cast<std::uint32_t>(random() % (2 * num_symbols));
      if (!merged.contains({left, right})) {
        EXPECT_EQ(table.find(left, right).rank, PairTable::kNoRank);
        EXPECT_EQ(table.find(left, right).symbol, PairTable::kNoSymbol);
      }
    }
    EXPECT_EQ(table.size(), num_pairs);
  }
}

TEST(PairTable, MergesNothingWithWhatIsNoSymbol) {
  const PairTable table({{0, 0, 1}, {1, 0, 1}}, {0, 1});
  for (const std::uint32_t symbol : {0U, 1U, PairTable::kNoSymbol}) {
    EXPECT_EQ(table.find(symbol, PairTable::kNoSymbol).rank, PairTable::kNoRank);
    EXPECT_EQ(table.find(PairTable::kNoSymbol, symbol).rank, PairTable::kNoRank);
  }
}

TEST(PairTable, GivesTiedSymbolsTheRankOfTheFirstOne) {
  const PairTable table({{0, 1, 2}, {1, 0, 3}, {2, 2, 4}}, {0, 1, 2, 2, 4});
  EXPECT_EQ(table.find(0, 1).rank, 2U);
  EXPECT_EQ(table.find(1, 0).rank, 2U);
  EXPECT_EQ(table.find(1, 0).symbol, 3U);
  EXPECT_EQ(table.find(2, 2).rank, 4U);
}

TEST(PairTable, TakesAVocabularyWithoutPairs) {
  const PairTable table({}, {});
  EXPECT_EQ(table.find(0, 0).rank, PairTable::kNoRank);
}

}  // namespace
}  // namespace penstock
