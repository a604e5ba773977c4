#include "gpu/generator.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/host/sample_token.h"
#include "gpu/philox.h"
#include "tests/gpu/lively_transformer.h"

namespace penstock::gpu {
namespace {

using ::testing::HasSubstr;

constexpr TransformerShape kShape = {
    .vocabulary = 37, .max_length = 24, .width = 16, .layers = 3, .heads = 2};
const std::vector<TokenText> kPrompts = {{3}, {1, 2, 3, 4, 5}, {36, 0, 9}};

GeneratorOptions options_of(const TokenSampling& sampling = {}) {
  return {4, kShape.max_length, kShape.vocabulary, sampling};
}

std::vector<TokenText> continued(const std::vector<TokenText>& prompts,
                                 std::int64_t num_tokens,
                                 const GeneratorOptions& options = options_of(),
                                 int threads = 1) {
  const std::unique_ptr<Generator> generator =
      make_host_generator({kShape, lively_parameters(kShape, 1)}, options, threads);
  generator->enqueue(prompts, num_tokens, {});
  generator->wait();
  return generator->next().value();
}

// Every token is what comes of the logits of the whole text before it, without a cache.
void expect_from_whole_texts(const TokenSampling& sampling) {
  constexpr std::int64_t kTokens = 19;
  const std::vector<float> parameters = lively_parameters(kShape, 1);
  const std::vector<TokenText> found = continued(kPrompts, kTokens, options_of(sampling));
  ASSERT_EQ(found.size(), kPrompts.size());
  for (std::size_t i = 0; i < kPrompts.size(); ++i) {
    TokenText text = kPrompts[i];
    ASSERT_EQ(found[i].size(), kTokens);
    for (const TokenId token : found[i]) {
      const std::vector<float> logits = logits_behind(kShape, parameters, text);
      const std::uint64_t place = (text.size() - 1) * kMaxPrompts + i;
      const TokenId expected =
          sample_token(logits, sampling, philox(sampling.seed, place, kLmSampleStream));
      ASSERT_EQ(token, expected) << "text " << i << ", token " << text.size();
      text.push_back(token);
    }
  }
}

TEST(Generator, TakesTheMostLikelyTokenOfTheWholeTextBefore) {
  expect_from_whole_texts({});
}

TEST(Generator, SamplesAsLmScoreDoes) {
  TokenSampling sampling;
  sampling.seed = 7;
  sampling.temperature = 1.5;
  expect_from_whole_texts(sampling);
  sampling.top_k = 5;
  sampling.top_p = 0.8;
  expect_from_whole_texts(sampling);
}

TEST(Generator, GivesTheSameTextWithOthersAndThreads) {
  TokenSampling sampling;
  sampling.temperature = 1;
  const GeneratorOptions options = options_of(sampling);
  const std::vector<TokenText> together = continued(kPrompts, 10, options);
  EXPECT_EQ(continued({kPrompts[0]}, 10, options).front(), together.front());
  EXPECT_EQ(continued(kPrompts, 10, options, 3), together);
  EXPECT_EQ(continued(kPrompts, 4, options)[1],
            TokenText(together[1].begin(), together[1].begin() + 4));
}

TEST(Generator, GeneratesNoIdBeyondTheVocabularyThatIsAskedFor) {
  GeneratorOptions options = options_of();
  options.vocabulary = 6;
  const std::vector<TokenText> found = continued({{1, 2}}, 20, options);
  for (const TokenId token : found.front()) {
    EXPECT_LT(token, 6U);
  }
}

TEST(Generator, RefusesPromptsThatItWasNotMadeFor) {
  const auto error = [](const std::vector<TokenText>& prompts, std::int64_t num_tokens) {
    try {
      continued(prompts, num_tokens);
    } catch (const std::invalid_argument& thrown) {
      return std::string(thrown.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error({}, 1), HasSubstr("got 0 prompts, expected from 1 to 4"));
  EXPECT_THAT(error({{1}, {1}, {1}, {1}, {1}}, 1), HasSubstr("got 5 prompts"));
  EXPECT_THAT(error({{1}}, 0), HasSubstr("got 0 tokens to generate"));
  EXPECT_THAT(error({{1}, {}}, 1), HasSubstr("prompt 2 has no tokens"));
  EXPECT_THAT(error({{1, 2}}, 23),
              HasSubstr("prompt 1 has 2 tokens; with 23 more they are above "
                        "the 24 positions"));
  EXPECT_THAT(error({{1, 37}}, 1), HasSubstr("has the id 37, and the vocabulary has 37 ids"));
}

TEST(Generator, EndsWhereLogitsAreNotFinite) {
  std::vector<float> parameters = lively_parameters(kShape, 1);
  parameters[static_cast<std::size_t>(transformer_layout(kShape, 1).final_norm_bias)] = INFINITY;
  const std::unique_ptr<Generator> generator =
      make_host_generator({kShape, parameters}, options_of(), 1);
  generator->enqueue({{1}}, 1, {});
  EXPECT_THROW(generator->next(), std::runtime_error);
}

}  // namespace
}  // namespace penstock::gpu
