#include <algorithm>

#include <gtest/gtest.h>

#include "pipeline/plugin_loader.h"
#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace {

namespace fakes = penstock::testing;
using penstock::DocumentChunk;

// Every rule switched off but those that a test sets.
constexpr const char* kNoRules =
    "min_words: 0, max_words: 1e9, min_word_length: 0, max_word_length: 1e9, "
    "max_symbols: 1e9, max_bullets: 1, max_ellipses: 1, min_alphabetic: 0, "
    "min_stop_words: 0, max_repeated_lines: 1, max_repeated_line_bytes: 1, "
    "max_repeated_paragraphs: 1, max_repeated_paragraph_bytes: 1, min_sentences: 0, "
    "max_forbidden: 100";

constexpr const char* kProse =
    "The keeper of the lighthouse had to climb the stairs every evening, and he counted them.\n"
    "There were two hundred and eleven of them. The lamp was lit before the sun had gone.\n"
    "\n"
    "In winter the sea came up to the door, and nobody would have thought that a house could be\n"
    "so loud. He wrote about it in letters to his sister, with a pencil that he kept behind his\n"
    "ear. She read them in the kitchen.\n";

penstock::StageRegistry registry() {
  penstock::StageRegistry registry;
  penstock::load_plugin(PLUGIN, "", registry);
  return registry;
}

fakes::StageRun run(const std::string& options, const std::vector<std::string>& texts) {
  std::vector<penstock::Chunk> chunks;
  chunks.emplace_back(fakes::document_chunk(texts));
  return fakes::run_stage(registry(), "quality_filter: {" + options + "}", chunks);
}

std::vector<std::string> kept(const fakes::StageRun& run) {
  return fakes::texts_of(std::get<DocumentChunk>(run.chunks.at(0)));
}

// How many documents a rule dropped, as the summary says it.
std::int64_t dropped(const fakes::StageRun& run, const std::string& rule) {
  const auto& rows = run.summary.stages;
  return std::find_if(rows.begin(),
                      rows.end(),
                      [&rule](const penstock::StageSummary& row) {
                        return row.name == "quality_filter." + rule;
                      })
      ->rejects;
}

struct RuleCase {
  std::string rule;
  std::string limit;
  std::string good;
  std::string bad;
};

class QualityFilterRule : public testing::TestWithParam<RuleCase> {};

TEST_P(QualityFilterRule, DropsWhatBreaksItAndCountsThat) {
  const RuleCase& given = GetParam();
  std::string options = kNoRules;
  const std::size_t at = options.find(given.rule + ": ");
  ASSERT_NE(at, std::string::npos);
  const std::size_t value = at + given.rule.size() + 2;
  const std::size_t end = std::min(options.find(',', value), options.size());
  options.replace(value, end - value, given.limit);

  const fakes::StageRun result = run(options, {given.bad, given.good});

  EXPECT_EQ(kept(result), std::vector<std::string>{given.good});
  EXPECT_EQ(dropped(result, given.rule), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Rules,
    QualityFilterRule,
    testing::Values(
        RuleCase{"min_words", "3", "one two three", "one  two\n"},
        RuleCase{"max_words", "2", "one two", "one two three"},
        RuleCase{"min_word_length", "3", "äöü abc", "ab cde fg"},
        RuleCase{"max_word_length", "4", "äöüß abcd", "abcde abcd"},
        RuleCase{"max_symbols", "0.5", "# two", "#one #two"},
        RuleCase{"max_symbols", "0.5", "one... two", "one... two\u2026"},
        RuleCase{"max_bullets", "0.5", "- a\nb", "- a\n \u2022 b\nc"},
        RuleCase{"max_ellipses", "0.5", "a\nb...", "a...\nb\u2026 \nc"},
        RuleCase{"min_alphabetic", "0.5", "a1 12", "a 12 \u2014"},
        RuleCase{"min_stop_words", "2", "The house (of cards)", "the the house"},
        RuleCase{"max_repeated_lines", "0.3", "a\nb\nc\na", "a\nb\na"},
        RuleCase{"max_repeated_line_bytes", "0.3", "long line\na\nb\na", "a\nlong\nlong"},
        RuleCase{"max_repeated_paragraphs", "0.3", "a\nb\n\nb\na", "a\nb\n\na\nb"},
        RuleCase{"max_repeated_paragraph_bytes", "0.3", "a\n\na\n\nlong", "long\n\nlong\n\na"},
        RuleCase{"min_sentences", "2", "One. (Two!)", "One, two."},
        RuleCase{"max_forbidden", "0", "if (x)", "Lorem IPSUM dolor"}));

TEST(QualityFilter, KeepsProse) {
  const fakes::StageRun result =
      run("", {kProse, "Click here", std::string(kProse) + kProse + kProse, ""});
  EXPECT_EQ(kept(result), std::vector<std::string>{kProse});
  EXPECT_EQ(dropped(result, "min_words"), 2);
  EXPECT_EQ(dropped(result, "max_repeated_lines"), 1);
}

TEST(QualityFilter, GivesWhatItDropsToTheErrorPolicy) {
  const fakes::StageRun result = run("dropped: refuse", {kProse, "Click here"});
  const auto& rejects = penstock::info(result.chunks.at(0)).rejects;
  ASSERT_EQ(rejects.size(), 1U);
  EXPECT_EQ(rejects[0].reason, "min_words: got 2, the limit is 50");
  EXPECT_EQ(rejects[0].position.record, 2);
  EXPECT_EQ(rejects[0].raw, "Click here");
  EXPECT_EQ(result.summary.rejects, 1);
}

}  // namespace
