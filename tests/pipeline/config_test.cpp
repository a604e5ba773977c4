#include "pipeline/config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kValid = R"(pipeline:
  - read: {paths: "data/*.zst"}
  - parse
  - tokenize: {model: a.model}
  - pack: {batch_size: 2}
  - write_npy: {path: out.npy}
)";

// The options and payloads of the real stages, without anything behind them.
StageRegistry fake_stages() {
  StageRegistry registry;
  registry.add({"read",
                "Reads shards.",
                Payload::kNone,
                Payload::kBytes,
                Ordering::kParallel,
                {Option::text_list("paths", "Files or patterns."),
                 Option::integer("lanes", "Shards read at a time.").in_range(1, 256).or_else(4),
                 Option::bytes("chunk_size", "Bytes of text in a chunk.")
                     .in_range(4096, 1 << 30)
                     .or_else(256 << 10)},
                SourceFactory()});
  registry.add({"parse",
                "Finds the text of each record.",
                Payload::kBytes,
                Payload::kDocuments,
                Ordering::kParallel,
                {Option::choice("format", "What a record is.", {"jsonl", "txt"}).or_else("jsonl"),
                 Option::text("text", "Name of the field.").or_else("text")},
                StageFactory()});
  registry.add({"min_length",
                "Drops short documents.",
                Payload::kDocuments,
                Payload::kDocuments,
                Ordering::kInOrder,
                {Option::number("share", "Share | part kept.").in_range(0, 1).or_else(0.5)},
                StageFactory()});
  registry.add({"tokenize",
                "Turns text into token ids.",
                Payload::kDocuments,
                Payload::kTokens,
                Ordering::kParallel,
                {Option::text("model", "Path of the model."),
                 Option::boolean("add_bos", "Begin documents with bos.").or_else(false),
                 Option::boolean("add_eos", "End documents with eos.").or_else(true)},
                StageFactory()});
  registry.add({"pack",
                "Packs tokens into batches.",
                Payload::kTokens,
                Payload::kBatch,
                Ordering::kInOrder,
                {Option::integer("batch_size", "Rows.").at_least(1).or_else(8),
                 Option::integer("sequence_length", "Columns.").at_least(1).or_else(1024),
                 Option::boolean("drop_last", "Drop what fills no batch.").or_else(false)},
                AssemblerFactory()});
  registry.add({"write_npy",
                "Writes batches to a file.",
                Payload::kBatch,
                Payload::kNone,
                Ordering::kInOrder,
                {Option::text("path", "Path of the file.")},
                SinkFactory()});
  return registry;
}

PipelineConfig parse(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  return parse_config(yaml, "test.yaml", fake_stages(), overrides);
}

std::vector<ConfigIssue> issues_of(const std::string& yaml,
                                   const std::vector<std::string>& overrides = {}) {
  try {
    parse(yaml, overrides);
  } catch (const ConfigError& error) {
    return error.issues();
  }
  return {};
}

// What is wrong with an override of the valid configuration, without the location.
std::string override_error(const std::string& override_text) {
  const std::vector<ConfigIssue> issues = issues_of(kValid, {override_text});
  if (issues.size() != 1) {
    return std::to_string(issues.size()) + " issues";
  }
  EXPECT_EQ(issues[0].location, "--set " + override_text);
  return issues[0].message;
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(Config, ReadsStagesInFileOrder) {
  const PipelineConfig config = parse(kValid);
  std::vector<std::string> names;
  for (const StageConfig& stage : config.stages) {
    names.push_back(stage.stage());
  }
  EXPECT_THAT(names, ElementsAre("read", "parse", "tokenize", "pack", "write_npy"));
}

TEST(Config, GivesWrittenValues) {
  const PipelineConfig config = parse(R"(
threads: 3
memory_limit: 64MiB
on_error: skip
max_errors: 0.25
quarantine: bad.jsonl
pipeline:
  - read: {paths: [a.zst, "b c"], lanes: 2, chunk_size: 64KiB, on_error: quarantine}
  - parse: {format: txt}
  - min_length: {share: .75}
  - tokenize: {model: 7, add_bos: True}
  - pack
  - write_npy: {path: out.npy}
)");
  EXPECT_EQ(config.run.text("threads"), "3");
  EXPECT_EQ(config.run.integer("memory_limit"), 64 << 20);
  EXPECT_EQ(config.run.text("on_error"), "skip");
  EXPECT_EQ(config.run.text("max_errors"), "0.25");
  EXPECT_EQ(config.run.text("quarantine"), "bad.jsonl");
  EXPECT_THAT(config.stages[0].text_list("paths"), ElementsAre("a.zst", "b c"));
  EXPECT_EQ(config.stages[0].integer("lanes"), 2);
  EXPECT_EQ(config.stages[0].integer("chunk_size"), 64 << 10);
  EXPECT_EQ(config.stages[0].text("on_error"), "quarantine");
  EXPECT_EQ(config.stages[1].text("format"), "txt");
  EXPECT_EQ(config.stages[2].number("share"), 0.75);
  EXPECT_EQ(config.stages[3].text("model"), "7");
  EXPECT_TRUE(config.stages[3].boolean("add_bos"));
}

TEST(Config, FillsInDefaults) {
  const PipelineConfig config = parse(kValid);
  EXPECT_EQ(config.run.text("threads"), "auto");
  EXPECT_EQ(config.run.integer("memory_limit"), 1 << 30);
  EXPECT_EQ(config.run.text("on_error"), "fail");
  EXPECT_EQ(config.run.text("max_errors"), "none");
  EXPECT_EQ(config.run.text("quarantine"), "quarantine.jsonl");
  EXPECT_EQ(config.stages[0].integer("lanes"), 4);
  EXPECT_EQ(config.stages[0].text("on_error"), "inherit");
  EXPECT_FALSE(config.stages[2].boolean("add_bos"));
}

TEST(Config, KnowsWhatWasWritten) {
  const PipelineConfig config = parse(kValid, {"threads=2", "pack.drop_last=true"});
  EXPECT_TRUE(config.run.is_set("threads"));
  EXPECT_FALSE(config.run.is_set("on_error"));
  EXPECT_TRUE(config.stages[0].is_set("paths"));
  EXPECT_FALSE(config.stages[0].is_set("lanes"));
  EXPECT_TRUE(config.stages[3].is_set("drop_last"));
}

TEST(Config, RefusesUndeclaredOptionsAndOtherTypesOfAStage) {
  const PipelineConfig config = parse(kValid);
  EXPECT_THROW(config.stages[0].integer("lane"), std::logic_error);
  EXPECT_THROW(config.stages[0].is_set("lane"), std::logic_error);
  EXPECT_THROW(config.stages[0].text("lanes"), std::logic_error);
  EXPECT_THROW(config.stages[0].number("lanes"), std::logic_error);
  EXPECT_THROW(config.stages[0].error("lane", "too narrow"), std::logic_error);
}

TEST(Config, LocatesAStagesOwnErrors) {
  const PipelineConfig config = parse(kValid, {"write_npy.path=x"});
  EXPECT_STREQ(config.stages[2].error("model", "cannot open").what(),
               "test.yaml:4:23: option 'model' of stage 'tokenize': cannot open");
  EXPECT_STREQ(config.stages[2].error("add_eos", "the model has none").what(),
               "test.yaml:4:5: option 'add_eos' of stage 'tokenize': the model has none");
  EXPECT_STREQ(config.stages[4].error("path", "cannot open").what(),
               "--set write_npy.path=x: option 'path' of stage 'write_npy': cannot open");
  EXPECT_STREQ(config.run.error("quarantine", "cannot open").what(),
               "test.yaml:1:1: option 'quarantine': cannot open");
}

TEST(Config, PutsThreadsAndMaxErrorsInAPlainForm) {
  const PipelineConfig config = parse(kValid, {"threads=+08", "max_errors=+1e3"});
  EXPECT_EQ(config.run.text("threads"), "8");
  EXPECT_EQ(config.run.text("max_errors"), "1000");
}

TEST(Config, LetsSinksShareTheBatches) {
  EXPECT_THAT(issues_of(std::string(kValid) + "  - write_npy: {path: copy.npy}\n"), IsEmpty());
}

TEST(Config, ReadsBlockAndFlowStyleAlike) {
  const PipelineConfig config = parse(
      "pipeline: [read: {paths: a}, parse: , tokenize: {model: m}, pack, write_npy: {path: o}]");
  EXPECT_EQ(config.stages[0].location(), "test.yaml:1:12");
  EXPECT_THAT(config.stages[0].text_list("paths"), ElementsAre("a"));
}

TEST(Config, CollectsErrorsOfFileAndOverridesInOrder) {
  const std::vector<ConfigIssue> issues = issues_of("pipeline: [reed]\nthread: 2\n", {"lanes=3"});
  std::vector<std::string> locations;
  locations.reserve(issues.size());
  for (const ConfigIssue& issue : issues) {
    locations.push_back(issue.location);
  }
  EXPECT_THAT(locations, ElementsAre("test.yaml:1:12", "test.yaml:2:1", "--set lanes=3"));
}

TEST(Config, RefusesAFileThatIsTooLong) {
  const std::string comment = "#" + std::string((std::size_t{1} << 20) - 2, 'x') + "\n";
  const std::vector<ConfigIssue> issues = issues_of(comment + kValid);
  ASSERT_EQ(issues.size(), 1U);
  EXPECT_EQ(issues[0].location, "test.yaml:1:1");
  EXPECT_EQ(issues[0].message, "longer than 1MiB, so not a configuration");
}

TEST(Config, TakesAFileOfTheGreatestLength) {
  const std::string yaml = kValid;
  const std::string comment = "#" + std::string((std::size_t{1} << 20) - 2 - yaml.size(), 'x');
  EXPECT_THAT(issues_of(comment + "\n" + yaml), IsEmpty());
}

TEST(Config, LocatesControlCharacters) {
  const std::vector<ConfigIssue> issues = issues_of(std::string("threads: 1\nx: \x04\n"));
  ASSERT_EQ(issues.size(), 1U);
  EXPECT_EQ(issues[0].location, "test.yaml:2:4");
  EXPECT_EQ(issues[0].message, "a control character, so not a YAML file in UTF-8");
}

TEST(Config, RefusesDeepNesting) {
  const std::vector<ConfigIssue> issues = issues_of(std::string(100000, '['));
  ASSERT_EQ(issues.size(), 1U);
  EXPECT_EQ(issues[0].message, "not valid YAML: nested too deeply");
}

TEST(Config, LoadsAFile) {
  const std::string path = testing::TempDir() + "/penstock_config_test.yaml";
  std::ofstream(path) << kValid;
  const PipelineConfig config = load_config(path, fake_stages(), {"threads=2"});
  std::filesystem::remove(path);
  EXPECT_EQ(config.run.text("threads"), "2");
  EXPECT_EQ(config.stages[0].location(), path + ":2:5");
}

TEST(Config, NamesAFileThatCannotBeRead) {
  try {
    load_config("no/such/file.yaml", fake_stages());
    FAIL() << "no FileError";
  } catch (const FileError& error) {
    EXPECT_STREQ(error.what(),
                 "cannot open the configuration 'no/such/file.yaml': No such file or directory");
  }
}

TEST(Config, RefusesAFolder) {
  try {
    load_config(testing::TempDir(), fake_stages());
    FAIL() << "no FileError";
  } catch (const FileError& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot read the configuration"));
    EXPECT_THAT(error.what(), HasSubstr("Is a directory"));
  }
}

TEST(Config, TakesOverridesForRunAndStages) {
  const PipelineConfig config =
      parse(kValid, {"threads=8", "tokenize.model=m.model", "pack[0].batch_size=4"});
  EXPECT_EQ(config.run.text("threads"), "8");
  EXPECT_EQ(config.stages[2].text("model"), "m.model");
  EXPECT_EQ(config.stages[3].integer("batch_size"), 4);
}

TEST(Config, TakesPlainOverridesAsTheyAre) {
  const PipelineConfig config =
      parse(kValid,
            {"read.paths=*.zst", "tokenize.model=a=b: {c} # d", "write_npy.path=", "parse.text=~"});
  EXPECT_THAT(config.stages[0].text_list("paths"), ElementsAre("*.zst"));
  EXPECT_EQ(config.stages[2].text("model"), "a=b: {c} # d");
  EXPECT_EQ(config.stages[4].text("path"), "");
  EXPECT_EQ(config.stages[1].text("text"), "~");
}

TEST(Config, TakesListsAndQuotedTextInOverrides) {
  const PipelineConfig config = parse(
      kValid, {"read.paths=[a, \"*.zst\", 'c d']", "tokenize.model=\"[x]\"", "parse.text='y'"});
  EXPECT_THAT(config.stages[0].text_list("paths"), ElementsAre("a", "*.zst", "c d"));
  EXPECT_EQ(config.stages[2].text("model"), "[x]");
  EXPECT_EQ(config.stages[1].text("text"), "y");
}

TEST(Config, TakesTheLastOfSeveralOverrides) {
  EXPECT_EQ(parse(kValid, {"threads=none", "threads=2"}).run.text("threads"), "2");
}

TEST(Config, TakesAnOverrideForARequiredOption) {
  const PipelineConfig config =
      parse("pipeline: [read, parse, tokenize: {model: m}, pack, write_npy: {path: o}]",
            {"read.paths=a"});
  EXPECT_THAT(config.stages[0].text_list("paths"), ElementsAre("a"));
}

TEST(Config, ChecksOnlyTheOverrideOfAnInvalidValue) {
  const PipelineConfig config = parse("threads: many\n" + std::string(kValid), {"threads=2"});
  EXPECT_EQ(config.run.text("threads"), "2");
}

TEST(Config, TellsStagesOfOneNameApartByNumber) {
  const std::string yaml = R"(pipeline:
  - read: {paths: a}
  - parse
  - min_length
  - min_length: {share: 0.1}
  - tokenize: {model: m}
  - pack
  - write_npy: {path: o}
)";
  const PipelineConfig config = parse(yaml, {"min_length[1].share=0.2"});
  EXPECT_EQ(config.stages[2].number("share"), 0.5);
  EXPECT_EQ(config.stages[3].number("share"), 0.2);
  const std::vector<ConfigIssue> issues = issues_of(yaml, {"min_length.share=0.2"});
  ASSERT_EQ(issues.size(), 1U);
  EXPECT_EQ(issues[0].message,
            "the pipeline has 2 stages 'min_length'; say which with 'min_length[0]' to "
            "'min_length[1]'");
}

TEST(Config, ExplainsAnOverrideWithoutAValue) {
  EXPECT_EQ(override_error("threads"), "expected KEY=VALUE");
}

TEST(Config, ExplainsAnOverrideOfAnUnknownRunOption) {
  EXPECT_EQ(override_error("thread=2"), "unknown option 'thread'; did you mean 'threads'?");
  EXPECT_EQ(override_error("=2"),
            "unknown option ''; the options of a run are threads, memory_limit, on_error, "
            "max_errors, quarantine, plugins");
}

TEST(Config, ExplainsAnOverrideOfTheList) {
  const std::string expected = "expected the option of a stage to be given as STAGE.OPTION=VALUE";
  EXPECT_EQ(override_error("pipeline=x"), expected);
  EXPECT_EQ(override_error("read=x"), expected);
}

TEST(Config, ExplainsAnOverrideOfAStageThatIsNotThere) {
  EXPECT_EQ(override_error("tokenise.model=x"),
            "the pipeline has no stage 'tokenise'; did you mean 'tokenize'?");
  EXPECT_EQ(override_error("min_length.share=1"),
            "the pipeline has no stage 'min_length'; its stages are read, parse, tokenize, pack, "
            "write_npy");
}

TEST(Config, ExplainsAnOverrideOfAnUnknownStageOption) {
  EXPECT_EQ(override_error("pack.batchsize=2"),
            "unknown option 'batchsize' of stage 'pack'; did you mean 'batch_size'?");
  EXPECT_EQ(override_error("pack.x.y=2"),
            "unknown option 'x.y' of stage 'pack'; its options are batch_size, sequence_length, "
            "drop_last");
}

TEST(Config, ExplainsAnOverrideWithAWrongNumber) {
  EXPECT_EQ(override_error("pack[1].batch_size=2"),
            "the pipeline has 1 of stage 'pack', and the number in the brackets counts from 0");
  for (const char* stage : {"pack[x]", "pack[]", "pack[-1]", "pack[0", "pack[0]]"}) {
    EXPECT_EQ(override_error(std::string(stage) + ".batch_size=2"),
              "in '" + std::string(stage) + "', expected a number from 0 in the brackets");
  }
}

TEST(Config, ExplainsAnOverrideWithAWrongValue) {
  EXPECT_EQ(override_error("pack.batch_size=0"),
            "option 'batch_size' of stage 'pack': got '0', expected an integer of at least 1");
  EXPECT_EQ(override_error("pack.batch_size=[1, 2]"),
            "option 'batch_size' of stage 'pack': got a list, expected an integer of at least 1");
  EXPECT_EQ(override_error("read.paths=[a, [b]]"),
            "option 'paths' of stage 'read': got a list that holds a list, which no option takes");
}

TEST(Config, ExplainsAnOverrideThatIsNoYaml) {
  EXPECT_EQ(override_error("read.paths=[ab]c.zst"),
            "option 'paths' of stage 'read': a value that begins with [ is YAML, and this is not "
            "valid YAML: more than one value; to take it as it is, put quotes around it");
  EXPECT_THAT(override_error("read.paths=[a, *.zst]"),
              HasSubstr("not valid YAML: '*' begins an alias, and no anchor has this name"));
  EXPECT_THAT(override_error("tokenize.model='a"), HasSubstr("a value that begins with ' is YAML"));
}

TEST(Config, DoesNotMissAStageInAListThatCannotBeRead) {
  const std::vector<ConfigIssue> issues =
      issues_of("pipeline:\n  - read:\n    paths: a\n", {"read.lanes=2"});
  ASSERT_EQ(issues.size(), 1U);
  EXPECT_EQ(issues[0].location, "test.yaml:3:5");
}

TEST(Config, DeclaresDefaultsThatAreValid) {
  for (const Option& option : run_options()) {
    ASSERT_TRUE(option.default_value) << option.name;
    const std::string text = format_value(*option.default_value, option.type);
    EXPECT_EQ(parse(kValid, {option.name + "=" + text}).run.values().at(option.name),
              *option.default_value);
  }
}

// ---- Options that are there with one value of a choice alone ------------------------------------

// A sink whose options `size` differ with the shape.
StageRegistry shapes() {
  StageRegistry registry = fake_stages();
  registry.add({"draw",
                "Draws batches.",
                Payload::kBatch,
                Payload::kNone,
                Ordering::kInOrder,
                {Option::choice("shape", "What.", {"circle", "square", "text"}).or_else("circle"),
                 Option::number("size", "Radius.").only_with("shape", "circle").or_else(1),
                 Option::integer("size", "Side.").only_with("shape", "square"),
                 Option::text("font", "Name.").only_with("shape", "text").or_else("serif")},
                SinkFactory()});
  return registry;
}

StageConfig draw(const std::string& options) {
  const std::string yaml =
      "pipeline: [{read: {paths: a}}, parse, {tokenize: {model: m}}, pack, {draw: " + options +
      "}]";
  return parse_config(yaml, "test.yaml", shapes()).stages.back();
}

std::string draw_error(const std::string& options) {
  try {
    draw(options);
  } catch (const ConfigError& error) {
    return error.issues().size() == 1 ? error.issues()[0].message : error.what();
  }
  return "accepted";
}

TEST(Config, TakesTheOptionThatBelongsToTheChoice) {
  EXPECT_EQ(draw("{}").number("size"), 1);
  EXPECT_EQ(draw("{size: 2.5}").number("size"), 2.5);
  EXPECT_EQ(draw("{shape: square, size: 3}").integer("size"), 3);
  EXPECT_EQ(draw("{size: 3, shape: square}").integer("size"), 3);
  EXPECT_EQ(draw("{shape: text}").text("font"), "serif");
}

TEST(Config, HasNoOptionOfAnotherChoice) {
  EXPECT_THROW(draw("{}").text("font"), std::logic_error);
  EXPECT_THROW(draw("{shape: text}").number("size"), std::logic_error);
}

TEST(Config, RefusesAnOptionOfAnotherChoice) {
  EXPECT_EQ(draw_error("{font: mono}"), "option 'font' of stage 'draw' is only for shape: text");
  EXPECT_EQ(draw_error("{shape: text, size: 1}"),
            "option 'size' of stage 'draw' is only for shape: circle or shape: square");
}

TEST(Config, NeedsARequiredOptionWithItsChoiceAlone) {
  EXPECT_EQ(draw_error("{shape: circle}"), "accepted");
  EXPECT_EQ(draw_error("{shape: square}"), "stage 'draw' needs the option 'size'");
  EXPECT_THAT(draw_error("{shape: square, size: 1.5}"), HasSubstr("expected an integer"));
}

TEST(Config, TellsOfAWrongChoiceAlone) {
  EXPECT_THAT(draw_error("{shape: cirle, size: 1}"), HasSubstr("did you mean 'circle'?"));
}

TEST(Config, ReferenceTellsWhichChoiceAnOptionBelongsTo) {
  const StageRegistry registry = shapes();
  const std::string page = configuration_reference(registry);
  EXPECT_THAT(page, HasSubstr("| `size` | number | `1` | With `shape: circle`: Radius. |"));
  EXPECT_THAT(page, HasSubstr("| `size` | integer | required | With `shape: square`: Side. |"));
  EXPECT_THAT(describe_stage(*registry.find("draw")), HasSubstr("With shape: text: Name."));
}

TEST(Config, ReferenceHasEveryRunOptionOnce) {
  const std::string page = configuration_reference(StageRegistry());
  for (const Option& option : run_options()) {
    EXPECT_EQ(occurrences(page, "\n| `" + option.name + "` | "), 1U) << option.name;
  }
}

TEST(Config, ReferenceHasEveryOptionOfAStageOnce) {
  const StageRegistry registry = fake_stages();
  const std::string page = configuration_reference(registry);
  for (const auto& [name, type] : registry.types()) {
    const std::size_t begin = page.find("\n### " + name + "\n");
    ASSERT_NE(begin, std::string::npos) << name;
    const std::string section = page.substr(begin, page.find("\n### ", begin + 1) - begin);
    EXPECT_EQ(occurrences(section, "\n| `"), type.options.size()) << name;
    for (const Option& option : type.options) {
      EXPECT_EQ(occurrences(section, "\n| `" + option.name + "` | "), 1U) << option.name;
    }
  }
}

TEST(Config, ReferenceDescribesOptionsByTheirDeclaration) {
  const std::string page = configuration_reference(fake_stages());
  EXPECT_THAT(page,
              HasSubstr("| `paths` | text or list of texts | required | Files or patterns. |"));
  EXPECT_THAT(page,
              HasSubstr("| `lanes` | integer from 1 to 256 | `4` | Shards read at a time. |"));
  EXPECT_THAT(page, HasSubstr("| `chunk_size` | size in bytes from 4KiB to 1GiB | `256KiB` |"));
  EXPECT_THAT(page, HasSubstr("| `share` | number from 0 to 1 | `0.5` | Share \\| part kept. |"));
}

TEST(Config, ReferenceHasStagesInPipelineOrder) {
  const std::string page = configuration_reference(fake_stages());
  std::vector<std::string> names;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("### ")) {
      names.push_back(line.substr(4));
    }
  }
  EXPECT_THAT(names, ElementsAre("read", "parse", "min_length", "tokenize", "pack", "write_npy"));
}

TEST(Config, ReferenceIsTheSameEveryTime) {
  EXPECT_EQ(configuration_reference(fake_stages()), configuration_reference(fake_stages()));
}

TEST(Config, ExampleOfTheReferenceFits) {
  const std::string page = configuration_reference(fake_stages());
  const std::size_t begin = page.find("```yaml\n") + 8;
  EXPECT_THAT(issues_of(page.substr(begin, page.find("```\n", begin) - begin)), IsEmpty());
}

TEST(Config, DescribesAStageForATerminal) {
  EXPECT_EQ(describe_stage(*fake_stages().find("min_length")), R"(min_length: Drops short documents.

transform, in stream order: documents -> documents

  share: number from 0 to 1, by default 0.5
      Share | part kept.

  on_error: one of inherit, fail, skip, quarantine, by default inherit
      What happens to a record that this stage refuses: as the run's on_error says (inherit), or
      fail, skip or quarantine for this stage alone.
)");
}

// ---- tests/data/bad_configs: NAME.yaml, and in NAME.expected all that is wrong with it ----------

std::filesystem::path bad_configs() {
  return std::filesystem::path(PENSTOCK_SOURCE_DIR) / "tests" / "data" / "bad_configs";
}

std::vector<std::string> bad_config_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(bad_configs())) {
    if (entry.path().extension() == ".yaml") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

class BadConfig : public testing::TestWithParam<std::string> {};

TEST_P(BadConfig, GetsTheExpectedMessage) {
  const std::string file = GetParam() + ".yaml";
  try {
    parse_config(read_text(bad_configs() / file), file, fake_stages());
    FAIL() << "no ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what() + std::string("\n"),
              read_text(bad_configs() / (GetParam() + ".expected")));
  }
}

INSTANTIATE_TEST_SUITE_P(Files,
                         BadConfig,
                         testing::ValuesIn(bad_config_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace penstock
