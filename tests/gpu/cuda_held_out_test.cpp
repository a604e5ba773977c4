// Evaluation and text samples on CUDA, in a whole run. Skips where there is no CUDA device.

#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gpu/device.h"
#include "gpu/register_device.h"
#include "pipeline/config.h"
#include "pipeline/pipeline.h"
#include "stages/register_stages.h"
#include "tests/gpu/lm_batches.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using nlohmann::json;

class CudaHeldOut : public ::testing::Test {
 protected:
  void SetUp() override {
    const CudaAvailability cuda = cuda_availability();
    if (!cuda.available) {
      GTEST_SKIP() << cuda.reason;
    }
    register_stages(registry_);
    register_device(registry_);
    std::ofstream shard(folder_.path("shard.jsonl"));
    for (int document = 0; document < 120; ++document) {
      std::string text = "Document " + std::to_string(document) + " is about";
      for (int word = 0; word < 60; ++word) {
        text += std::string(" ") + static_cast<char>('a' + (word * 3 + document) % 20) + "an";
      }
      shard << json{{"text", text}} << '\n';
    }
  }

  // Of lm_train on this kind of device; reports and samples go to files named for it.
  std::vector<Result> run(const std::string& kind) {
    const PipelineConfig config = parse_config(
        "threads: 2\n"
        "pipeline:\n"
        "  - read: {paths: '" +
            folder_.path("shard.jsonl") +
            "'}\n"
            "  - parse\n"
            "  - tokenize: {model: '" PENSTOCK_SOURCE_DIR
            "/data/sample/demo_bpe_8k_bytefallback.model'}\n"
            "  - pack: {batch_size: 2, sequence_length: 128}\n"
            "  - device: {stage: lm_train, width: 64, layers: 2, heads: 1, warmup_steps: 4, "
            "report_every: 2, eval_batches: 3, eval_every: 2, sample_every: 4, kind: " +
            kind + ", reports: '" + folder_.path(kind + ".reports") + "', samples: '" +
            folder_.path(kind + ".samples") + "', eval_paths: '" + folder_.path("shard.jsonl") +
            "'}\n",
        "test.yaml",
        registry_);
    return Pipeline(config, registry_).run().sinks.front().results;
  }
  std::vector<json> lines(const std::string& name) const {
    std::vector<json> lines;
    std::ifstream file(folder_.path(name));
    for (std::string line; std::getline(file, line);) {
      lines.push_back(json::parse(line));
    }
    return lines;
  }

  const TemporaryFolder folder_;
  StageRegistry registry_;
};

TEST_F(CudaHeldOut, GivesTheHostsEvaluationsAndWaitsForNothing) {
  const std::vector<Result> results = run("cuda");
  run("cpu");
  const std::vector<json> found = lines("cuda.reports");
  const std::vector<json> expected = lines("cpu.reports");
  ASSERT_GT(found.size(), 8U);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i]["eval_loss"].get<double>(), expected[i]["eval_loss"].get<double>(), 0.1)
        << i;
  }
  const std::vector<json> samples = lines("cuda.samples");
  const std::vector<json> of_host = lines("cpu.samples");
  ASSERT_EQ(samples.size(), of_host.size());
  EXPECT_GE(samples.size(), found.size() / 2);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    for (const char* name : {"step", "prompt", "reference"}) {
      EXPECT_EQ(samples[i][name], of_host[i][name]);
    }
    EXPECT_FALSE(samples[i]["predicted"].get<std::string>().empty());
  }
  if (!text_result(results, "profile").starts_with("not available")) {
    EXPECT_EQ(integer_result(results, "host_synchronisations"),
              integer_result(results, "waits_for_a_slot"))
        << text_result(results, "synchronising_calls");
  }
}

}  // namespace
}  // namespace penstock::gpu
