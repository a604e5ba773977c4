#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "gpu/register_device.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/pipeline.h"
#include "stages/register_stages.h"

namespace penstock {
namespace {

std::vector<std::string> shipped_configs() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(PENSTOCK_SOURCE_DIR) + "/configs")) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Where a whole run takes longer than a test should: less input, a smaller model.
std::vector<std::string> shortened(const std::string& name) {
  if (name == "train-tiny.yaml") {
    return {"read.paths=data/short/*.jsonl.zst", "device.width=16", "device.layers=1"};
  }
  if (name == "train-small.yaml") {
    return {"read.paths=data/short/*.jsonl.zst",
            "pack.batch_size=2",
            "pack.sequence_length=64",
            "device.width=16",
            "device.layers=1",
            "device.heads=2",
            "device.vocabulary=8000"};
  }
  return {};
}

class ShippedConfig : public ::testing::TestWithParam<std::string> {};

TEST_P(ShippedConfig, Runs) {
  // Paths in configs/ are relative to the root; what is written goes to build/, made here if the
  // tests run from elsewhere.
  std::filesystem::current_path(PENSTOCK_SOURCE_DIR);
  std::filesystem::create_directories("build");
  StageRegistry registry;
  register_stages(registry);
  register_device(registry);
  const PipelineConfig config =
      load_config("configs/" + GetParam(), registry, shortened(GetParam()));
  const RunSummary summary = Pipeline(config, registry).run();
  EXPECT_TRUE(summary.finished);
  EXPECT_GT(summary.tokens.out, 1000);
  EXPECT_EQ(summary.tokens.in, summary.tokens.out + summary.tokens.dropped);
}

INSTANTIATE_TEST_SUITE_P(All,
                         ShippedConfig,
                         ::testing::ValuesIn(shipped_configs()),
                         [](const auto& tested) {
                           std::string name = tested.param.substr(0, tested.param.find('.'));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace penstock
