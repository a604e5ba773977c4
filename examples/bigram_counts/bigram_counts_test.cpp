#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "pipeline/plugin_loader.h"
#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace {

namespace fakes = penstock::testing;
using penstock::Batch;
using penstock::TokenId;
using Figures =
    std::map<std::string, std::variant<std::int64_t, double, std::string, std::vector<double>>>;

constexpr std::int64_t kVocabulary = 50;
constexpr std::int64_t kRows = 4;
constexpr std::int64_t kLength = 300;

Figures run(const std::string& options, const std::vector<Batch>& batches) {
  penstock::StageRegistry registry;
  penstock::load_plugin(PLUGIN, "", registry);
  const fakes::StageRun run =
      fakes::run_sink(registry, "device: {stage: bigram_counts, " + options + "}", batches);
  Figures figures;
  for (const penstock::Result& result : run.summary.sinks.at(0).results) {
    figures[result.name] = result.value;
  }
  return figures;
}

// Rows of `row_length`, some of which end in padding, cut into documents at random places.
Batch random_batch(std::mt19937& random, std::int64_t index, std::int64_t row_length) {
  const auto below = [&random](std::int64_t end) {
    return std::uniform_int_distribution<std::int64_t>(0, end - 1)(random);
  };
  std::vector<std::vector<TokenId>> rows(kRows);
  for (std::vector<TokenId>& row : rows) {
    for (std::int64_t i = 0; i < row_length; ++i) {
      row.push_back(static_cast<TokenId>(below(1 + below(kVocabulary))));
    }
  }
  Batch batch = fakes::batch_of(rows, index);
  batch.sequence_length = kLength;
  std::set<std::int64_t> boundaries = {kRows * kLength};
  for (std::int64_t row = 0; row < kRows; ++row) {
    const std::int64_t tokens = below(3) == 0 ? 1 + below(row_length) : row_length;
    batch.segments[static_cast<std::size_t>(row)].end -= row_length - tokens;
    batch.num_tokens -= row_length - tokens;
    boundaries.insert({row * kLength, row * kLength + std::min(tokens, kLength)});
    for (int cut = 0; cut < 20; ++cut) {
      boundaries.insert(row * kLength + below(std::min(tokens, kLength)));
    }
  }
  batch.cu_seqlens.clear();
  for (const std::int64_t boundary : boundaries) {
    batch.cu_seqlens.push_back(static_cast<std::int32_t>(boundary));
  }
  return batch;
}

std::vector<Batch> random_batches(std::int64_t row_length) {
  std::mt19937 random(1);
  std::vector<Batch> batches;
  for (std::int64_t i = 0; i < 10; ++i) {
    batches.push_back(random_batch(random, i, row_length));
  }
  return batches;
}

// The plain loop over positions.
Figures expected(const std::vector<Batch>& batches) {
  std::map<TokenId, std::int64_t> tokens;
  std::map<std::pair<TokenId, TokenId>, std::int64_t> bigrams;
  std::int64_t num_tokens = 0;
  std::int64_t num_bigrams = 0;
  for (const Batch& batch : batches) {
    std::vector<bool> is_boundary(kRows * kLength + 1);
    for (const std::int32_t boundary : batch.cu_seqlens) {
      is_boundary[static_cast<std::size_t>(boundary)] = true;
    }
    for (std::int64_t row = 0; row < kRows; ++row) {
      const std::int64_t end = batch.segments[static_cast<std::size_t>(row)].end;
      for (std::int64_t column = 0; column < kLength; ++column) {
        const std::int64_t cell = row * batch.row_length + column;
        if (cell >= end) {
          break;
        }
        const TokenId* token = &batch.tokens[static_cast<std::size_t>(cell)];
        ++tokens[*token];
        ++num_tokens;
        const auto next_position = static_cast<std::size_t>(row * kLength + column + 1);
        if (column + 1 < kLength && cell + 1 < end && !is_boundary[next_position]) {
          ++bigrams[{token[0], token[1]}];
          ++num_bigrams;
        }
      }
    }
  }
  const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto token = std::max_element(tokens.begin(), tokens.end(), by_count);
  const auto bigram = std::max_element(bigrams.begin(), bigrams.end(), by_count);
  return {{"tokens_counted", num_tokens},
          {"different_tokens", std::ssize(tokens)},
          {"top_tokens", std::to_string(token->first) + ": " + std::to_string(token->second)},
          {"bigrams_counted", num_bigrams},
          {"different_bigrams", std::ssize(bigrams)},
          {"top_bigrams",
           std::to_string(bigram->first.first) + " " + std::to_string(bigram->first.second) + ": " +
               std::to_string(bigram->second)},
          {"outside_vocabulary", std::int64_t{0}}};
}

void expect_figures(const Figures& got, const Figures& wanted) {
  for (const auto& [name, value] : wanted) {
    EXPECT_EQ(got.at(name), value) << name;
  }
}

TEST(BigramCounts, CountsAsAPlainLoopDoes) {
  for (const std::int64_t row_length : {kLength, kLength + 1}) {
    const std::vector<Batch> batches = random_batches(row_length);
    expect_figures(run("kind: cpu, vocabulary: 50, top: 1", batches), expected(batches));
  }
}

TEST(BigramCounts, CountsTheSameOnCuda) {
  const std::vector<Batch> batches = random_batches(kLength);
  Figures cuda;
  try {
    cuda = run("kind: cuda, vocabulary: 40, top: 30", batches);
  } catch (const penstock::ConfigError& error) {
    GTEST_SKIP() << error.what();
  }
  Figures host = run("kind: cpu, vocabulary: 40, top: 30", batches);
  host.erase("device");
  for (const std::string name : {"tokens_counted",
                                 "different_tokens",
                                 "top_tokens",
                                 "bigrams_counted",
                                 "different_bigrams",
                                 "top_bigrams",
                                 "outside_vocabulary"}) {
    EXPECT_EQ(cuda.at(name), host.at(name)) << name;
  }
}

TEST(BigramCounts, TellsTheMostFrequent) {
  const Figures figures =
      run("kind: cpu, vocabulary: 10, top: 2", {fakes::batch_of({{1, 2, 1, 2}, {3, 3, 12, 3}})});
  expect_figures(figures,
                 {{"tokens_counted", std::int64_t{7}},
                  {"top_tokens", std::string("3: 3, 1: 2")},
                  {"top_bigrams", std::string("1 2: 2, 2 1: 1")},
                  {"bigrams_counted", std::int64_t{4}},
                  {"outside_vocabulary", std::int64_t{1}}});
}

TEST(BigramCounts, RefusesAVocabularyThatTakesTooMuch) {
  EXPECT_THROW(run("kind: cpu, vocabulary: 50000", {fakes::batch_of({{1, 2}})}),
               penstock::ConfigError);
  EXPECT_THROW(run("kind: cpu", {fakes::batch_of({{1, 2}})}), penstock::ConfigError);
}

}  // namespace
