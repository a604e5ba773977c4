#include "min_length.h"

#include <gtest/gtest.h>

#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace {

using penstock::DocumentChunk;
using penstock::StageRegistry;
using penstock::testing::document_chunk;
using penstock::testing::run_stage;
using penstock::testing::texts_of;

TEST(MinLength, DropsShortDocuments) {
  StageRegistry registry;
  register_min_length(registry);
  const auto kept = run_stage<DocumentChunk>(
      registry, "min_length: {min_bytes: 3}", document_chunk({"ab", "abc", "", "abcd"}));
  EXPECT_EQ(texts_of(kept), (std::vector<std::string>{"abc", "abcd"}));
}

}  // namespace
