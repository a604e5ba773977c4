#include <gtest/gtest.h>

#include "pipeline/plugin_loader.h"
#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace {

using penstock::DocumentChunk;
using penstock::testing::document_chunk;
using penstock::testing::run_stage;
using penstock::testing::texts_of;

TEST(MinLength, DropsShortDocuments) {
  penstock::StageRegistry registry;
  penstock::load_plugin(PLUGIN, "", registry);
  const auto kept = run_stage<DocumentChunk>(
      registry, "min_length: {least: 3}", document_chunk({"ab", "abc", "", "abcd"}));
  EXPECT_EQ(texts_of(kept), (std::vector<std::string>{"abc", "abcd"}));
}

}  // namespace
