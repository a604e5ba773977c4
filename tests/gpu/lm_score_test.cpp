#include "gpu/lm_score.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/philox.h"
#include "gpu/stream_checksum.h"
#include "pipeline/errors.h"
#include "tests/gpu/lm_batches.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Values = std::map<std::string, OptionValue>;

StageConfig make_config(const Values& values) {
  return device_stage_config(lm_score_options(), values);
}

std::vector<Result> run_on_host(const Values& values,
                                const std::vector<Batch>& batches,
                                const StreamInfo& stream = {},
                                std::int64_t report_every = 0,
                                std::vector<Report>* reports = nullptr) {
  const std::unique_ptr<Device> device = make_host_device();
  const Batch& first = batches.at(0);
  FileClaims files;
  const std::unique_ptr<DeviceStage> stage = make_host_lm_score(
      make_config(values),
      {{first.batch_size, first.sequence_length, first.row_length}, stream, files});
  return run_stage(*device, *stage, batches, report_every, reports);
}

StreamInfo stream_of_vocabulary(std::int64_t vocabulary) {
  StreamInfo stream;
  stream.vocabulary_size = vocabulary;
  return stream;
}

// The contract of lm_score.h, word by word, in double precision.
class Reference {
 public:
  Reference(const LmWeights& weights, const LmScoreOptions& options)
      : weights_(weights), options_(options) {}

  void add(const Batch& batch) {
    document_perplexity_.clear();
    const double loss_before = loss_sum_;
    const int scored_before = num_scored_;
    const int correct_before = num_correct_;
    for (std::size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
      double loss_sum = 0;
      int num_scored = 0;
      for (std::int64_t i = batch.cu_seqlens[s]; i < batch.cu_seqlens[s + 1]; ++i) {
        score(batch, i, batch.cu_seqlens[s], batch.cu_seqlens[s + 1], loss_sum, num_scored);
      }
      if (num_scored > 0) {
        document_perplexity_.push_back(std::exp(loss_sum / num_scored));
      }
      loss_sum_ += loss_sum;
      num_scored_ += num_scored;
    }
    const double scored = num_scored_ - scored_before;
    batch_loss_ = (loss_sum_ - loss_before) / scored;
    batch_accuracy_ = (num_correct_ - correct_before) / scored;
  }

  void expect(const std::vector<Result>& results, double tolerance) const {
    const auto scored = static_cast<double>(num_scored_);
    EXPECT_EQ(integer_result(results, "scored"), num_scored_);
    EXPECT_EQ(integer_result(results, "sampled"), num_sampled_);
    EXPECT_NEAR(number_result(results, "loss"), loss_sum_ / scored, tolerance);
    EXPECT_NEAR(number_result(results, "perplexity") / std::exp(loss_sum_ / scored), 1, tolerance);
    EXPECT_EQ(number_result(results, "accuracy"), num_correct_ / scored);
    EXPECT_EQ(number_result(results, "sampled_accuracy"), num_sampled_correct_ / scored);
    EXPECT_EQ(text_result(results, "sample_checksum"), checksum_text(sample_checksum_));
    EXPECT_NEAR(number_result(results, "batch_loss"), batch_loss_, tolerance);
    EXPECT_EQ(number_result(results, "batch_accuracy"), batch_accuracy_);
    const std::vector<double> perplexities = row_result(results, "document_perplexity");
    ASSERT_EQ(perplexities.size(), document_perplexity_.size());
    for (std::size_t i = 0; i < perplexities.size(); ++i) {
      EXPECT_NEAR(perplexities[i] / document_perplexity_[i], 1, 1e-5);
    }
  }

 private:
  void score(const Batch& batch,
             std::int64_t i,
             std::int64_t segment_begin,
             std::int64_t segment_end,
             double& loss_sum,
             int& num_scored) {
    const auto cell_of = [&](std::int64_t position) {
      return position / batch.sequence_length * batch.row_length + position % batch.sequence_length;
    };
    const auto token_at = [&](std::int64_t cell) {
      return batch.tokens.at(static_cast<std::size_t>(cell));
    };
    const std::int64_t cell = cell_of(i);
    if (cell >= batch.num_tokens) {
      return;  // padding is at the end of a batch
    }
    std::vector<TokenId> newest_first;
    for (std::int64_t k = 0; k < weights_.window && i - k >= segment_begin; ++k) {
      newest_first.push_back(token_at(cell_of(i - k)));
    }
    const std::vector<double> logits = logits_of(newest_first);
    const auto place =
        static_cast<std::uint64_t>(batch.index * batch.batch_size * batch.sequence_length + i);
    const TokenId sampled = sample(logits, place);
    sample_checksum_ += stream_checksum(std::vector<TokenId>{sampled}, place);
    ++num_sampled_;

    const bool is_last_of_row = (i + 1) % batch.sequence_length == 0;
    const bool has_next =
        is_last_of_row ? batch.row_length > batch.sequence_length : i + 1 < segment_end;
    if (has_next && cell + 1 < batch.num_tokens) {
      const TokenId target = token_at(cell + 1);
      double sum = 0;
      for (const double logit : logits) {
        sum += std::exp(logit);
      }
      loss_sum += std::log(sum) - logits[target];
      ++num_scored;
      num_correct_ += highest(logits) == target ? 1 : 0;
      num_sampled_correct_ += sampled == target ? 1 : 0;
    }
  }

  std::vector<double> logits_of(const std::vector<TokenId>& newest_first) const {
    const auto width = static_cast<std::size_t>(weights_.width);
    std::vector<double> context(width);
    for (std::size_t e = 0; e < width; ++e) {
      float sum = 0;
      for (std::size_t k = 0; k < newest_first.size(); ++k) {
        sum += to_float(weights_.mix[k * width + e]) *
               to_float(weights_.embedding[newest_first[k] * width + e]);
      }
      context[e] = static_cast<double>(to_float(to_bf16(sum)));
    }
    std::vector<double> logits(static_cast<std::size_t>(weights_.vocabulary));
    for (std::size_t v = 0; v < logits.size(); ++v) {
      for (std::size_t e = 0; e < width; ++e) {
        logits[v] += static_cast<double>(to_float(weights_.projection[v * width + e])) * context[e];
      }
    }
    return logits;
  }

  static TokenId highest(const std::vector<double>& logits) {
    return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }

  TokenId sample(const std::vector<double>& logits, std::uint64_t place) const {
    if (options_.temperature == 0) {
      return highest(logits);
    }
    std::vector<double> descending = logits;
    std::sort(descending.begin(), descending.end(), std::greater<>());
    const auto mass_at_least = [&](double lowest, std::size_t num_ids) {
      std::uint64_t sum = 0;
      for (std::size_t v = 0; v < num_ids; ++v) {
        if (logits[v] >= lowest) {
          const double scaled = (logits[v] - descending.front()) / options_.temperature;
          sum += static_cast<std::uint64_t>(std::floor(0x1p32 * std::exp(scaled)));
        }
      }
      return sum;
    };
    double lowest = descending.back();
    if (options_.top_k > 0 && options_.top_k <= std::ssize(logits)) {
      lowest = descending[static_cast<std::size_t>(options_.top_k - 1)];
    }
    if (options_.top_p < 1) {
      const auto all = static_cast<double>(mass_at_least(lowest, logits.size()));
      const auto wanted = static_cast<std::uint64_t>(std::ceil(options_.top_p * all));
      lowest = *std::find_if(descending.begin(), descending.end(), [&](double logit) {
        return mass_at_least(logit, logits.size()) >= wanted;
      });
    }
    const std::uint64_t random = philox(options_.seed, place, kLmSampleStream);
    const std::uint64_t chosen = uniform_below(random, mass_at_least(lowest, logits.size()));
    std::size_t id = 0;
    while (mass_at_least(lowest, id + 1) <= chosen) {
      ++id;
    }
    return static_cast<TokenId>(id);
  }

  const LmWeights& weights_;
  const LmScoreOptions options_;
  double loss_sum_ = 0;
  int num_scored_ = 0;
  int num_correct_ = 0;
  int num_sampled_ = 0;
  int num_sampled_correct_ = 0;
  std::uint64_t sample_checksum_ = 0;
  // Of the batch that was added last.
  double batch_loss_ = 0;
  double batch_accuracy_ = 0;
  std::vector<double> document_perplexity_;
};

struct Case {
  const char* name;
  BatchShape shape;
  std::int64_t num_batches = 1;
  std::int64_t num_padding = 0;
  std::int64_t vocabulary = 50;
  std::int64_t width = 8;
  std::int64_t window = 4;
  std::int64_t tile = 512;
  double temperature = 0;
  std::int64_t top_k = 0;
  double top_p = 1;
};

void PrintTo(const Case& parameters, std::ostream* stream) {
  *stream << parameters.name;
}

class LmScoreOnTheHost : public ::testing::TestWithParam<Case> {};

// The logits are exact, and so are the samples; many logits are equal.
TEST_P(LmScoreOnTheHost, EqualsTheReference) {
  const Case& c = GetParam();
  const TemporaryFolder folder;
  const std::string path = folder.path("model.safetensors");
  const LmWeights weights = exact_lm_weights(c.vocabulary, c.width, c.window, 3);
  write_lm_weights(weights, path);
  const Values values = {{"weights", path},
                         {"tile", c.tile},
                         {"seed", std::int64_t{77}},
                         {"temperature", c.temperature},
                         {"top_k", c.top_k},
                         {"top_p", c.top_p}};
  const std::vector<Batch> batches =
      random_batches(c.shape, c.vocabulary, c.num_batches, c.num_padding, 5);
  Reference reference(weights, read_lm_score_options(make_config(values)));
  for (const Batch& batch : batches) {
    reference.add(batch);
  }
  const std::vector<Result> results = run_on_host(values, batches);
  EXPECT_EQ(integer_result(results, "batches"), c.num_batches);
  reference.expect(results, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    LmScoreOnTheHost,
    ::testing::Values(Case{"OneRow", {1, 16, 16}},
                      Case{"Rows", {5, 12, 12}, 3},
                      Case{"ShiftedTargets", {5, 12, 13}, 3},
                      Case{"PaddingInARow", {4, 12, 12}, 2, 5},
                      Case{"PaddingOfRows", {4, 12, 12}, 2, 29},
                      Case{"ShiftedTargetsAndOnePaddingCell", {4, 12, 13}, 2, 1},
                      Case{"ShiftedTargetsAndPaddingOfRows", {4, 12, 13}, 2, 30},
                      Case{"OneRealRow", {3, 8, 8}, 1, 16},
                      Case{"ShortRows", {20, 2, 2}, 2},
                      Case{"WindowOfOne", {3, 16, 16}, 2, 0, 50, 8, 1},
                      Case{"LongestWindow", {2, 64, 64}, 2, 0, 50, 8, kMaxWindow},
                      Case{"Wide", {3, 16, 17}, 2, 4, 333, 256, 3},
                      Case{"VocabularyOfOne", {3, 16, 16}, 1, 0, 1},
                      Case{"VocabularyOfThree", {3, 16, 16}, 1, 0, 3},
                      Case{"TileOfOne", {3, 16, 17}, 2, 3, 50, 8, 4, 1},
                      Case{"OddTile", {3, 16, 17}, 2, 3, 50, 8, 4, 7}),
    [](const auto& test) { return std::string(test.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Sampling,
    LmScoreOnTheHost,
    ::testing::Values(Case{"Temperature", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 1},
                      Case{"LowTemperature", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 0.1},
                      Case{"HighTemperature", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 10},
                      Case{"TopK", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 1, 5},
                      Case{"TopKOfOne", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 1, 1},
                      Case{"TopKOfMoreThanThereAre", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 1, 1000},
                      Case{"TopP", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 1, 0, 0.6},
                      Case{"LowTopP", {4, 16, 17}, 2, 5, 70, 8, 4, 512, 1, 0, 0.001},
                      Case{"TopKAndTopP", {4, 16, 17}, 2, 5, 70, 8, 4, 7, 0.7, 20, 0.8}),
    [](const auto& test) { return std::string(test.param.name); });

constexpr BatchShape kShape{4, 16, 16};
constexpr std::int64_t kVocabulary = 60;

// Seeded weights, of which no two logits are equal.
Values small_model() {
  return {{"width", std::int64_t{16}}, {"window", std::int64_t{3}}};
}

std::vector<Result> run_small_model(const std::vector<Batch>& batches, const Values& more = {}) {
  Values values = small_model();
  values.insert(more.begin(), more.end());
  return run_on_host(values, batches, stream_of_vocabulary(kVocabulary));
}

TEST(LmScore, HasTheReferencesLossWithSeededWeights) {
  const LmWeights weights = seeded_lm_weights(kVocabulary, 16, 3, 1);
  Reference reference(weights, {});
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 2, 3, 9);
  for (const Batch& batch : batches) {
    reference.add(batch);
  }
  reference.expect(run_small_model(batches), 1e-6);
}

TEST(LmScore, SamplesTheSameHoweverTheStreamIsCutIntoBatches) {
  const Values options = {{"temperature", 1.0}};
  std::vector<std::vector<TokenId>> documents;
  for (TokenId document = 0; document < 16; ++document) {
    for (TokenId i = 0; i < 4 * (document + 1); ++i) {
      documents.resize(document + 1);
      documents.back().push_back((7 * document + i * i) % kVocabulary);
    }
  }
  const std::vector<Result> whole = run_small_model(packed({34, 16, 16}, documents, 0), options);
  const std::vector<Result> rows = run_small_model(packed({1, 16, 16}, documents, 0), options);
  EXPECT_EQ(integer_result(rows, "batches"), 34);
  EXPECT_EQ(text_result(rows, "sample_checksum"), text_result(whole, "sample_checksum"));
  EXPECT_EQ(number_result(rows, "sampled_accuracy"), number_result(whole, "sampled_accuracy"));
  EXPECT_NEAR(number_result(rows, "loss"), number_result(whole, "loss"), 1e-6);
}

TEST(LmScore, SamplesOtherTokensWithAnotherSeed) {
  const TemporaryFolder folder;
  const std::string path = folder.path("model.safetensors");
  write_lm_weights(exact_lm_weights(kVocabulary, 8, 2, 1), path);
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 1, 0, 9);
  const auto run = [&](std::int64_t seed) {
    return run_on_host({{"weights", path}, {"temperature", 1.0}, {"seed", seed}}, batches);
  };
  EXPECT_EQ(text_result(run(1), "sample_checksum"), text_result(run(1), "sample_checksum"));
  EXPECT_NE(text_result(run(1), "sample_checksum"), text_result(run(2), "sample_checksum"));
  EXPECT_EQ(number_result(run(1), "loss"), number_result(run(2), "loss"));
}

TEST(LmScore, SamplesTheMostLikelyWithTopKOfOne) {
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 2, 0, 9);
  const std::vector<Result> greedy = run_small_model(batches);
  const std::vector<Result> top_1 =
      run_small_model(batches, {{"temperature", 2.0}, {"top_k", std::int64_t{1}}});
  EXPECT_EQ(text_result(greedy, "sample_checksum"), text_result(top_1, "sample_checksum"));
  EXPECT_EQ(number_result(greedy, "sampled_accuracy"), number_result(greedy, "accuracy"));
}

TEST(LmScore, ShowsNoDocumentAnother) {
  const std::vector<TokenId> second = {1, 2, 3, 4, 5};
  const std::vector<TokenId> third = {9, 8, 7, 6, 5, 4};
  const auto perplexities = [&](const std::vector<TokenId>& first) {
    return row_result(run_small_model(packed({1, 16, 16}, {first, second, third}, 0)),
                      "document_perplexity");
  };
  const std::vector<double> one = perplexities({10, 11, 12, 13, 14});
  const std::vector<double> other = perplexities({20, 21, 22, 23, 24});
  ASSERT_EQ(one.size(), 3);
  ASSERT_EQ(other.size(), 3);
  EXPECT_NE(one[0], other[0]);
  EXPECT_EQ(one[1], other[1]);
  EXPECT_EQ(one[2], other[2]);
}

TEST(LmScore, ShowsNoRowAnother) {
  std::vector<TokenId> document(16, 3);
  const auto perplexities = [&] {
    return row_result(run_small_model(packed({2, 8, 8}, {document}, 0)), "document_perplexity");
  };
  const std::vector<double> one = perplexities();
  document[7] = 4;
  const std::vector<double> other = perplexities();
  ASSERT_EQ(one.size(), 2);
  EXPECT_NE(one[0], other[0]);
  EXPECT_EQ(one[1], other[1]);
}

TEST(LmScore, ScoresTheLastPositionOfARowWithShiftedTargets) {
  const std::vector<std::vector<TokenId>> documents = {{1, 2, 3, 4, 5, 6, 7, 8}, {9}};
  const std::vector<Result> shifted = run_small_model(packed({1, 8, 9}, documents, 0));
  EXPECT_EQ(integer_result(shifted, "scored"), 8);
  EXPECT_EQ(integer_result(shifted, "sampled"), 8);
  const std::vector<Result> plain = run_small_model(packed({1, 9, 9}, documents, 0));
  EXPECT_EQ(integer_result(plain, "scored"), 7);
  EXPECT_EQ(integer_result(plain, "sampled"), 9);
}

TEST(LmScore, NeverLooksAtPadding) {
  const std::vector<std::vector<TokenId>> documents = {{1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11}};
  const auto run = [&](TokenId pad_id) {
    return run_small_model(packed({3, 8, 9}, documents, pad_id), {{"temperature", 1.0}});
  };
  const std::vector<Result> one = run(0);
  const std::vector<Result> other = run(0xffffffff);
  EXPECT_EQ(integer_result(other, "scored"), 9);
  EXPECT_EQ(integer_result(other, "sampled"), 11);
  EXPECT_EQ(text_result(one, "sample_checksum"), text_result(other, "sample_checksum"));
  EXPECT_EQ(number_result(one, "loss"), number_result(other, "loss"));
}

TEST(LmScore, HasNoLossWhereNothingIsScored) {
  const std::vector<Result> results = run_small_model(packed({1, 4, 4}, {{1}, {2}, {3}}, 0));
  EXPECT_EQ(integer_result(results, "scored"), 0);
  EXPECT_EQ(integer_result(results, "sampled"), 3);
  for (const char* name :
       {"loss", "perplexity", "accuracy", "sampled_accuracy", "batch_loss", "batch_accuracy"}) {
    EXPECT_TRUE(std::isnan(number_result(results, name))) << name;
  }
  EXPECT_TRUE(row_result(results, "document_perplexity").empty());
}

TEST(LmScore, HasNoBatchLossWhereTheLastBatchScoresNothing) {
  const std::vector<Result> results =
      run_small_model(packed({1, 4, 4}, {{1, 2, 3, 4}, {5}, {6}}, 0));
  EXPECT_EQ(integer_result(results, "batches"), 2);
  EXPECT_EQ(integer_result(results, "scored"), 3);
  EXPECT_FALSE(std::isnan(number_result(results, "loss")));
  EXPECT_TRUE(std::isnan(number_result(results, "batch_loss")));
  EXPECT_TRUE(std::isnan(number_result(results, "batch_accuracy")));
}

TEST(LmScore, ReportsWhatWasFoundSoFar) {
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 5, 0, 9);
  std::vector<Report> reports;
  run_on_host(small_model(), batches, stream_of_vocabulary(kVocabulary), 2, &reports);
  ASSERT_EQ(reports.size(), 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto end = batches.begin() + 2 * (static_cast<std::ptrdiff_t>(i) + 1);
    const std::vector<Result> expected = run_small_model({batches.begin(), end});
    EXPECT_EQ(reports[i].num_batches, end - batches.begin());
    EXPECT_EQ(integer_result(reports[i].figures, "batches"), end - batches.begin());
    EXPECT_EQ(number_result(reports[i].figures, "loss"), number_result(expected, "loss"));
    EXPECT_EQ(text_result(reports[i].figures, "sample_checksum"),
              text_result(expected, "sample_checksum"));
    EXPECT_EQ(row_result(reports[i].figures, "document_perplexity"),
              row_result(expected, "document_perplexity"));
  }
}

TEST(LmScore, ReportsTheLossOfEachBatch) {
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 4, 3, 9);
  std::vector<Report> reports;
  run_on_host(small_model(), batches, stream_of_vocabulary(kVocabulary), 1, &reports);
  ASSERT_EQ(reports.size(), batches.size());
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const std::vector<Result> alone = run_small_model({batches[i]});
    EXPECT_EQ(number_result(reports[i].figures, "batch_loss"), number_result(alone, "loss"));
    EXPECT_EQ(number_result(reports[i].figures, "batch_accuracy"),
              number_result(alone, "accuracy"));
  }
  EXPECT_NE(number_result(reports[3].figures, "batch_loss"),
            number_result(reports[3].figures, "loss"));
}

TEST(LmScore, RefusesTokensThatAreNotInTheVocabulary) {
  try {
    run_small_model(packed({1, 8, 8}, {{1, 60, 3, 4000000000}}, 0));
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("2 tokens have ids outside lm_score's vocabulary of 60"));
  }
}

TEST(LmScore, RefusesLogitsThatAreNotFinite) {
  const TemporaryFolder folder;
  const std::string path = folder.path("model.safetensors");
  LmWeights weights = exact_lm_weights(4, 8, 1, 1);
  std::fill(weights.embedding.begin(), weights.embedding.end(), to_bf16(1e30F));
  std::fill(weights.projection.begin(), weights.projection.end(), to_bf16(1e30F));
  write_lm_weights(weights, path);
  try {
    run_on_host({{"weights", path}}, packed({1, 8, 8}, {{1, 2, 3}}, 0));
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the logits of position 0 are not finite"));
  }
}

template <typename Function>
std::string config_error_of(Function function) {
  try {
    function();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::string options_error(const Values& values) {
  return config_error_of([&] { read_lm_score_options(make_config(values)); });
}

TEST(LmScoreOptionsTest, HaveDefaultsThatAreRead) {
  const LmScoreOptions options = read_lm_score_options(make_config({}));
  EXPECT_EQ(options.width, 1024);
  EXPECT_EQ(options.window, 8);
  EXPECT_EQ(options.tile, 4096);
  EXPECT_EQ(options.weights, "");
  EXPECT_EQ(options.seed, 1);
  EXPECT_EQ(options.temperature, 0);
  EXPECT_EQ(options.top_k, 0);
  EXPECT_EQ(options.top_p, 1);
}

TEST(LmScoreOptionsTest, RefuseOtherWidthsAndATopPOfNothing) {
  EXPECT_THAT(options_error({{"width", std::int64_t{12}}}),
              AllOf(HasSubstr("test.yaml:width"), HasSubstr("got 12, expected a multiple of 8")));
  EXPECT_THAT(options_error({{"top_p", 0.0}}),
              AllOf(HasSubstr("test.yaml:top_p"), HasSubstr("above 0 and at most 1")));
}

TEST(LmScoreOptionsTest, DeclareTheirRanges) {
  const std::map<std::string, std::vector<std::string>> bad = {{"width", {"0", "-8", "1000000"}},
                                                               {"window", {"0", "33"}},
                                                               {"tile", {"0"}},
                                                               {"seed", {"-1"}},
                                                               {"temperature", {"-0.5", "nan"}},
                                                               {"top_k", {"-1"}},
                                                               {"top_p", {"1.01", "-1"}}};
  for (const Option& option : lm_score_options()) {
    EXPECT_EQ(bad.contains(option.name), option.name != "weights");
    if (bad.contains(option.name)) {
      for (const std::string& text : bad.at(option.name)) {
        EXPECT_FALSE(parse_option(option, {text}, false).value) << option.name << " " << text;
      }
    }
  }
}

class LmScoreWeights : public ::testing::Test {
 protected:
  // Loads the file, into which a model of these sizes has been written.
  LmWeights load(const Values& more, const StreamInfo& stream) const {
    Values values = {{"weights", path_}};
    values.insert(more.begin(), more.end());
    const StageConfig config = make_config(values);
    FileClaims files;
    LmWeights weights =
        load_lm_weights(read_lm_score_options(config), config, {kShape, stream, files});
    EXPECT_TRUE(files.is_input(path_));
    return weights;
  }
  std::string error(const Values& more, const StreamInfo& stream = {}) const {
    return config_error_of([&] { load(more, stream); });
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.path("model.safetensors");
};

TEST_F(LmScoreWeights, AreForTheTokenizersVocabularyOrTheDefault) {
  const StageConfig config = make_config({{"width", std::int64_t{8}}});
  const LmScoreOptions options = read_lm_score_options(config);
  const StreamInfo known = stream_of_vocabulary(123);
  FileClaims files;
  EXPECT_EQ(load_lm_weights(options, config, {kShape, known, files}).vocabulary, 123);
  const StreamInfo unknown;
  EXPECT_EQ(load_lm_weights(options, config, {kShape, unknown, files}).vocabulary,
            kDefaultVocabulary);
}

TEST_F(LmScoreWeights, HaveTheSizesOfTheFile) {
  write_lm_weights(seeded_lm_weights(50, 16, 5, 1), path_);
  const LmWeights weights = load({}, stream_of_vocabulary(40));
  EXPECT_EQ(weights.vocabulary, 50);
  EXPECT_EQ(weights.width, 16);
  EXPECT_EQ(weights.window, 5);
  EXPECT_EQ(load({{"width", std::int64_t{16}}, {"window", std::int64_t{5}}}, {}).width, 16);
}

TEST_F(LmScoreWeights, RefuseATokenizerWithMoreIds) {
  write_lm_weights(seeded_lm_weights(50, 16, 5, 1), path_);
  EXPECT_THAT(error({}, stream_of_vocabulary(51)),
              AllOf(HasSubstr("test.yaml:weights"),
                    HasSubstr(path_),
                    HasSubstr("a vocabulary of 50 ids, fewer than the tokenizer's 51")));
}

TEST_F(LmScoreWeights, RefuseOptionsThatSayOtherwise) {
  write_lm_weights(seeded_lm_weights(50, 16, 5, 1), path_);
  EXPECT_THAT(error({{"width", std::int64_t{1024}}}),
              AllOf(HasSubstr("test.yaml:width"), HasSubstr("got 1024, and the weights in")));
  EXPECT_THAT(error({{"window", std::int64_t{8}}}), HasSubstr("got 8, and the weights in"));
}

TEST_F(LmScoreWeights, RefuseSizesThatTheStageCannotTake) {
  write_lm_weights(seeded_lm_weights(5, 12, 5, 1), path_);
  EXPECT_THAT(error({}), HasSubstr("has a wrong width: got 12, expected a multiple of 8"));
  write_lm_weights(seeded_lm_weights(5, 8, kMaxWindow + 1, 1), path_);
  EXPECT_THAT(error({}), HasSubstr("has a window of 33, expected at most 32"));
}

TEST_F(LmScoreWeights, RefuseAFileThatTheRunWrites) {
  write_lm_weights(seeded_lm_weights(50, 16, 5, 1), path_);
  const StageConfig config = make_config({{"weights", path_}});
  const StreamInfo stream;
  FileClaims files;
  files.add_output(path_);
  EXPECT_THAT(config_error_of([&] {
                load_lm_weights(read_lm_score_options(config), config, {kShape, stream, files});
              }),
              AllOf(HasSubstr("test.yaml:weights"),
                    HasSubstr("'" + path_ + "' is also an output of this run")));
}

TEST_F(LmScoreWeights, RefuseAFileThatCannotBeRead) {
  EXPECT_THAT(error({}), AllOf(HasSubstr("test.yaml:weights"), HasSubstr("No such file")));
}

}  // namespace
}  // namespace penstock::gpu
