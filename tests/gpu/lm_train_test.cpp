#include "gpu/lm_train.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/host/host_trainer.h"
#include "pipeline/errors.h"
#include "tests/gpu/lm_batches.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Values = std::map<std::string, OptionValue>;

constexpr BatchShape kShape{3, 12, 13};
constexpr std::int64_t kVocabulary = 29;

const Values kSmallModel = {{"width", std::int64_t{16}},
                            {"layers", std::int64_t{2}},
                            {"heads", std::int64_t{2}},
                            {"warmup_steps", std::int64_t{2}},
                            {"learning_rate", 0.01},
                            {"tile", std::int64_t{20}}};

Values with(Values values, const Values& more) {
  for (const auto& [name, value] : more) {
    values[name] = value;
  }
  return values;
}

StreamInfo stream_of_vocabulary(std::int64_t vocabulary) {
  StreamInfo stream;
  stream.vocabulary_size = vocabulary;
  return stream;
}

std::unique_ptr<DeviceStage> make_stage(const Values& values,
                                        const BatchShape& shape = kShape,
                                        int threads = 1,
                                        std::int64_t vocabulary = kVocabulary,
                                        const std::string& resume_folder = "",
                                        std::int64_t first_batch = 0) {
  const StreamInfo stream = stream_of_vocabulary(vocabulary);
  FileClaims files;
  return make_host_lm_train(
      device_stage_config(lm_train_options(), values),
      {shape, stream, files, 5, threads, nullptr, {}, {}, resume_folder, false, first_batch});
}

std::vector<Report> reports_of(DeviceStage& stage,
                               const std::vector<Batch>& batches,
                               std::int64_t report_every = 1) {
  std::vector<Report> reports;
  run_stage(*make_host_device(), stage, batches, report_every, &reports);
  return reports;
}

std::vector<double> losses_of(DeviceStage& stage, const std::vector<Batch>& batches) {
  std::vector<double> losses;
  for (const Report& report : reports_of(stage, batches)) {
    losses.push_back(number_result(report.figures, "loss"));
  }
  return losses;
}

// The same batch, again and again.
std::vector<Batch> repeated(const Batch& batch, std::int64_t count) {
  std::vector<Batch> batches(static_cast<std::size_t>(count), batch);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    batches[i].index = static_cast<std::int64_t>(i);
  }
  return batches;
}

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

TEST(LmTrain, LearnsABatchByHeart) {
  const std::vector<Batch> batches =
      repeated(random_batches(kShape, kVocabulary, 1, 4, 1).front(), 60);
  const std::vector<double> losses = losses_of(*make_stage(kSmallModel), batches);
  EXPECT_NEAR(losses.front(), std::log(kVocabulary), 0.05);
  EXPECT_LT(losses.back(), 1);
}

TEST(LmTrain, GivesTheSameLossesForTheSameSeedWithAnyNumberOfThreads) {
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 6, 4, 1);
  const std::vector<double> losses = losses_of(*make_stage(kSmallModel), batches);
  EXPECT_EQ(losses_of(*make_stage(kSmallModel, kShape, 2), batches), losses);
  EXPECT_NE(losses_of(*make_stage(with(kSmallModel, {{"seed", std::int64_t{2}}})), batches),
            losses);
}

TEST(LmTrain, TellsWhatItFound) {
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 4, 0, 1);
  const std::unique_ptr<DeviceStage> stage = make_stage(kSmallModel);
  std::vector<Report> reports;
  const std::vector<Result> results = run_stage(*make_host_device(), *stage, batches, 2, &reports);
  ASSERT_EQ(reports.size(), 2U);
  const std::vector<Result>& figures = reports.back().figures;
  std::vector<std::string> names;
  for (const Result& figure : figures) {
    names.push_back(figure.name);
  }
  EXPECT_THAT(names,
              ElementsAre("step",
                          "tokens",
                          "loss",
                          "accuracy",
                          "perplexity",
                          "eval_loss",
                          "learning_rate",
                          "gradient_norm",
                          "tokens_per_second",
                          "flops_per_token",
                          "gpu_memory"));
  EXPECT_EQ(reports.back().num_batches, 4);
  EXPECT_EQ(integer_result(figures, "step"), 4);
  EXPECT_EQ(integer_result(figures, "tokens"), 4 * kShape.positions());
  EXPECT_DOUBLE_EQ(number_result(figures, "perplexity"), std::exp(number_result(figures, "loss")));
  EXPECT_DOUBLE_EQ(number_result(figures, "learning_rate"), 0.01);
  EXPECT_GT(number_result(figures, "gradient_norm"), 0);
  EXPECT_GT(number_result(figures, "tokens_per_second"), 0);
  EXPECT_TRUE(std::isnan(number_result(figures, "eval_loss")));
  // Nothing came after the last report.
  EXPECT_EQ(number_result(results, "loss"), number_result(figures, "loss"));
}

TEST(LmTrain, TellsTheMeanLossSinceTheLastReport) {
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 4, 9, 1);
  const std::unique_ptr<DeviceStage> one_by_one = make_stage(kSmallModel);
  const std::unique_ptr<DeviceStage> in_pairs = make_stage(kSmallModel);
  const std::vector<Report> singles = reports_of(*one_by_one, batches, 1);
  const std::vector<Report> pairs = reports_of(*in_pairs, batches, 2);
  const auto loss = [](const Report& report) { return number_result(report.figures, "loss"); };
  const double low = std::min(loss(singles[2]), loss(singles[3]));
  const double high = std::max(loss(singles[2]), loss(singles[3]));
  EXPECT_GE(loss(pairs[1]), low);
  EXPECT_LE(loss(pairs[1]), high);
}

TEST(LmTrain, FollowsTheMeanOfAllBatchesOfAStep) {
  const std::vector<Batch> small = random_batches(kShape, kVocabulary, 4, 0, 1);
  // The same rows, twice as many in a batch.
  std::vector<Batch> large;
  for (std::size_t i = 0; i < small.size(); i += 2) {
    Batch batch = small[i];
    const Batch& more = small[i + 1];
    batch.index = std::ssize(large);
    batch.batch_size *= 2;
    batch.tokens.insert(batch.tokens.end(), more.tokens.begin(), more.tokens.end());
    batch.num_tokens += more.num_tokens;
    for (auto boundary = more.cu_seqlens.begin() + 1; boundary != more.cu_seqlens.end();
         ++boundary) {
      batch.cu_seqlens.push_back(*boundary + static_cast<std::int32_t>(kShape.positions()));
    }
    for (Segment segment : more.segments) {
      segment.begin += kShape.cells();
      segment.end += kShape.cells();
      batch.segments.push_back(std::move(segment));
    }
    large.push_back(std::move(batch));
  }
  const BatchShape large_shape{2 * kShape.batch_size, kShape.sequence_length, kShape.row_length};
  const std::vector<Report> of_small =
      reports_of(*make_stage(with(kSmallModel, {{"accumulate", std::int64_t{2}}})), small, 2);
  const std::vector<Report> of_large = reports_of(*make_stage(kSmallModel, large_shape), large, 1);
  ASSERT_EQ(of_small.size(), 2U);
  for (std::size_t i = 0; i < of_small.size(); ++i) {
    EXPECT_EQ(integer_result(of_small[i].figures, "step"), static_cast<std::int64_t>(i) + 1);
    for (const char* name : {"loss", "gradient_norm"}) {
      EXPECT_NEAR(
          number_result(of_small[i].figures, name), number_result(of_large[i].figures, name), 1e-5)
          << name;
    }
  }
}

TEST(LmTrain, SaysWhatWouldFitWhereMemoryIsNotEnough) {
  const std::int64_t many = std::int64_t{1} << 30;
  EXPECT_THAT(error_of([&] {
                make_stage(kSmallModel, {many, 12, 13});
              }),
              AllOf(HasSubstr("lm_train needs "),
                    HasSubstr("of memory on the CPU for batches of 1073741824 rows"),
                    HasSubstr("and raise accumulate, or train on a GPU"),
                    HasSubstr("lower batch_size to ")));
}

TEST(LmTrain, GoesOnFromACheckpoint) {
  const Values values = with(kSmallModel, {{"accumulate", std::int64_t{2}}});
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 7, 4, 1);
  const std::vector<double> losses = losses_of(*make_stage(values), batches);
  const auto begun = make_stage(values);
  losses_of(*begun, {batches.begin(), batches.begin() + 3});
  const TemporaryFolder folder;
  for (int i = 0; i < 2; ++i) {  // the second one needs the memory of the first
    begun->enqueue_save({});
    std::optional<CheckpointPart> save = begun->next_save();
    ASSERT_TRUE(save);
    (*save)(folder.path());
    EXPECT_FALSE(begun->next_save());
  }
  const auto resumed = make_stage(values, kShape, 1, kVocabulary, folder.path(), 3);
  const std::vector<double> rest = losses_of(*resumed, {batches.begin() + 3, batches.end()});
  EXPECT_EQ(rest, std::vector<double>(losses.begin() + 3, losses.end()));
  const auto error = [&](const Values& more, std::int64_t first_batch) {
    return error_of([&] {
      make_stage(with(values, more), kShape, 1, kVocabulary, folder.path(), first_batch);
    });
  };
  EXPECT_EQ(error({{"heads", std::int64_t{4}}, {"layers", std::int64_t{3}}}, 3),
            "the training would not be the same: layers was 2 and is 3 now, heads was 2 and is 4 "
            "now");
  EXPECT_EQ(error({{"accumulate", std::int64_t{4}}}, 3),
            "the training would not be the same: accumulate was 2 and is 4 now");
  EXPECT_THAT(error({}, 4),
              HasSubstr("optimizer.safetensors' is the state behind batch 2, and the run goes on "
                        "with batch 4"));
  EXPECT_THAT(error_of([&] { make_stage(values, kShape, 1, kVocabulary, folder.path("missing")); }),
              HasSubstr("missing/model.safetensors"));
}

// Its memory for a snapshot is always in use.
class BusyTrainer final : public TransformerTrainer {
 public:
  void train(const DeviceBatch&, const std::optional<AdamWStep>&, DeviceStream) override {}
  void evaluate(const DeviceBatch&, DeviceStream) override {}
  void enqueue_totals(DeviceStream) override {}
  std::optional<TrainingTotals> next_totals() override { return std::nullopt; }
  void wait_for_totals() override {}
  std::vector<float> read_parameters() override { return {}; }
  void load(const TrainingSnapshot&) override {}
  void reserve_snapshot() override {}
  std::unique_ptr<PendingSnapshot> enqueue_snapshot(DeviceStream) override { return nullptr; }
  std::unique_ptr<Generator> make_generator(const GeneratorOptions&) override { return nullptr; }
  std::optional<std::int64_t> memory_bytes() const override { return std::nullopt; }
};

// Else the checkpoint would be under way for ever, and every later one be left out.
TEST(LmTrain, SaysThatItCannotSave) {
  LmTrain stage({}, std::make_unique<BusyTrainer>());
  stage.enqueue_save({});
  const std::optional<CheckpointPart> save = stage.next_save();
  ASSERT_TRUE(save);
  EXPECT_EQ(error_of([&] { (*save)(""); }), "its memory still holds the checkpoint before");
  EXPECT_FALSE(stage.next_save());
}

TEST(LmTrain, RefusesTokensOfAnotherTokenizer) {
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary + 5, 1, 0, 1);
  const std::unique_ptr<DeviceStage> stage = make_stage(kSmallModel);
  EXPECT_THAT(
      error_of([&] { reports_of(*stage, batches); }),
      AllOf(HasSubstr("outside lm_train's vocabulary of 29"), HasSubstr("of another tokenizer")));
}

TEST(LmTrain, EndsWhereTheLossIsNotFinite) {
  LmTrainOptions options;
  options.shape = {
      .vocabulary = kVocabulary, .max_length = 12, .width = 8, .layers = 1, .heads = 1};
  const TransformerLayout layout = transformer_layout(options.shape, 1);
  std::vector<float> parameters = initial_parameters(layout, 1);
  // Positions from 9 on are wrong.
  parameters[static_cast<std::size_t>(layout.position_embedding + 9 * 8)] = INFINITY;
  LmTrain stage(options,
                std::make_unique<HostTrainer>(
                    options.shape, options.optimizer, parameters, kShape.positions(), 64, 1));
  // Rows: 13 tokens of the first document and of the second; the fourth row has the first one that
  // is long enough.
  std::vector<std::vector<TokenId>> documents(12, std::vector<TokenId>(4, 1));
  documents.emplace_back(30, TokenId{2});
  const std::vector<Batch> batches = packed(kShape, documents, kVocabulary);
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_THAT(error_of([&] { reports_of(stage, batches); }),
              AllOf(HasSubstr("the loss is not finite at step 2, batch 1, first in its row 1 "),
                    HasSubstr("record 13 of 'test.jsonl'"),
                    HasSubstr("lower learning_rate")));

  // What is saved behind it is no checkpoint.
  stage.enqueue_save({});
  const std::optional<CheckpointPart> save = stage.next_save();
  ASSERT_TRUE(save);
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { (*save)(folder.path()); }), "a loss or a gradient is not finite");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(LmTrainOptions, AreRefusedWhereTheyMakeNoModel) {
  const auto error = [](const Values& values, std::int64_t vocabulary = kVocabulary) {
    return error_of([&] { make_stage(values, kShape, 1, vocabulary); });
  };
  EXPECT_THAT(error({{"width", std::int64_t{100}}, {"heads", std::int64_t{3}}}),
              HasSubstr("width of 100 cannot be divided among 3 heads"));
  EXPECT_THAT(error({{"vocabulary", std::int64_t{100}}}, 101),
              HasSubstr("got 100, and the tokenizer has 101 ids"));
  EXPECT_THAT(error({{"decay_steps", std::int64_t{100}}}),
              HasSubstr("expected 0 or more than the warmup_steps, 100"));
  EXPECT_THAT(error({{"decay_steps", std::int64_t{200}}, {"final_learning_rate", 1.0}}),
              HasSubstr("is above learning_rate"));
  EXPECT_THAT(error({{"beta2", 1.0}}), HasSubstr("expected a number below 1"));
  EXPECT_THAT(error({{"epsilon", 0.0}}), HasSubstr("expected a number above 0"));
}

TEST(LmTrainOptions, TakeSizesByName) {
  const StreamInfo stream = stream_of_vocabulary(50'257);
  FileClaims files;
  const BatchShape shape{8, 1024, 1025};
  const auto parameters_of = [&](const std::string& model) {
    return num_parameters(
        read_lm_train_options(device_stage_config(lm_train_options(), {{"model", model}}),
                              {shape, stream, files})
            .shape);
  };
  EXPECT_EQ(parameters_of("small"), 124'439'808);
  EXPECT_EQ(parameters_of("medium"), 354'823'168);
}

TEST(AdamW, RaisesAndLowersTheLearningRate) {
  AdamWOptions options;
  options.learning_rate = 1;
  options.warmup_steps = 10;
  options.decay_steps = 110;
  options.final_learning_rate = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 1), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 10), 1);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 60), 0.55);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 110), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 1000), 0.1);
  options.decay_steps = 0;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 1000), 1);
}

// The contract of adamw.h, word by word, in double precision.
TEST(AdamW, ChangesEveryParameterAsItSays) {
  const TransformerShape shape = {
      .vocabulary = kVocabulary, .max_length = 12, .width = 8, .layers = 1, .heads = 2};
  const TransformerLayout layout = transformer_layout(shape, 1);
  AdamWOptions options;
  options.learning_rate = 0.05;
  options.warmup_steps = 0;
  options.gradient_clip = 0.3;
  HostTrainer trainer(shape, options, initial_parameters(layout, 1), kShape.positions(), 64, 1);
  std::vector<double> p(trainer.parameters().begin(), trainer.parameters().end());
  std::vector<double> m(p.size());
  std::vector<double> v(p.size());
  const std::unique_ptr<Device> device = make_host_device();
  const std::unique_ptr<StagingSlot> slot = device->make_slot(kShape);
  const std::vector<Batch> batches = random_batches(kShape, kVocabulary, 3, 7, 1);
  for (std::int64_t t = 1; t <= 3; ++t) {
    const DeviceBatch batch = slot->upload(batches[static_cast<std::size_t>(t - 1)]);
    trainer.train(batch, std::nullopt, {});
    const auto scored = static_cast<double>(packed_positions(batch, kVocabulary).num_scored);
    std::vector<double> g(trainer.gradient().begin(), trainer.gradient().end());
    // Every batch twice in a step, so that the gradient can be seen before it is taken.
    trainer.train(batch, adamw_step(options, t), {});
    double squares = 0;
    for (double& element : g) {
      element /= scored;
      squares += element * element;
    }
    const double norm = std::sqrt(squares);
    const double scale = std::min(1.0, 0.3 / (norm + 1e-6));
    for (std::size_t i = 0; i < p.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * scale * g[i];
      v[i] = 0.95 * v[i] + 0.05 * scale * g[i] * scale * g[i];
      if (static_cast<std::int64_t>(i) < layout.num_decaying) {
        p[i] -= 0.05 * 0.1 * p[i];
      }
      p[i] -=
          0.05 * m[i] / (1 - std::pow(0.9, t)) / (std::sqrt(v[i] / (1 - std::pow(0.95, t))) + 1e-8);
      // Where a gradient is next to nothing, its rounding decides the direction.
      if (std::abs(g[i]) > 1e-5) {
        ASSERT_NEAR(trainer.parameters()[i], p[i], 2e-3) << i << " of step " << t;
      }
      p[i] = trainer.parameters()[i];
    }
    trainer.enqueue_totals({});
    EXPECT_NEAR(trainer.next_totals().value().gradient_norm, norm, 1e-5);
  }
}

}  // namespace
}  // namespace penstock::gpu
