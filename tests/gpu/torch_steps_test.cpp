// Ten steps of lm_train against those of PyTorch, which bench/peers/ten_steps_with_torch.py takes
// with the same weights and tokens, made by the same formulas.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gpu/device.h"
#include "gpu/host/host_trainer.h"
#include "gpu/lm_train.h"
#include "gpu/transformer_weights.h"
#include "tests/gpu/lm_batches.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

constexpr TransformerShape kShape{
    .vocabulary = 61, .max_length = 24, .width = 32, .layers = 2, .heads = 2};
constexpr BatchShape kBatchShape{4, 24, 24};
constexpr std::int64_t kSteps = 10;

bool is_norm(const std::string& name) {
  return name.find("ln_") != std::string::npos && name.ends_with("weight");
}

std::vector<float> parameters() {
  const TransformerLayout layout = transformer_layout(kShape, 1);
  std::vector<float> values(static_cast<std::size_t>(layout.size), 0.0F);
  for (const TransformerTensor& tensor : layout.tensors) {
    double sum = 0;
    for (const char letter : tensor.name) {
      sum += letter;
    }
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      const auto e = static_cast<double>(i);
      values[static_cast<std::size_t>(tensor.offset + i)] = static_cast<float>(
          (is_norm(tensor.name) ? 1.0 : 0.0) + 0.2 * std::sin(0.7 * e * e + sum));
    }
  }
  return values;
}

std::vector<Batch> batches() {
  std::vector<std::vector<TokenId>> documents;
  std::int64_t num_tokens = 0;
  for (std::int64_t d = 0; num_tokens < kSteps * kBatchShape.cells(); ++d) {
    std::vector<TokenId>& tokens = documents.emplace_back();
    for (std::int64_t i = 0; i < 3 + 7 * d % 31; ++i) {
      tokens.push_back(static_cast<TokenId>((d * d + 5 * i + i * i * d) % kShape.vocabulary));
    }
    num_tokens += std::ssize(tokens);
  }
  std::vector<Batch> batches = packed(kBatchShape, documents, 0);
  batches.resize(kSteps);
  return batches;
}

TEST(TorchSteps, AreThoseOfLmTrain) {
  const auto torch = nlohmann::json::parse(
      std::ifstream(PENSTOCK_SOURCE_DIR "/tests/data/ten_steps_with_torch.json"));
  const TemporaryFolder folder;
  LmTrainOptions options;
  options.shape = kShape;
  options.optimizer.learning_rate = 0.01;
  options.optimizer.final_learning_rate = 0.001;
  options.optimizer.warmup_steps = 3;
  options.optimizer.decay_steps = 9;
  options.save_weights = folder.path("model.safetensors");
  LmTrain stage(options,
                std::make_unique<HostTrainer>(
                    kShape, options.optimizer, parameters(), kBatchShape.positions(), 64, 1));
  std::vector<Report> reports;
  run_stage(*make_host_device(), stage, batches(), 1, &reports);
  ASSERT_EQ(std::ssize(reports), kSteps);
  for (std::size_t i = 0; i < reports.size(); ++i) {
    for (const char* name : {"loss", "accuracy", "gradient_norm"}) {
      const double expected = torch.at(name).at(i).get<double>();
      EXPECT_NEAR(number_result(reports[i].figures, name), expected, 2e-5 * (1 + expected))
          << name << " of step " << i + 1;
    }
  }

  const std::vector<float> trained =
      read_transformer_weights(options.save_weights, kShape.heads).parameters;
  for (const TransformerTensor& tensor : transformer_layout(kShape, 1).tensors) {
    double squares = 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      squares += std::pow(trained[static_cast<std::size_t>(tensor.offset + i)], 2);
    }
    const double expected = torch.at("norm_of_weights").at(tensor.name).get<double>();
    // A key's bias shifts all scores of a softmax alike: its gradient is what rounding leaves of 0,
    // and AdamW makes steps of full size of that.
    const double tolerance = tensor.name.ends_with("c_attn.bias") ? 5e-3 : 1e-4;
    EXPECT_NEAR(std::sqrt(squares), expected, tolerance * expected) << tensor.name;
  }
}

}  // namespace
}  // namespace penstock::gpu
