#include "stages/tokenize_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace penstock {
namespace {

using testing::document_chunk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::run_stage;
using testing::tokens_of;

StageRegistry registry() {
  StageRegistry registry;
  register_tokenize_bytes(registry);
  return registry;
}

TEST(TokenizeBytes, MakesATokenOfEachByte) {
  const auto tokens =
      run_stage<TokenChunk>(registry(), "tokenize_bytes", document_chunk({"ab", "", "é"}));
  EXPECT_THAT(tokens_of(tokens),
              ElementsAre(ElementsAre('a', 'b'), IsEmpty(), ElementsAre(0xc3, 0xa9)));
  EXPECT_EQ(tokens.documents[2].record, 3);
}

TEST(TokenizeBytes, EndsDocumentsThatHaveTokens) {
  const auto tokens = run_stage<TokenChunk>(
      registry(), "tokenize_bytes: {add_eos: true}", document_chunk({"a", ""}));
  EXPECT_THAT(tokens_of(tokens), ElementsAre(ElementsAre('a', 256), IsEmpty()));
}

TEST(TokenizeBytes, TellsTheStreamWhatItsTokensAre) {
  StreamInfo stream;
  Metrics metrics;
  FileClaims files;
  const StageRegistry stages = registry();
  std::get<StageFactory>(stages.find("tokenize_bytes")->factory)(
      StageConfig("tokenize_bytes", "", {{"add_eos", true}}, {}),
      BuildContext{stream, metrics, metrics.add("tokenize_bytes", 1), files});
  EXPECT_EQ(stream.vocabulary_size, 257);
  EXPECT_EQ(stream.eos_id, 256U);
  EXPECT_EQ(stream.decoder->decode({'a', 256, 'b'}), "ab");
}

}  // namespace
}  // namespace penstock
