#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "gpu/register_device.h"
#include "pipeline/config.h"
#include "stages/register_stages.h"

namespace penstock {
namespace {

TEST(ConfigurationPage, IsWhatTheDeclarationsGive) {
  StageRegistry registry;
  register_stages(registry);
  register_device(registry);
  std::ifstream page(std::string(PENSTOCK_SOURCE_DIR) + "/docs/configuration.md");
  const std::string text{std::istreambuf_iterator<char>(page), {}};
  EXPECT_EQ(text, configuration_reference(registry))
      << "run: build/release/penstock stages --markdown > docs/configuration.md";
}

}  // namespace
}  // namespace penstock
