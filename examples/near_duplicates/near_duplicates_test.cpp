#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "pipeline/plugin_loader.h"
#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace {

namespace fakes = penstock::testing;
using Texts = std::vector<std::string>;

penstock::StageRegistry registry() {
  penstock::StageRegistry registry;
  penstock::load_plugin(PLUGIN, "", registry);
  return registry;
}

// `words` random words out of so many that two texts have hardly a shingle in common.
Texts random_words(std::mt19937& random, std::size_t words) {
  Texts drawn(words);
  std::generate(
      drawn.begin(), drawn.end(), [&random] { return std::to_string(random() % 100000); });
  return drawn;
}

std::string joined(const Texts& words) {
  std::string text;
  for (const std::string& word : words) {
    text += word + ' ';
  }
  return text;
}

fakes::StageRun run(const std::string& options, const Texts& texts, int threads = 2) {
  constexpr std::size_t kChunkDocuments = 10;
  std::vector<penstock::Chunk> chunks;
  for (std::size_t i = 0; i < texts.size(); i += kChunkDocuments) {
    const auto begin = texts.begin() + static_cast<std::ptrdiff_t>(i);
    const auto size = static_cast<std::ptrdiff_t>(std::min(kChunkDocuments, texts.size() - i));
    chunks.emplace_back(fakes::document_chunk(Texts(begin, begin + size)));
  }
  return fakes::run_stage(registry(), "near_duplicates: {" + options + "}", chunks, threads);
}

Texts kept(const fakes::StageRun& run) {
  Texts texts;
  for (const penstock::Chunk& chunk : run.chunks) {
    const Texts some = fakes::texts_of(std::get<penstock::DocumentChunk>(chunk));
    texts.insert(texts.end(), some.begin(), some.end());
  }
  return texts;
}

std::int64_t count(const fakes::StageRun& run, const std::string& row_name) {
  const auto& rows = run.summary.stages;
  return std::find_if(rows.begin(),
                      rows.end(),
                      [&row_name](const penstock::StageSummary& row) {
                        return row.name == "near_duplicates." + row_name;
                      })
      ->rejects;
}

TEST(NearDuplicates, KeepsTheFirstOfEach) {
  std::mt19937 random(1);
  Texts words = random_words(random, 200);
  const std::string first = joined(words);
  words[100] = "another";
  const std::string nearly = joined(words);
  const std::string other = joined(random_words(random, 200));

  const fakes::StageRun result =
      run("memory: 1MiB", {first, nearly, other, first, "", "a", "A.", ""});

  EXPECT_EQ(kept(result), (Texts{first, other, "", "a"}));
  EXPECT_EQ(count(result, "exact"), 2);
  EXPECT_EQ(count(result, "near"), 2);
  EXPECT_EQ(count(result, "forgotten_keys"), 0);
}

// What share of pairs is found that have `changed` of 300 words different, the last ones, so that
// 300 - changed - 4 of 296 + changed shingles are the same.
TEST(NearDuplicates, FindsPairsAsOftenAsItsBandsSay) {
  for (const int changed : {10, 30, 45, 80, 150}) {
    constexpr int kPairs = 200;
    std::mt19937 random(7);
    Texts texts;
    for (int i = 0; i < kPairs; ++i) {
      Texts words = random_words(random, 300);
      texts.push_back(joined(words));
      const Texts new_words = random_words(random, static_cast<std::size_t>(changed));
      std::copy(new_words.begin(), new_words.end(), words.end() - changed);
      texts.push_back(joined(words));
    }
    const double jaccard = (296.0 - changed) / (296.0 + changed);
    const double expected = 1 - std::pow(1 - std::pow(jaccard, 8), 14);
    const double share = static_cast<double>(count(run("memory: 1MiB", texts), "near")) / kPairs;
    EXPECT_NEAR(share, expected, 0.08) << "similarity " << jaccard;
  }
}

TEST(NearDuplicates, DoesNotDependOnThreads) {
  std::mt19937 random(3);
  Texts texts;
  for (int i = 0; i < 300; ++i) {
    texts.push_back(joined(random_words(random, 3)));
    texts.push_back(texts[random() % texts.size()]);
  }
  const Texts expected = kept(run("memory: 4096", texts, 1));
  EXPECT_LT(expected.size(), texts.size());
  EXPECT_EQ(kept(run("memory: 4096", texts, 4)), expected);
}

TEST(NearDuplicates, ForgetsTheOldestWhereItsMemoryIsFull) {
  // 4096 bytes are 512 keys, of which a document needs 15.
  std::mt19937 random(5);
  Texts texts;
  for (int i = 0; i < 300; ++i) {
    texts.push_back(joined(random_words(random, 20)));
  }
  const std::string first = texts.front();
  const std::string last = texts.back();
  texts.push_back(last);
  texts.push_back(first);

  const fakes::StageRun result = run("memory: 4096", texts);

  EXPECT_EQ(kept(result).size(), 301U);
  EXPECT_EQ(kept(result).back(), first);
  EXPECT_EQ(count(result, "exact"), 1);
  EXPECT_EQ(count(result, "forgotten_keys"), 301 * 15 - 512);
}

}  // namespace
