#include "stages/discard.h"

#include <memory>

#include <gtest/gtest.h>

#include "pipeline/config.h"
#include "pipeline/pipeline.h"
#include "tests/fakes.h"

namespace penstock {
namespace {

TEST(Discard, LetsGoOfABatchAtOnce) {
  auto batch = std::make_shared<const Batch>();
  const std::weak_ptr<const Batch> watched = batch;
  bool is_done = false;
  DiscardSink sink;
  sink.consume(std::move(batch),
               Completion([&](const std::exception_ptr& error) { is_done = error == nullptr; }));
  EXPECT_TRUE(is_done);
  EXPECT_TRUE(watched.expired());
}

TEST(Discard, EndsAPipelineWithoutOptions) {
  StageRegistry registry;
  registry.add(
      testing::token_source([] { return std::make_unique<testing::NumberSource>(2, 10); }));
  registry.add(testing::row_assembler(16));
  register_discard(registry);
  const PipelineConfig config =
      parse_config("pipeline:\n- numbers\n- rows\n- discard\n", "discard.yaml", registry);
  Pipeline pipeline(config, registry);
  const RunSummary summary = pipeline.run();
  EXPECT_TRUE(summary.finished);
  EXPECT_GT(summary.batches, 0);
}

}  // namespace
}  // namespace penstock
