#include "gpu/transformer_weights.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/host/host_trainer.h"
#include "gpu/lm_train.h"
#include "tests/gpu/lm_batches.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Values = std::map<std::string, OptionValue>;

constexpr BatchShape kBatchShape{3, 12, 13};
constexpr TransformerShape kShape = {
    .vocabulary = 29, .max_length = 12, .width = 16, .layers = 2, .heads = 4};

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

std::vector<float> random_parameters(const TransformerShape& shape, std::uint64_t seed) {
  return initial_parameters(transformer_layout(shape, 1), seed);
}

class TransformerWeightsFile : public ::testing::Test {
 protected:
  std::string reading_error(std::int64_t heads = 0) const {
    return error_of([&] { read_transformer_weights(path_, heads); });
  }
  // The tensors of kShape with this prefix, and others.
  void write(const std::string& prefix, const std::vector<SafetensorsTensor>& others = {}) const {
    std::vector<SafetensorsTensor> tensors = others;
    append_tensors(transformer_layout(kShape, 1), prefix, parameters_, tensors);
    write_safetensors(path_, tensors);
  }
  // Of lm_train on kShape, from the values.
  std::unique_ptr<DeviceStage> make_stage(Values values) const {
    values.insert({{"width", std::int64_t{16}},
                   {"layers", std::int64_t{2}},
                   {"heads", std::int64_t{4}},
                   {"learning_rate", 0.01},
                   {"warmup_steps", std::int64_t{2}}});
    StreamInfo stream;
    stream.vocabulary_size = kShape.vocabulary;
    FileClaims files;
    return make_host_lm_train(device_stage_config(lm_train_options(), values),
                              {kBatchShape, stream, files});
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.path("model.safetensors");
  const std::vector<float> parameters_ = random_parameters(kShape, 1);
};

TEST_F(TransformerWeightsFile, GivesBackWhatWasWritten) {
  write_transformer_weights(kShape, parameters_, path_);
  const TransformerWeights read = read_transformer_weights(path_);
  EXPECT_EQ(read.shape.vocabulary, kShape.vocabulary);
  EXPECT_EQ(read.shape.max_length, kShape.max_length);
  EXPECT_EQ(read.shape.width, kShape.width);
  EXPECT_EQ(read.shape.layers, kShape.layers);
  EXPECT_EQ(read.shape.heads, kShape.heads);
  EXPECT_EQ(read.parameters, parameters_);
}

TEST_F(TransformerWeightsFile, HasTheNamesAndShapesOfHuggingFace) {
  write_transformer_weights(kShape, parameters_, path_);
  const SafetensorsReader file(path_);
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(file.shape("transformer.wte.weight"), (Shape{29, 16}));
  EXPECT_EQ(file.shape("transformer.wpe.weight"), (Shape{12, 16}));
  EXPECT_EQ(file.shape("transformer.h.0.ln_1.weight"), Shape{16});
  EXPECT_EQ(file.shape("transformer.h.1.attn.c_attn.weight"), (Shape{16, 48}));
  EXPECT_EQ(file.shape("transformer.h.1.attn.c_attn.bias"), Shape{48});
  EXPECT_EQ(file.shape("transformer.h.1.attn.c_proj.weight"), (Shape{16, 16}));
  EXPECT_EQ(file.shape("transformer.h.1.mlp.c_fc.weight"), (Shape{16, 64}));
  EXPECT_EQ(file.shape("transformer.h.1.mlp.c_proj.weight"), (Shape{64, 16}));
  EXPECT_EQ(file.shape("transformer.h.1.mlp.c_proj.bias"), Shape{16});
  EXPECT_EQ(file.shape("transformer.ln_f.bias"), Shape{16});
  EXPECT_EQ(file.metadata("format"), "pt");
}

TEST_F(TransformerWeightsFile, MayLeaveOutThePrefixAndHoldOtherTensors) {
  const std::vector<float> mask(16, 1.0F);
  write("", {{"h.0.attn.bias", "F32", {1, 1, 4, 4}, std::as_bytes(std::span(mask))}});
  EXPECT_EQ(read_transformer_weights(path_, 2).parameters, parameters_);
  EXPECT_EQ(read_transformer_weights(path_, 2).shape.heads, 2);
  EXPECT_EQ(read_transformer_weights(path_).shape.heads, 1);
}

TEST_F(TransformerWeightsFile, RefusesALastMatrixOfItsOwn) {
  std::vector<float> last(parameters_.begin(), parameters_.begin() + 29 * 16);
  const auto write_with_last = [&] {
    write("transformer.", {{"lm_head.weight", "F32", {29, 16}, std::as_bytes(std::span(last))}});
  };
  write_with_last();
  EXPECT_EQ(read_transformer_weights(path_).parameters, parameters_);
  last[7] += 1;
  write_with_last();
  EXPECT_THAT(
      reading_error(),
      AllOf(HasSubstr(path_), HasSubstr("'lm_head.weight' is another than the token embedding")));
}

TEST_F(TransformerWeightsFile, RefusesWhatIsNoGpt2) {
  write("model.");
  EXPECT_THAT(reading_error(), HasSubstr("'wte.weight' is not in the file"));
  write("");
  EXPECT_THAT(reading_error(3), HasSubstr("width of 16 cannot be divided among 3 heads"));
  std::vector<float> parameters = parameters_;
  parameters[5] = NAN;
  write_transformer_weights(kShape, parameters, path_);
  EXPECT_THAT(reading_error(),
              HasSubstr("'transformer.wte.weight' has an element, number 5 from 0, that is not"));
  const std::vector<float> few(3);
  const auto bytes = std::as_bytes(std::span(few));
  write_safetensors(path_,
                    {{"wte.weight", "F32", {3, 1}, bytes},
                     {"wpe.weight", "F32", {3, 1}, bytes},
                     {"h.0.ln_1.weight", "F32", {3}, bytes},
                     {"h.0.attn.c_attn.weight", "F32", {3, 1}, bytes}});
  EXPECT_THAT(reading_error(),
              HasSubstr("'h.0.attn.c_attn.weight' has shape [3, 1], expected [1, 3]"));
}

TEST_F(TransformerWeightsFile, IsWhatARunEndsWithAndTheNextBeginsWith) {
  const std::vector<Batch> batches = random_batches(kBatchShape, kShape.vocabulary, 3, 4, 1);
  const auto first_loss = [&](const Values& values, std::size_t first) {
    std::vector<Report> reports;
    run_stage(*make_host_device(),
              *make_stage(values),
              {batches.begin() + static_cast<std::ptrdiff_t>(first), batches.end()},
              1,
              &reports);
    return number_result(reports.front().figures, "loss");
  };
  const double loss_of_new = first_loss({{"save_weights", path_}}, 0);
  EXPECT_LT(first_loss({{"weights", path_}}, 0), loss_of_new - 0.01);
  EXPECT_NE(read_transformer_weights(path_).parameters, parameters_);
}

TEST_F(TransformerWeightsFile, IsRefusedWhereItDoesNotFitTheRun) {
  const auto error = [&](const Values& values) { return error_of([&] { make_stage(values); }); };
  TransformerShape other = kShape;
  const auto write_other = [&] {
    write_transformer_weights(other, random_parameters(other, 1), path_);
  };
  other.width = 32;
  write_other();
  EXPECT_THAT(error({{"weights", path_}}), HasSubstr("got 16, and the weights in "));
  other = kShape;
  other.vocabulary = 28;
  write_other();
  EXPECT_THAT(error({{"weights", path_}}), HasSubstr("28 ids, fewer than the tokenizer's 29"));
  other = kShape;
  other.max_length = 11;
  write_other();
  EXPECT_THAT(error({{"weights", path_}}),
              HasSubstr("knows 11 positions, fewer than the sequence_length of 12"));
  write_transformer_weights(kShape, parameters_, path_);
  EXPECT_THAT(error({{"weights", path_},
                     {"model", std::string("small")},
                     {"width", std::int64_t{0}},
                     {"layers", std::int64_t{0}},
                     {"heads", std::int64_t{0}}}),
              HasSubstr("a width of 16 and 2 layers"));
  EXPECT_THAT(error({{"weights", path_}, {"save_weights", path_}}), HasSubstr(path_));
  EXPECT_THAT(error({{"weights", folder_.path("missing")}}), HasSubstr("No such file"));
  EXPECT_THAT(error({{"save_weights", folder_.path("missing/file")}}),
              HasSubstr("create it first"));
}

// In the middle of a step of two batches.
TEST_F(TransformerWeightsFile, AndTheOptimisersStateAreWhatTrainingGoesOnFrom) {
  const std::vector<Batch> batches = random_batches(kBatchShape, kShape.vocabulary, 7, 4, 1);
  const std::string state_path = folder_.path("optimizer.safetensors");
  LmTrainOptions options;
  options.shape = kShape;
  options.accumulate = 2;
  options.optimizer.warmup_steps = 2;
  const auto make_trainer = [&](std::uint64_t seed) {
    return std::make_unique<HostTrainer>(
        kShape, options.optimizer, random_parameters(kShape, seed), kBatchShape.positions(), 64, 1);
  };
  const auto train = [&](LmTrain& stage, std::size_t first, std::size_t end) {
    std::vector<Report> reports;
    const std::vector<Batch> part(batches.begin() + static_cast<std::ptrdiff_t>(first),
                                  batches.begin() + static_cast<std::ptrdiff_t>(end));
    run_stage(*make_host_device(), stage, part, 1, &reports);
    return reports;
  };
  auto trainer = make_trainer(1);
  HostTrainer& observed = *trainer;
  LmTrain whole(options, std::move(trainer));
  train(whole, 0, 3);
  const TrainingSnapshot snapshot = observed.enqueue_snapshot({})->wait();
  write_transformer_weights(snapshot.shape, snapshot.parameters, path_);
  write_optimizer_state(snapshot, state_path);
  const std::vector<Report> expected = train(whole, 3, 7);

  TransformerWeights weights = read_transformer_weights(path_);
  TrainingSnapshot read;
  read.shape = weights.shape;
  read.parameters = std::move(weights.parameters);
  read_optimizer_state(state_path, read);
  EXPECT_EQ(read.num_batches, 3);
  LmTrain resumed(options, make_trainer(2));
  resumed.go_on_from(read);
  const std::vector<Report> found = train(resumed, 3, 7);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].num_batches, expected[i].num_batches);
    for (const char* name : {"step", "tokens"}) {
      EXPECT_EQ(integer_result(found[i].figures, name), integer_result(expected[i].figures, name));
    }
    for (const char* name : {"loss", "accuracy", "learning_rate", "gradient_norm"}) {
      if (i > 0 || std::string(name) != "gradient_norm") {
        EXPECT_DOUBLE_EQ(number_result(found[i].figures, name),
                         number_result(expected[i].figures, name))
            << name << i;
      }
    }
  }
}

TEST_F(TransformerWeightsFile, IsNoStateOfTheOptimiser) {
  write_transformer_weights(kShape, parameters_, path_);
  TrainingSnapshot snapshot;
  snapshot.shape = kShape;
  EXPECT_THAT(error_of([&] { read_optimizer_state(path_, snapshot); }),
              HasSubstr("no state of the optimiser of lm_train"));
  snapshot.first_moment = snapshot.second_moment = parameters_;
  snapshot.second_moment[5] = -1e-9F;
  write_optimizer_state(snapshot, path_);
  EXPECT_THAT(error_of([&] { read_optimizer_state(path_, snapshot); }),
              HasSubstr("a second moment, the mean of a square, is negative"));
}

}  // namespace
}  // namespace penstock::gpu
