#include "gpu/held_out.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gpu/register_device.h"
#include "gpu/transformer.h"
#include "gpu/transformer_weights.h"
#include "pipeline/checkpoint_folder.h"
#include "pipeline/checkpoint_writer.h"
#include "pipeline/config.h"
#include "pipeline/continued_path.h"
#include "pipeline/errors.h"
#include "pipeline/figures.h"
#include "pipeline/pipeline.h"
#include "stages/register_stages.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Runs lm_train on the host from shards, as a configuration says.
class HeldOutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry_ = std::make_unique<StageRegistry>();
    register_stages(*registry_);
    register_device(*registry_);
    write_shard("train.jsonl", 'a');
    write_shard("held_out.jsonl", 'k');
  }

  // Documents of words that begin with this letter and those behind it.
  void write_shard(const std::string& name, char letter) const {
    std::ofstream shard(folder_.path(name));
    for (int document = 0; document < 12; ++document) {
      shard << json{{"text", text(letter, document)}} << '\n';
    }
  }
  static std::string text(char letter, int document) {
    std::string text = "Document " + std::to_string(document) + " is about";
    for (int word = 0; word < 60; ++word) {
      text += std::string(" ") + static_cast<char>(letter + (word + document) % 10) + "an";
    }
    return text;
  }

  PipelineConfig config(const std::string& options) const {
    return parse_config(
        "threads: 1\n"
        "pipeline:\n"
        "  - read: {paths: '" +
            folder_.path("train.jsonl") +
            "'}\n"
            "  - parse\n"
            "  - tokenize: {model: '" PENSTOCK_SOURCE_DIR
            "/data/sample/demo_bpe_8k_bytefallback.model'}\n"
            "  - pack: {batch_size: 1, sequence_length: 96}\n"
            "  - device: {kind: cpu, stage: lm_train, width: 8, layers: 1, heads: 1, "
            "report_every: 1, reports: '" +
            reports_ + "', eval_paths: '" + folder_.path("held_out.jsonl") + "', " + options +
            "}\n",
        "test.yaml",
        *registry_);
  }
  void run(const std::string& options) const { Pipeline(config(options), *registry_).run(); }
  std::string error_of(const std::string& options) const {
    try {
      const Pipeline pipeline(config(options), *registry_);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "no error";
  }
  static std::vector<json> lines(const std::string& path) {
    std::vector<json> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      lines.push_back(json::parse(line));
    }
    return lines;
  }

  const TemporaryFolder folder_;
  const std::string reports_ = folder_.path("reports.jsonl");
  const std::string samples_ = folder_.path("samples.jsonl");
  std::unique_ptr<StageRegistry> registry_;
};

// With a learning rate of 0 the model stays the same.
TEST_F(HeldOutTest, EvaluatesTheSameBatchesEverySoManySteps) {
  run("eval_batches: 3, eval_every: 2, accumulate: 2, learning_rate: 0");
  const std::vector<json> reports = lines(reports_);
  ASSERT_GE(reports.size(), 8U);
  std::set<double> losses;
  for (const json& report : reports) {
    const bool is_due = report["batches"].get<int>() % 4 == 0;
    EXPECT_EQ(report["eval_loss"].is_number(), is_due) << report;
    if (is_due) {
      losses.insert(report["eval_loss"].get<double>());
    }
  }
  // Differences of sums are rounded.
  ASSERT_FALSE(losses.empty());
  EXPECT_NEAR(*losses.begin(), *losses.rbegin(), 1e-9);
}

TEST_F(HeldOutTest, ReadsTheBatchesThatTrainingOnTheShardsWouldSee) {
  write_shard("held_out.jsonl", 'a');  // what is trained on
  run("eval_batches: 1, eval_every: 1, learning_rate: 0");
  const json first = lines(reports_).front();
  EXPECT_DOUBLE_EQ(first["eval_loss"].get<double>(), first["loss"].get<double>());
}

TEST_F(HeldOutTest, ContinuesTheBeginningsOfDocuments) {
  run("sample_every: 3, samples: '" + samples_ + "'");
  const std::vector<json> samples = lines(samples_);
  const std::size_t num_steps = lines(reports_).size();
  ASSERT_EQ(samples.size(), num_steps / 3 * kMaxSampledDocuments);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const json& sample = samples[i];
    EXPECT_EQ(sample["step"], 3 * (i / kMaxSampledDocuments + 1));
    const std::string known =
        sample["prompt"].get<std::string>() + sample["reference"].get<std::string>();
    EXPECT_THAT(known, StartsWith("Document "));
    const int document = std::stoi(known.substr(9));
    EXPECT_THAT(text('k', document), StartsWith(known));
    EXPECT_GT(known.size(), 100U);
    EXPECT_NE(sample["predicted"], sample["reference"]);
    EXPECT_FALSE(sample["predicted"].get<std::string>().empty());
  }
}

TEST_F(HeldOutTest, ContinuesEachBeginningOnce) {
  {
    std::ofstream shard(folder_.path("held_out.jsonl"));
    for (int document = 0; document < 12; ++document) {
      shard << json{{"text", text('k', document / 6)}} << '\n';
    }
  }
  run("eval_batches: 100, sample_every: 3, samples: '" + samples_ + "'");
  const std::vector<json> samples = lines(samples_);
  ASSERT_EQ(samples.size(), lines(reports_).size() / 3 * 2);
  for (std::size_t i = 0; i < samples.size(); i += 2) {
    EXPECT_THAT(samples[i]["prompt"], StartsWith("Document 0"));
    EXPECT_THAT(samples[i + 1]["prompt"], StartsWith("Document 1"));
  }
}

TEST_F(HeldOutTest, LeavesItToTheLossToSayThatItIsNotFinite) {
  constexpr TransformerShape kShape{
      .vocabulary = 8000, .max_length = 96, .width = 8, .layers = 1, .heads = 1};
  std::vector<float> parameters = initial_parameters(transformer_layout(kShape, 1), 1);
  parameters.front() = 3e38F;  // of the embedding: no sum with it is finite
  parameters[1] = 3e38F;
  const std::string weights = folder_.path("weights.safetensors");
  write_transformer_weights(kShape, parameters, weights);
  try {
    run("sample_every: 1, weights: '" + weights + "'");
    FAIL() << "it trained";
  } catch (const std::exception& error) {
    EXPECT_THAT(full_message(error), HasSubstr("the loss is not finite at step 1, batch 0"));
  }
}

TEST_F(HeldOutTest, KeepsTheSamplesOfTheRunThatItGoesOnFrom) {
  const std::string options = "sample_every: 3, samples: '" + samples_ + "'";
  const std::string checkpoints = folder_.path("checkpoints");
  CheckpointWriter::Options every_fourth;
  every_fourth.folder = checkpoints;
  every_fourth.every = 4;
  every_fourth.keep = 1000;
  {
    Pipeline pipeline(config(options), *registry_);
    pipeline.set_checkpoints(std::make_shared<CheckpointWriter>(every_fourth));
    pipeline.run();
  }
  const std::vector<json> samples = lines(samples_);
  const ResumePoint point =
      read_checkpoint(checkpoints + "/" + list_checkpoints(checkpoints).front().second);
  std::vector<json> expected;
  for (const json& sample : samples) {
    if (sample["step"] > point.position.next_batch) {
      expected.push_back(sample);
    }
  }
  Pipeline(config(options), *registry_, point).run();
  EXPECT_EQ(lines(samples_), samples);
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(lines(continued_path(samples_, point.position.next_batch)), expected);
}

TEST_F(HeldOutTest, TellsThoseWhoListenToTheRunOfSamples) {
  class Listener final : public FiguresListener {
   public:
    void add(std::string_view sink,
             std::int64_t,
             const std::vector<Result>& figures) noexcept override {
      const auto is_text = [](const Result& figure) {
        return figure.name == "predicted" && std::holds_alternative<std::string>(figure.value);
      };
      num_samples +=
          sink == "device" && std::any_of(figures.begin(), figures.end(), is_text) ? 1 : 0;
    }
    std::atomic<std::size_t> num_samples{0};
  };
  const auto listener = std::make_shared<Listener>();
  Pipeline pipeline(config("sample_every: 3"), *registry_);
  pipeline.listen(listener);
  pipeline.run();
  EXPECT_EQ(listener->num_samples, lines(reports_).size() / 3 * kMaxSampledDocuments);
}

TEST_F(HeldOutTest, RefusesWhatCannotBeDone) {
  EXPECT_THAT(error_of("samples: x"), HasSubstr("gets nothing without sample_every"));
  EXPECT_THAT(error_of("sample_every: 1, samples: '" + folder_.path("train.jsonl") + "'"),
              HasSubstr("train.jsonl"));
  std::ofstream(folder_.path("held_out.jsonl")) << R"({"text": "A short text."})" << '\n';
  EXPECT_THAT(error_of("sample_every: 1, samples: '" + samples_ + "'"),
              HasSubstr("none begins with 50 tokens in a row"));
  std::ofstream(folder_.path("held_out.jsonl")) << R"({"text": ""})" << '\n';
  EXPECT_THAT(error_of("eval_batches: 1"),
              AllOf(HasSubstr("option 'eval_paths'"), HasSubstr("there is no document in them")));
  std::filesystem::remove(folder_.path("held_out.jsonl"));
  EXPECT_THAT(error_of("eval_batches: 1"),
              AllOf(StartsWith("test.yaml:7:"),
                    HasSubstr("option 'eval_paths' of stage 'device': option 'paths' of stage "
                              "'read': '" +
                              folder_.path("held_out.jsonl") + "': No such file or directory")));
}

}  // namespace
}  // namespace penstock::gpu
