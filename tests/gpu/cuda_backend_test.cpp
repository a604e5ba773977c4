// CUDA against the host backend. What the device computes is compared, on random inputs, with what
// the host does; kernels write over what the batches before left, so nothing that they miss can
// look right. Every test skips by name where there is no CUDA device.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/device.h"
#include "gpu/device_choice.h"
#include "gpu/device_feeder.h"
#include "gpu/device_stage_type.h"
#include "gpu/gemm_load.h"
#include "gpu/lm_score.h"
#include "gpu/lm_weights.h"
#include "pipeline/errors.h"
#include "pipeline/file_claims.h"
#include "tests/fakes.h"
#include "tests/gpu/lm_batches.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Values = std::map<std::string, OptionValue>;

class CudaBackend : public ::testing::Test {
 protected:
  void SetUp() override {
    const CudaAvailability cuda = cuda_availability();
    if (!cuda.available) {
      GTEST_SKIP() << cuda.reason;
    }
  }
};

DeviceStageType stage_type(const std::string& name) {
  for (DeviceStageType& type : built_in_device_stages()) {
    if (type.name == name) {
      return std::move(type);
    }
  }
  throw std::out_of_range("no device stage '" + name + "'");
}

std::unique_ptr<DeviceStage> make_stage(const std::string& name,
                                        Backend backend,
                                        const Values& values,
                                        const BatchShape& shape,
                                        const StreamInfo& stream = {}) {
  const DeviceStageType type = stage_type(name);
  const DeviceStageFactory& make = backend == Backend::kCuda ? type.on_cuda : type.on_host;
  FileClaims files;
  return make(device_stage_config(type.options, values), {shape, stream, files});
}

std::unique_ptr<Device> make_device(Backend backend) {
  return backend == Backend::kCuda ? make_cuda_device(0) : make_host_device();
}

StreamInfo stream_of_vocabulary(std::int64_t vocabulary) {
  StreamInfo stream;
  stream.vocabulary_size = vocabulary;
  return stream;
}

BatchShape shape_of(const Batch& batch) {
  return {batch.batch_size, batch.sequence_length, batch.row_length};
}

struct Outcome {
  std::vector<Result> results;
  std::vector<Report> reports;  // after every batch
};

Outcome outcome_of(const std::string& stage_name,
                   Backend backend,
                   const Values& values,
                   const std::vector<Batch>& batches,
                   const StreamInfo& stream = {}) {
  const std::unique_ptr<Device> device = make_device(backend);
  const std::unique_ptr<DeviceStage> stage =
      make_stage(stage_name, backend, values, shape_of(batches.at(0)), stream);
  Outcome outcome;
  outcome.results = run_stage(*device, *stage, batches, 1, &outcome.reports);
  return outcome;
}

// lm_score

struct Case {
  const char* name;
  BatchShape shape{4, 32, 33};
  std::int64_t num_batches = 3;
  std::int64_t num_padding = 5;
  std::int64_t vocabulary = 255;
  std::int64_t width = 32;
  std::int64_t window = 4;
  std::int64_t tile = 512;
  double temperature = 0;
  std::int64_t top_k = 0;
  double top_p = 1;
};

void PrintTo(const Case& parameters, std::ostream* stream) {
  *stream << parameters.name;
}

std::string name_of(const ::testing::TestParamInfo<Case>& test) {
  return test.param.name;
}

Values sampling_values(const Case& c, std::int64_t seed) {
  return {{"tile", c.tile},
          {"seed", seed},
          {"temperature", c.temperature},
          {"top_k", c.top_k},
          {"top_p", c.top_p}};
}

// Batches of which the two drew other samples.
std::int64_t num_batches_with_other_samples(const Outcome& one, const Outcome& other) {
  const auto checksums = [](const Outcome& outcome) {
    std::vector<std::uint64_t> of_each_batch;
    std::uint64_t before = 0;
    for (const Report& report : outcome.reports) {
      const std::uint64_t sum =
          std::stoull(text_result(report.figures, "sample_checksum"), nullptr, 16);
      of_each_batch.push_back(sum - before);
      before = sum;
    }
    return of_each_batch;
  };
  const std::vector<std::uint64_t> left = checksums(one);
  const std::vector<std::uint64_t> right = checksums(other);
  EXPECT_EQ(left.size(), right.size());
  std::int64_t num_other = 0;
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    num_other += left[i] != right[i] ? 1 : 0;
  }
  return num_other;
}

void expect_relative(double value, double expected, double tolerance) {
  EXPECT_NEAR(value, expected, tolerance * std::abs(expected) + 1e-6);
}

// The same but for rounding; of the predictions of a run, `num_other` may be others.
void expect_same_figures(const std::vector<Result>& figures,
                         const std::vector<Result>& expected,
                         double num_other) {
  for (const char* name : {"batches", "scored", "sampled"}) {
    EXPECT_EQ(integer_result(figures, name), integer_result(expected, name)) << name;
  }
  const auto num_scored = static_cast<double>(integer_result(expected, "scored"));
  if (num_scored > 0) {
    for (const char* name : {"loss", "perplexity"}) {
      expect_relative(number_result(figures, name), number_result(expected, name), 1e-4);
    }
    for (const char* name : {"accuracy", "sampled_accuracy"}) {
      EXPECT_NEAR(number_result(figures, name) * num_scored,
                  number_result(expected, name) * num_scored,
                  num_other + 1e-6)
          << name;
    }
  }
  const std::vector<double> perplexities = row_result(figures, "document_perplexity");
  const std::vector<double> expected_perplexities = row_result(expected, "document_perplexity");
  ASSERT_EQ(perplexities.size(), expected_perplexities.size());
  for (std::size_t i = 0; i < perplexities.size(); ++i) {
    expect_relative(perplexities[i], expected_perplexities[i], 1e-3);
  }
}

// Of the last batch, in which `num_scored` positions were scored.
void expect_same_batch(const std::vector<Result>& figures,
                       const std::vector<Result>& expected,
                       std::int64_t num_scored,
                       double num_other) {
  if (num_scored == 0) {
    EXPECT_TRUE(std::isnan(number_result(figures, "batch_loss")));
    EXPECT_TRUE(std::isnan(number_result(figures, "batch_accuracy")));
    return;
  }
  expect_relative(
      number_result(figures, "batch_loss"), number_result(expected, "batch_loss"), 1e-4);
  EXPECT_NEAR(number_result(figures, "batch_accuracy"),
              number_result(expected, "batch_accuracy"),
              (num_other + 1e-6) / static_cast<double>(num_scored));
}

void expect_same_reports(const Outcome& outcome, const Outcome& expected, double num_other) {
  ASSERT_EQ(outcome.reports.size(), expected.reports.size());
  std::int64_t num_scored_before = 0;
  for (std::size_t i = 0; i < outcome.reports.size(); ++i) {
    EXPECT_EQ(outcome.reports[i].num_batches, expected.reports[i].num_batches);
    expect_same_figures(outcome.reports[i].figures, expected.reports[i].figures, num_other);
    const std::int64_t num_scored = integer_result(expected.reports[i].figures, "scored");
    expect_same_batch(outcome.reports[i].figures,
                      expected.reports[i].figures,
                      num_scored - num_scored_before,
                      num_other);
    num_scored_before = num_scored;
  }
}

class CudaLmScore : public CudaBackend, public ::testing::WithParamInterface<Case> {};

// The logits are the same to the bit, many of them equal, and so are the predictions. Masses are
// whole numbers of which the last ones differ, since fp32 and fp64 round the exponential
// differently: in one position of a million that changes a sample.
TEST_P(CudaLmScore, EqualsTheHostWithExactWeights) {
  const Case& c = GetParam();
  const TemporaryFolder folder;
  const std::string path = folder.path("model.safetensors");
  write_lm_weights(exact_lm_weights(c.vocabulary, c.width, c.window, 3), path);
  Values values = sampling_values(c, 77);
  values["weights"] = path;
  const std::vector<Batch> batches =
      random_batches(c.shape, c.vocabulary, c.num_batches, c.num_padding, 5);
  const Outcome host = outcome_of("lm_score", Backend::kHost, values, batches);
  const Outcome cuda = outcome_of("lm_score", Backend::kCuda, values, batches);
  expect_same_figures(cuda.results, host.results, 1);
  expect_same_reports(cuda, host, 1);
  EXPECT_EQ(number_result(cuda.results, "accuracy"), number_result(host.results, "accuracy"));
  EXPECT_LE(num_batches_with_other_samples(cuda, host), c.temperature > 0 ? 1 : 0);
}

// Of the logits, sums of fp32 in another order, the last bits differ: where two of them are as near
// as that, in one position of 10,000, a prediction or a sample is another one.
TEST_P(CudaLmScore, EqualsTheHostWithSeededWeights) {
  const Case& c = GetParam();
  constexpr std::int64_t kSeed = 7;
  Values values = sampling_values(c, kSeed);
  values["width"] = c.width;
  values["window"] = c.window;
  const StreamInfo stream = stream_of_vocabulary(c.vocabulary);
  const std::vector<Batch> batches =
      random_batches(c.shape, c.vocabulary, c.num_batches, c.num_padding, kSeed);
  const Outcome host = outcome_of("lm_score", Backend::kHost, values, batches, stream);
  const Outcome cuda = outcome_of("lm_score", Backend::kCuda, values, batches, stream);
  const auto num_positions = static_cast<double>(c.shape.positions() * c.num_batches);
  const double num_other = 2 + num_positions / 1000;
  expect_same_figures(cuda.results, host.results, num_other);
  expect_same_reports(cuda, host, num_other);
  EXPECT_LE(static_cast<double>(num_batches_with_other_samples(cuda, host)), num_other);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    CudaLmScore,
    ::testing::Values(Case{"OnePosition", {1, 1, 2}, 3, 0},
                      Case{"OneRow", {1, 16, 16}},
                      Case{"ShiftedTargets", {5, 12, 13}, 3, 0},
                      Case{"OnePaddingCell", {5, 12, 13}, 3, 1},
                      Case{"PaddingOfRows", {5, 12, 12}, 3, 29},
                      Case{"ShiftedTargetsAndPaddingOfRows", {5, 12, 13}, 3, 30},
                      Case{"ShortRows", {100, 2, 2}, 3, 7},
                      Case{"ManySegments", {2000, 4, 4}, 2, 9, 255, 8},
                      Case{"LongRow", {1, 3000, 3001}, 2, 100, 255, 8}),
    name_of);

INSTANTIATE_TEST_SUITE_P(Sizes,
                         CudaLmScore,
                         ::testing::Values(Case{"VocabularyOfOne", {4, 32, 33}, 3, 5, 1},
                                           Case{"VocabularyOf7", {4, 32, 33}, 3, 5, 7},
                                           Case{"VocabularyOf32000", {4, 32, 33}, 2, 5, 32000, 64},
                                           Case{"VocabularyOf50257", {4, 32, 33}, 2, 5, 50257, 64},
                                           Case{"WidthOf8", {4, 32, 33}, 3, 5, 255, 8},
                                           Case{"WidthOf24", {4, 32, 33}, 3, 5, 255, 24},
                                           Case{"WidthOf256", {4, 32, 33}, 3, 5, 255, 256},
                                           Case{"WindowOf1", {4, 32, 33}, 3, 5, 255, 32, 1},
                                           Case{"WindowOf32", {4, 100, 101}, 3, 5, 255, 32, 32},
                                           Case{"TileOf1", {4, 32, 33}, 3, 5, 255, 32, 4, 1},
                                           Case{"TileOf7", {4, 32, 33}, 3, 5, 255, 32, 4, 7},
                                           Case{"TileOf64", {4, 32, 33}, 3, 5, 255, 32, 4, 64}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(
    Sampling,
    CudaLmScore,
    ::testing::Values(
        Case{"Temperature", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1},
        Case{"LowTemperature", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 0.1},
        Case{"LowestTemperature", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1e-300},
        Case{"HighTemperature", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 10},
        Case{"TopK", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1, 5},
        Case{"TopKOf1", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1, 1},
        Case{"TopKOfAllButOne", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1, 254},
        Case{"TopKOfMoreThanThereAre", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1, 1000},
        Case{"TopP", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1, 0, 0.6},
        Case{"LowTopP", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1, 0, 0.001},
        Case{"HighTopP", {4, 32, 33}, 20, 5, 255, 32, 4, 512, 1, 0, 0.9999},
        Case{"TopKAndTopP", {4, 32, 33}, 20, 5, 255, 32, 4, 7, 0.7, 20, 0.8},
        Case{"VocabularyOf1", {4, 32, 33}, 2, 5, 1, 32, 4, 512, 1, 1, 0.5},
        Case{"VocabularyOf7", {4, 32, 33}, 20, 5, 7, 32, 4, 512, 1, 3, 0.9},
        Case{"VocabularyOf32000", {4, 32, 33}, 2, 5, 32000, 64, 4, 512, 1},
        Case{"VocabularyOf50257", {4, 32, 33}, 2, 5, 50257, 64, 4, 100, 0.8, 40, 0.95}),
    name_of);

class CudaLmScoreOnce : public CudaBackend {};

TEST_F(CudaLmScoreOnce, EqualsTheHostAtItsDefaultSize) {
  const Values values = {{"temperature", 1.0}, {"top_k", std::int64_t{50}}};
  const std::vector<Batch> batches = random_batches({2, 64, 65}, kDefaultVocabulary, 2, 3, 8);
  const Outcome host = outcome_of("lm_score", Backend::kHost, values, batches);
  const Outcome cuda = outcome_of("lm_score", Backend::kCuda, values, batches);
  expect_same_figures(cuda.results, host.results, 1);
  expect_same_reports(cuda, host, 1);
}

TEST_F(CudaLmScoreOnce, SamplesTheSameWhateverTheTile) {
  const TemporaryFolder folder;
  const std::string path = folder.path("model.safetensors");
  write_lm_weights(exact_lm_weights(1000, 64, 4, 3), path);
  const std::vector<Batch> batches = random_batches({4, 32, 33}, 1000, 3, 5, 5);
  std::vector<std::string> checksums;
  for (const std::int64_t tile : {1, 5, 128, 100'000}) {
    const Values values = {{"weights", path}, {"temperature", 1.0}, {"tile", tile}};
    const Outcome cuda = outcome_of("lm_score", Backend::kCuda, values, batches);
    checksums.push_back(text_result(cuda.results, "sample_checksum"));
  }
  EXPECT_THAT(checksums, ::testing::Each(checksums[0]));
}

TEST_F(CudaLmScoreOnce, GivesTheSameToTheBitTwice) {
  const Values values = {{"width", std::int64_t{64}}, {"temperature", 1.0}, {"top_p", 0.9}};
  const StreamInfo stream = stream_of_vocabulary(5003);
  const std::vector<Batch> batches = random_batches({8, 128, 129}, 5003, 4, 5, 6);
  const Outcome first = outcome_of("lm_score", Backend::kCuda, values, batches, stream);
  const Outcome second = outcome_of("lm_score", Backend::kCuda, values, batches, stream);
  EXPECT_EQ(number_result(first.results, "loss"), number_result(second.results, "loss"));
  EXPECT_EQ(text_result(first.results, "sample_checksum"),
            text_result(second.results, "sample_checksum"));
  EXPECT_EQ(row_result(first.results, "document_perplexity"),
            row_result(second.results, "document_perplexity"));
}

TEST_F(CudaLmScoreOnce, CountsTokensThatAreNoIdsOfTheVocabulary) {
  constexpr std::int64_t kVocabulary = 100;
  const std::vector<Batch> batches = random_batches({4, 32, 33}, 2 * kVocabulary, 1, 5, 6);
  const Batch& batch = batches[0];
  std::int64_t num_unknown = 0;
  for (std::int64_t i = 0; i < batch.num_tokens; ++i) {
    num_unknown += batch.tokens[static_cast<std::size_t>(i)] >= kVocabulary ? 1 : 0;
  }
  ASSERT_GT(num_unknown, 0);
  const std::unique_ptr<Device> device = make_cuda_device(0);
  const std::unique_ptr<DeviceStage> stage = make_stage("lm_score",
                                                        Backend::kCuda,
                                                        {{"width", std::int64_t{64}}},
                                                        shape_of(batch),
                                                        stream_of_vocabulary(kVocabulary));
  try {
    run_stage(*device, *stage, batches);
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), unknown_token_ids(num_unknown, kVocabulary).what());
  }
}

TEST_F(CudaLmScoreOnce, RefusesLogitsThatAreNotFinite) {
  const TemporaryFolder folder;
  const std::string path = folder.path("model.safetensors");
  LmWeights weights = exact_lm_weights(100, 8, 1, 3);
  for (std::vector<Bf16>* tensor : {&weights.embedding, &weights.mix, &weights.projection}) {
    std::fill(tensor->begin(), tensor->end(), to_bf16(1e30F));
  }
  write_lm_weights(weights, path);
  const std::vector<Batch> batches = random_batches({2, 8, 8}, 100, 1, 0, 6);
  try {
    outcome_of("lm_score", Backend::kCuda, {{"weights", path}}, batches);
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("logits of 16 positions are not finite"));
  }
}

TEST_F(CudaLmScoreOnce, SaysWhichOptionToLowerWhenTheMemoryIsNotEnough) {
  const Values values = {{"width", std::int64_t{8}}, {"tile", std::int64_t{1} << 30}};
  const std::unique_ptr<Device> device = make_cuda_device(0);
  try {
    make_stage("lm_score", Backend::kCuda, values, {1 << 20, 1 << 10, 1 << 10});
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("out of device memory for the logits of lm_score: asked for "),
                      HasSubstr(" are free; lower tile")));
  }
}

TEST_F(CudaLmScoreOnce, HasNoLossWithoutABatch) {
  const std::unique_ptr<Device> device = make_cuda_device(0);
  const std::unique_ptr<DeviceStage> stage =
      make_stage("lm_score", Backend::kCuda, {{"width", std::int64_t{8}}}, {4, 32, 32});
  const std::vector<Result> results = run_stage(*device, *stage, {});
  EXPECT_EQ(integer_result(results, "batches"), 0);
  EXPECT_TRUE(std::isnan(number_result(results, "loss")));
  EXPECT_TRUE(std::isnan(number_result(results, "batch_loss")));
}

// gemm_load

class CudaGemmLoad : public CudaBackend, public ::testing::WithParamInterface<int> {};

TEST_P(CudaGemmLoad, MultipliesAsTheHostDoes) {
  const Values values = {{"size", std::int64_t{GetParam()}}, {"ms_per_batch", 0.1}};
  const std::vector<Batch> batches = random_batches({2, 8, 8}, 100, 3, 0, 1);
  const Outcome host = outcome_of("gemm_load", Backend::kHost, values, batches);
  const Outcome cuda = outcome_of("gemm_load", Backend::kCuda, values, batches);
  for (const char* name : {"batches", "product_checksum"}) {
    EXPECT_EQ(integer_result(cuda.results, name), integer_result(host.results, name)) << name;
  }
  EXPECT_GE(integer_result(cuda.results, "products_per_batch"), 1);
}

INSTANTIATE_TEST_SUITE_P(Sizes, CudaGemmLoad, ::testing::Values(8, 72, 256, 1024));

class CudaGemmLoadOnce : public CudaBackend {};

// Half and twice as long is far more than what clocks and other work on the device make of it.
TEST_F(CudaGemmLoadOnce, TakesAsLongAsItIsAskedTo) {
  const std::vector<Batch> batches = random_batches({2, 8, 8}, 100, 50, 0, 1);
  for (const double ms : {1.0, 20.0}) {
    const Outcome cuda = outcome_of("gemm_load", Backend::kCuda, {{"ms_per_batch", ms}}, batches);
    EXPECT_GT(number_result(cuda.results, "ms_per_batch"), ms / 2);
    EXPECT_LT(number_result(cuda.results, "ms_per_batch"), ms * 2);
  }
}

// The feeder

std::shared_ptr<const Batch> shared(Batch batch) {
  return std::make_shared<const Batch>(std::move(batch));
}

Completion ignored() {
  return Completion([](std::exception_ptr) {});
}

DeviceFeeder::Setup feeder_setup(
    const BatchShape& shape,
    int num_slots,
    std::function<std::unique_ptr<DeviceStage>(Device&)> make_stage_of) {
  DeviceFeeder::Setup setup;
  setup.open_device = [] { return open_device({DeviceChoice::Kind::kCuda, 0}); };
  setup.stage_name = "tested";
  setup.make_stage = std::move(make_stage_of);
  setup.shape = shape;
  setup.num_slots = num_slots;
  return setup;
}

// Keeps the device busy before the checksum of a batch looks at it: a copy that does not wait for
// the kernels that read its slot would be seen.
class LoadBeforeChecksum final : public DeviceStage {
 public:
  explicit LoadBeforeChecksum(const BatchShape& shape)
      : load_(make_stage("gemm_load", Backend::kCuda, {{"ms_per_batch", 2.0}}, shape)),
        checksum_(make_stage("checksum", Backend::kCuda, {}, shape)) {}

  void hand_over(const Batch& batch) override { checksum_->hand_over(batch); }
  void enqueue(const DeviceBatch& batch, DeviceStream stream) override {
    load_->enqueue(batch, stream);
    checksum_->enqueue(batch, stream);
  }
  std::vector<Result> results() override { return checksum_->results(); }

 private:
  std::unique_ptr<DeviceStage> load_;
  std::unique_ptr<DeviceStage> checksum_;
};

constexpr BatchShape kFedShape{8, 500, 501};

void expect_all_arrived(const std::vector<Result>& results, std::int64_t num_batches) {
  EXPECT_EQ(integer_result(results, "batches"), num_batches);
  EXPECT_EQ(text_result(results, "verified"), "every token arrived once, whole and in order");
}

class CudaFeeder : public CudaBackend, public ::testing::WithParamInterface<int> {
 protected:
  using MakeStage = std::function<std::unique_ptr<DeviceStage>(Device&)>;

  static std::unique_ptr<DeviceStage> make_checksum(Device&) {
    return make_stage("checksum", Backend::kCuda, {}, kFedShape);
  }

  // Feeds random batches to the stage, each after `prepare`, and expects all of them to arrive.
  static void expect_arrival(
      const MakeStage& make,
      std::int64_t num_batches,
      std::uint32_t seed,
      const std::function<void(const Batch&)>& prepare = [](const Batch&) {}) {
    StageMetrics metrics("device", 1);
    DeviceFeeder feeder(feeder_setup(kFedShape, GetParam(), make), metrics);
    for (Batch& batch : random_batches(kFedShape, 50'000, num_batches, 33, seed)) {
      prepare(batch);
      feeder.consume(shared(std::move(batch)), ignored());
    }
    feeder.finish();
    expect_all_arrived(feeder.results(), num_batches);
  }
};

TEST_P(CudaFeeder, ProvesThatEveryTokenArrived) {
  expect_arrival(make_checksum, 300, 2);
}

TEST_P(CudaFeeder, ProvesThatEveryTokenArrivedAtASlowConsumer) {
  expect_arrival([](Device&) { return std::make_unique<LoadBeforeChecksum>(kFedShape); }, 100, 3);
}

TEST_P(CudaFeeder, ProvesThatEveryTokenOfASlowProducerArrived) {
  expect_arrival(make_checksum, 100, 4, [](const Batch& batch) {
    testing::spin(static_cast<std::uint64_t>(batch.index), std::chrono::microseconds(2000));
  });
}

TEST_P(CudaFeeder, ScoresAsWithoutIt) {
  const Values values = {{"width", std::int64_t{64}}, {"temperature", 1.0}};
  const StreamInfo stream = stream_of_vocabulary(5003);
  const std::vector<Batch> batches = random_batches(kFedShape, 5003, 20, 33, 5);
  const std::vector<Result> expected =
      outcome_of("lm_score", Backend::kCuda, values, batches, stream).results;
  StageMetrics metrics("device", 1);
  DeviceFeeder feeder(feeder_setup(kFedShape,
                                   GetParam(),
                                   [&](Device&) {
                                     return make_stage(
                                         "lm_score", Backend::kCuda, values, kFedShape, stream);
                                   }),
                      metrics);
  for (const Batch& batch : batches) {
    feeder.consume(shared(batch), ignored());
  }
  feeder.finish();
  EXPECT_EQ(number_result(feeder.results(), "loss"), number_result(expected, "loss"));
  EXPECT_EQ(text_result(feeder.results(), "sample_checksum"),
            text_result(expected, "sample_checksum"));
}

INSTANTIATE_TEST_SUITE_P(Slots, CudaFeeder, ::testing::Values(1, 2, 3, 8));

class CudaFeederOnce : public CudaBackend {};

TEST_F(CudaFeederOnce, ProvesThatEveryTokenOf100000TinyBatchesArrived) {
  constexpr BatchShape kTiny{1, 8, 8};
  StageMetrics metrics("device", 1);
  DeviceFeeder feeder(
      feeder_setup(
          kTiny, 2, [&](Device&) { return make_stage("checksum", Backend::kCuda, {}, kTiny); }),
      metrics);
  for (Batch& batch : random_batches(kTiny, 50'000, 100'000, 3, 2)) {
    feeder.consume(shared(std::move(batch)), ignored());
  }
  feeder.finish();
  expect_all_arrived(feeder.results(), 100'000);
}

TEST_F(CudaFeederOnce, PassesOnReportsInOrder) {
  const Values values = {{"width", std::int64_t{64}}};
  const StreamInfo stream = stream_of_vocabulary(5003);
  StageMetrics metrics("device", 1);
  DeviceFeeder::Setup setup = feeder_setup(kFedShape, 2, [&](Device&) {
    return make_stage("lm_score", Backend::kCuda, values, kFedShape, stream);
  });
  std::vector<std::int64_t> num_batches;
  std::vector<std::int64_t> num_scored;
  setup.report_every = 3;
  setup.on_report = [&](const Report& report) {
    num_batches.push_back(report.num_batches);
    num_scored.push_back(integer_result(report.figures, "scored"));
  };
  DeviceFeeder feeder(std::move(setup), metrics);
  for (Batch& batch : random_batches(kFedShape, 5003, 20, 0, 2)) {
    feeder.consume(shared(std::move(batch)), ignored());
  }
  feeder.finish();
  EXPECT_THAT(num_batches, ::testing::ElementsAre(3, 6, 9, 12, 15, 18));
  EXPECT_TRUE(std::is_sorted(num_scored.begin(), num_scored.end()));
  EXPECT_LT(num_scored.back(), integer_result(feeder.results(), "scored"));
}

// A kernel of batch 3 reads memory that is not there.
class StrayReads final : public DeviceStage {
 public:
  explicit StrayReads(const BatchShape& shape)
      : checksum_(make_stage("checksum", Backend::kCuda, {}, shape)) {}

  void enqueue(const DeviceBatch& batch, DeviceStream stream) override {
    DeviceBatch changed = batch;
    if (batch.index == 3) {
      changed.tokens = nullptr;
    }
    checksum_->enqueue(changed, stream);
  }
  std::vector<Result> results() override { return checksum_->results(); }

 private:
  std::unique_ptr<DeviceStage> checksum_;
};

void feed_stray_reads() {
  StageMetrics metrics("device", 1);
  DeviceFeeder feeder(
      feeder_setup(kFedShape, 2, [](Device&) { return std::make_unique<StrayReads>(kFedShape); }),
      metrics);
  for (Batch& batch : random_batches(kFedShape, 50'000, 100, 0, 2)) {
    feeder.consume(shared(std::move(batch)), ignored());
  }
  try {
    feeder.finish();
  } catch (const std::exception& error) {
    std::cerr << full_message(error);
  }
}

class CudaFailureDeathTest : public CudaBackend {};

// In a process of its own, since the device is lost to it.
TEST_F(CudaFailureDeathTest, EndsTheRunNamingTheStageAndTheBatch) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        feed_stray_reads();
        std::exit(0);
      },
      ::testing::ExitedWithCode(0),
      "device stage 'tested' failed at batch [0-9]+ or before it .*cudaErrorIllegalAddress");
}

}  // namespace
}  // namespace penstock::gpu
