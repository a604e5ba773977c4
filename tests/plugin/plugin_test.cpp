// Loads real shared libraries, good ones and bad ones, made of the other sources of this folder.

#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/all_stages.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/pipeline.h"
#include "pipeline/plugin_loader.h"
#include "testing/chunks.h"
#include "testing/stage_run.h"
#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kFolder = PENSTOCK_PLUGIN_FOLDER;
constexpr const char* kEveryRole = "libevery_role.so";
constexpr const char* kBadStages = "libbad_stages.so";

class PluginTest : public ::testing::Test {
 protected:
  // A configuration in a folder of its own.
  std::string write_config(const std::string& text) const {
    const std::string path = folder_.path("config.yaml");
    std::ofstream(path) << text;
    return path;
  }

  std::string config_of(const std::string& plugin, const std::string& stages) const {
    return write_config("threads: 2\nplugins: [" + kFolder + "/" + plugin + "]\npipeline:\n" +
                        stages);
  }

  static RunSummary run(const std::string& path) {
    StageRegistry registry = all_stages();
    const ConfigText text = read_config(path);
    load_plugins(text, registry);
    return Pipeline(load_config(text, registry), registry).run();
  }

  // What becomes of a run with the stages of bad_stages and every_role.
  std::string failure_of(const std::string& stages) const {
    const std::string path =
        write_config("threads: 2\nplugins: ['" + kFolder + "/" + kEveryRole + "', '" + kFolder +
                     "/" + kBadStages + "']\npipeline:\n" + stages);
    try {
      run(path);
    } catch (const std::exception& error) {
      return full_message(error);
    }
    return "no failure";
  }

  // Why the plug-in is refused, as a configuration beside it tells.
  std::string refusal_of(const std::string& plugin) const {
    const std::string path = write_config("plugins: [" + plugin + "]\npipeline: []\n");
    StageRegistry registry = all_stages();
    const std::vector<std::string> before = registry.names();
    try {
      load_plugins(read_config(path), registry);
    } catch (const ConfigError& error) {
      EXPECT_EQ(registry.names(), before);
      EXPECT_THAT(error.what(), StartsWith(path + ":1:"));
      return error.issues().at(0).message;
    }
    return "no refusal";
  }

  TemporaryFolder folder_;
};

constexpr const char* kWholeChain =
    "  - staircase: {chunks: 20}\n"
    "  - min_length: {min_bytes: 3}\n"
    "  - bytes\n"
    "  - shift: {by: 100}\n"
    "  - pack: {batch_size: 2, sequence_length: 5, drop_last: true}\n"
    "  - reverse\n";

TEST_F(PluginTest, RunsAStageOfEveryRole) {
  const RunSummary summary =
      run(config_of(kEveryRole,
                    std::string(kWholeChain) +
                        "  - sum\n  - device: {kind: cpu, stage: device_sum, factor: 2}\n"));
  // 3 + 4 + ... + 20 bytes, of which batches of 10 take 200.
  EXPECT_EQ(summary.tokens.in, 207);
  EXPECT_EQ(summary.batches, 20);
  ASSERT_EQ(summary.stages.size(), 8U);
  EXPECT_EQ(summary.stages[5].name, "reverse");
  EXPECT_EQ(summary.stages[5].chunks, 20);
  EXPECT_EQ(summary.stages[5].node, summary.stages[4].node);
  for (const StageSummary& stage : summary.stages) {
    EXPECT_EQ(stage.plugin, stage.name == "pack" ? "" : kEveryRole) << stage.name;
  }
  const auto sum_of = [&](int sink) {
    for (const Result& result : summary.sinks.at(static_cast<std::size_t>(sink)).results) {
      if (result.name == "sum") {
        return std::get<std::int64_t>(result.value);
      }
    }
    return std::int64_t{-1};
  };
  EXPECT_GT(sum_of(0), 200 * 148);  // '0' + 100
  EXPECT_EQ(sum_of(1), 2 * sum_of(0));
}

TEST_F(PluginTest, ChangesBatchesBeforeAnySinkSeesThem) {
  StageRegistry registry = all_stages();
  load_plugin(kEveryRole, kFolder, registry);
  const std::vector<Batch> batches = testing::run_batch_stage(
      registry,
      "reverse",
      {testing::batch_of({{1, 2}, {3, 4}}), testing::batch_of({{5, 6}, {7, 8}}, 1)});
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_THAT(testing::rows_of(batches[0]), ElementsAre(ElementsAre(4, 3), ElementsAre(2, 1)));
  EXPECT_THAT(testing::rows_of(batches[1]), ElementsAre(ElementsAre(8, 7), ElementsAre(6, 5)));
}

TEST_F(PluginTest, IsFoundBesideTheConfigurationOrByTheLoader) {
  fs::create_symlink(kFolder + "/" + kEveryRole, folder_.path("libbeside.so"));
  fs::create_directory(folder_.path("sub"));
  fs::create_symlink(kFolder + "/" + kEveryRole, folder_.path("sub/libbelow.so"));
  EXPECT_EQ(refusal_of("libbeside.so"), "no refusal");
  EXPECT_EQ(refusal_of("sub/libbelow.so"), "no refusal");
  write_config("plugins: [" + std::string(kEveryRole) + "]\npipeline:\n" + kWholeChain +
               "  - sum\n");
  const std::string command = "LD_LIBRARY_PATH='" + kFolder + "' '" PENSTOCK_BINARY "' validate '" +
                              folder_.path("config.yaml") + "'";
  const Finished finished = Subprocess({"/bin/sh", "-c", command}, folder_.path()).wait();
  EXPECT_EQ(finished.status, 0) << finished.errors;
}

TEST_F(PluginTest, IsTakenByEveryCommand) {
  const std::string config = config_of(kEveryRole, std::string(kWholeChain) + "  - sum\n");
  const auto penstock = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), PENSTOCK_BINARY);
    return Subprocess(arguments, folder_.path()).wait();
  };
  const std::string plugin = kFolder + "/" + kEveryRole;
  EXPECT_THAT(penstock({"stages", "--plugin", plugin}).output,
              HasSubstr("Turns batches round. (libevery_role.so)"));
  EXPECT_THAT(penstock({"stages", "--plugin", plugin, "min_length"}).output,
              HasSubstr("transform of plug-in libevery_role.so"));
  EXPECT_THAT(penstock({"stages", "--plugin", plugin, "device"}).output,
              HasSubstr("With stage: device_sum: Multiplies the sum."));
  EXPECT_THAT(penstock({"stages", "--plugin", plugin, "--markdown"}).output,
              HasSubstr("### reverse"));
  EXPECT_THAT(penstock({"validate", config}).output, HasSubstr("pack -> reverse -> sum"));
  EXPECT_THAT(penstock({"graph", config}).output, HasSubstr("reverse"));
  EXPECT_THAT(penstock({"inspect", config, "--rows", "1"}).output,
              HasSubstr("ids      150 149 148"));
  EXPECT_THAT(penstock({"run", config}).output, HasSubstr("min_length"));
  EXPECT_EQ(penstock({"run", config, "--set", "plugins=[]"}).status, 2);
  const std::string pipe = "cat '" + config + "' | '" PENSTOCK_BINARY "' validate /dev/stdin";
  EXPECT_THAT(Subprocess({"/bin/sh", "-c", pipe}, folder_.path()).wait().output,
              HasSubstr("pack -> reverse -> sum"));
  const Finished missing = penstock({"stages", "--plugin", "./missing.so"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_EQ(missing.errors,
            "penstock: plug-in './missing.so' is not there: no file 'missing.so'\n");
}

TEST_F(PluginTest, RefusesAFileThatIsNoPlugin) {
  std::ofstream(folder_.path("text.so")) << "no library";
  EXPECT_EQ(refusal_of("./missing.so"),
            "plug-in './missing.so' is not there: no file '" + folder_.path("missing.so") + "'");
  EXPECT_THAT(refusal_of("libmissing.so"),
              ContainsRegex("plug-in 'libmissing.so' is neither in '.*' nor found by the system's "
                            "loader: .*No such file"));
  EXPECT_THAT(refusal_of("text.so"), StartsWith("plug-in 'text.so' is no shared library"));
  EXPECT_THAT(refusal_of("."), StartsWith("plug-in '.' is no file"));
  EXPECT_THAT(refusal_of("''"), StartsWith("plug-in '' is no path"));
  EXPECT_THAT(refusal_of(kFolder + "/libno_plugin.so"),
              HasSubstr("libno_plugin.so' is a shared library, but no plug-in"));
  EXPECT_THAT(refusal_of(kFolder + "/libwithout_entry.so"),
              HasSubstr("libwithout_entry.so' has no function penstock_register_stages"));
}

TEST_F(PluginTest, RefusesAnotherInterfaceVersionBeforeAnyCodeRuns) {
  EXPECT_THAT(refusal_of(kFolder + "/libother_version.so"),
              HasSubstr("libother_version.so' is built for the interface version 0.0-12345678, but "
                        "this penstock has " +
                        interface_version()));
  EXPECT_THAT(refusal_of(kFolder + "/libdebug_containers.so"),
              HasSubstr("libdebug_containers.so' is built for the interface version " +
                        interface_version() + "-debug, but this penstock has "));
}

TEST_F(PluginTest, RegistersAllOfAPluginsStagesOrNone) {
  EXPECT_THAT(refusal_of(kFolder + "/libtakes_a_name.so"),
              HasSubstr("libtakes_a_name.so' cannot register its stages: stage 'parse' is "
                        "registered twice"));
  EXPECT_THAT(refusal_of(kFolder + "/libthrows.so"),
              HasSubstr("libthrows.so' cannot register its stages: no licence"));
  StageRegistry registry = all_stages();
  load_plugin(kEveryRole, kFolder, registry);
  try {
    load_plugin(kEveryRole, kFolder, registry);
    FAIL() << "no error";
  } catch (const PluginError& error) {
    EXPECT_THAT(full_message(error),
                HasSubstr("stage 'staircase' is registered twice, first by plug-in "
                          "libevery_role.so"));
  }
}

TEST_F(PluginTest, TellsOfEveryPluginThatIsRefused) {
  const std::string path = write_config("plugins: [./a.so, ./b.so]\npipeline: []\n");
  StageRegistry registry = all_stages();
  try {
    load_plugins(read_config(path), registry);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.issues().size(), 2U);
  }
}

constexpr const char* kSource = "  - staircase: {chunks: 30}\n";
constexpr const char* kRest =
    "  - bytes\n"
    "  - pack: {batch_size: 1, sequence_length: 4}\n";

TEST_F(PluginTest, TellsOnWhichChunkAStageFailed) {
  EXPECT_EQ(
      failure_of(kSource + std::string("  - throws_at: {record: 21}\n") + kRest + "  - sum\n"),
      "stage 'throws_at' (plug-in libbad_stages.so) failed on chunk 21 (staircase, record "
      "21, byte 2000): the dictionary is full");
  EXPECT_EQ(failure_of(kSource + std::string("  - throws_at: {record: 2, number: true}\n") + kRest +
                       "  - sum\n"),
            "stage 'throws_at' (plug-in libbad_stages.so) failed on chunk 2 (staircase, record 2, "
            "byte 100): an exception that is not a std::exception");
}

TEST_F(PluginTest, ChecksWhatStagesPromise) {
  EXPECT_EQ(failure_of(kSource + std::string("  - wrong_payload\n"
                                             "  - pack: {batch_size: 1, sequence_length: 4}\n"
                                             "  - sum\n")),
            "stage 'wrong_payload' (plug-in libbad_stages.so) failed on chunk 1 (staircase, record "
            "1, byte 0): it returned documents but declares tokens");
  EXPECT_THAT(failure_of(kSource + std::string("  - loses_position\n") + kRest + "  - sum\n"),
              HasSubstr("stage 'loses_position' (plug-in libbad_stages.so) failed on chunk 1 "
                        "(staircase, record 1, byte 0): it lost the chunk's position"));
  EXPECT_EQ(failure_of(std::string("  - wrong_source\n") + kRest + "  - sum\n"),
            "stage 'wrong_source' (plug-in libbad_stages.so) failed in lane 0: it gave tokens but "
            "declares documents");
  EXPECT_EQ(failure_of(std::string(kSource) + kRest + "  - wrong_shape\n  - sum\n"),
            "stage 'wrong_shape' (plug-in libbad_stages.so) failed on batch 0: it returned a batch "
            "of another shape than declared");
  EXPECT_EQ(failure_of(std::string(kSource) + kRest + "  - throws_at_batch\n  - sum\n"),
            "stage 'throws_at_batch' (plug-in libbad_stages.so) failed on batch 1: the batch is "
            "ugly");
  EXPECT_EQ(failure_of(std::string(kSource) + kRest + "  - drops\n"),
            "sink 'drops' (plug-in libbad_stages.so) failed on batch 0: the sink dropped a batch "
            "without completing it");
  EXPECT_THAT(
      failure_of(std::string(kSource) + kRest + "  - device: {kind: cpu, stage: device_throws}\n"),
      HasSubstr("device stage 'device_throws' (plug-in libbad_stages.so) failed at batch 0: "
                "the kernel is lost"));
}

TEST_F(PluginTest, TellsOfAWrongOptionBeforeAnythingRuns) {
  EXPECT_EQ(
      failure_of(kSource + std::string("  - unmakeable: {size: 1}\n") + kRest + "  - sum\n"),
      folder_.path("config.yaml") + ":5:24: option 'size' of stage 'unmakeable': is too small");
}

TEST_F(PluginTest, TellsWhereAStageThatCannotBeMadeStands) {
  const std::string failure =
      failure_of(std::string(kSource) + kRest + "  - cannot_be_made\n  - gives_nothing\n");
  EXPECT_THAT(failure,
              HasSubstr("config.yaml:7:5: stage 'cannot_be_made' (plug-in libbad_stages.so) cannot "
                        "be made: no licence\n"));
  EXPECT_THAT(failure,
              HasSubstr("config.yaml:8:5: stage 'gives_nothing' (plug-in libbad_stages.so) cannot "
                        "be made: its factory gave nothing"));
}

TEST_F(PluginTest, TellsOfNumbersThatAreThrown) {
  const std::string number = ": an exception that is not a std::exception";
  EXPECT_EQ(
      failure_of(std::string("  - bad_source: {fault: throws_number}\n") + kRest + "  - sum\n"),
      "stage 'bad_source' (plug-in libbad_stages.so) failed in lane 0" + number);
  EXPECT_EQ(
      failure_of(std::string(kSource) + kRest + "  - throws_at_batch: {number: true}\n  - sum\n"),
      "stage 'throws_at_batch' (plug-in libbad_stages.so) failed on batch 1" + number);
  EXPECT_EQ(failure_of(std::string(kSource) + kRest + "  - bad_sink: {fault: throws_number}\n"),
            "sink 'bad_sink' (plug-in libbad_stages.so) failed on batch 0" + number);
}

TEST_F(PluginTest, RefusesASourceWithoutLanes) {
  const auto failure_with = [this](const std::string& fault) {
    return failure_of("  - bad_source: {fault: " + fault + "}\n" + kRest + "  - sum\n");
  };
  const std::string place = folder_.path("config.yaml") +
                            ":4:5: stage 'bad_source' (plug-in libbad_stages.so) cannot be made: ";
  EXPECT_EQ(failure_with("no_lanes"), place + "its lanes() gave 0, expected at least 1");
  EXPECT_EQ(failure_with("negative_lanes"), place + "its lanes() gave -1, expected at least 1");
  EXPECT_EQ(failure_with("lanes_throw"), place + "nobody has counted them");
}

TEST_F(PluginTest, TellsOfATransformWithoutInstances) {
  EXPECT_THAT(failure_of(kSource + std::string("  - gives_no_maker\n") + kRest + "  - sum\n"),
              HasSubstr("stage 'gives_no_maker' (plug-in libbad_stages.so) cannot be made: its "
                        "factory gave nothing"));
  EXPECT_THAT(failure_of(kSource + std::string("  - gives_no_instance\n") + kRest + "  - sum\n"),
              HasSubstr("stage 'gives_no_instance' (plug-in libbad_stages.so) cannot be made: its "
                        "factory gave none"));
}

TEST_F(PluginTest, EndsWhereASinkKeepsCompletionsAndThrows) {
  EXPECT_EQ(failure_of(std::string(kSource) + kRest + "  - bad_sink: {fault: keeps_and_throws}\n"),
            "sink 'bad_sink' (plug-in libbad_stages.so) failed on batch 1: the table is locked");
  // Nor does it where another stage throws.
  EXPECT_EQ(failure_of(std::string(kSource) + kRest +
                       "  - throws_at_batch\n  - bad_sink: {fault: keeps_and_throws}\n"),
            "stage 'throws_at_batch' (plug-in libbad_stages.so) failed on batch 1: the batch is "
            "ugly");
}

TEST_F(PluginTest, TellsOfWhatCannotBeToldAtTheEnd) {
  EXPECT_EQ(failure_of(std::string(kSource) + kRest + "  - bad_sink: {fault: results_throw}\n"),
            "sink 'bad_sink' (plug-in libbad_stages.so) failed at the end: the sum is lost");
  const std::string path = config_of(
      kBadStages,
      "  - bad_source: {fault: size_throws}\n  - tokenize_bytes\n  - pack: {batch_size: 1, "
      "sequence_length: 4}\n  - discard\n");
  const RunSummary summary = run(path);
  EXPECT_EQ(summary.total_input_bytes, std::nullopt);
  EXPECT_THAT(summary.warnings,
              ElementsAre("stage 'bad_source' (plug-in libbad_stages.so) does not tell how much "
                          "there is to read: the disk is gone"));
}

TEST_F(PluginTest, CountsTheTimeOfASource) {
  const RunSummary summary = run(config_of(
      kBadStages,
      "  - slow_source\n  - tokenize_bytes\n  - pack: {batch_size: 1, sequence_length: 4}\n"
      "  - discard\n"));
  EXPECT_GE(summary.stages.at(0).busy_seconds, 0.05);
  EXPECT_EQ(summary.limiting_stage, "slow_source");
}

TEST_F(PluginTest, GoesOnFromACheckpointWhereBatchStagesSaySo) {
  std::ofstream(folder_.path("texts.jsonl")) << "{\"text\": \"abcdefghijklmnop\"}\n";
  const auto config = [&](const std::string& batch_stage) {
    return write_config(
        "plugins: ['" + kFolder + "/" + kEveryRole + "', '" + kFolder + "/" + kBadStages +
        "']\ncheckpoint_folder: " + folder_.path("checkpoints") +
        "\ncheckpoint_every: 1\npipeline:\n  - read: {paths: " + folder_.path("texts.jsonl") +
        "}\n  - parse\n  - tokenize_bytes\n  - pack: {batch_size: 1, "
        "sequence_length: 4}\n  - " +
        batch_stage + "\n  - sum\n");
  };
  const std::string good = config("reverse");
  const auto penstock = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {PENSTOCK_BINARY, "run", "--quiet", good});
    return Subprocess(arguments, folder_.path()).wait();
  };
  const Finished first = penstock({});
  EXPECT_EQ(first.status, 0) << first.errors;
  EXPECT_FALSE(fs::is_empty(folder_.path("checkpoints"))) << "the batch stage lost them";
  const Finished second = penstock({"--resume", "latest"});
  EXPECT_EQ(second.status, 0) << second.errors;
  config("throws_at_batch");
  const Finished refused = penstock({"--resume", "latest"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.errors,
              HasSubstr("a run with 'throws_at_batch' cannot go on from a checkpoint: the batch "
                        "stage does not say that it remembers nothing of earlier batches"));
}

TEST_F(PluginTest, IsNamedByTheStopDeadline) {
  const auto errors_of = [this](const std::string& stages) {
    const std::string config =
        write_config("threads: 2\nplugins: ['" + kFolder + "/" + kEveryRole + "', '" + kFolder +
                     "/" + kBadStages + "']\npipeline:\n" + stages);
    const Finished finished =
        Subprocess({PENSTOCK_BINARY, "run", "--quiet", config}, folder_.path()).wait();
    EXPECT_EQ(finished.status, 130);
    return finished.errors;
  };
  const std::string begin = "penstock: the run did not stop in time: ";
  const std::string plugin = " (plug-in libbad_stages.so) ";
  const std::string source = kSource;
  EXPECT_EQ(errors_of(source + "  - stuck\n" + kRest + "  - sum\n"),
            begin + "stage 'stuck'" + plugin + "did not return\n");
  EXPECT_EQ(errors_of(std::string("  - bad_source: {fault: stuck}\n") + kRest + "  - sum\n"),
            begin + "stage 'bad_source'" + plugin + "did not return\n");
  EXPECT_EQ(errors_of(source + kRest + "  - device: {kind: cpu, stage: device_stuck}\n"),
            begin + "stage 'device'" + plugin + "did not return\n");
  EXPECT_THAT(errors_of(source + kRest + "  - bad_sink: {fault: keeps}\n"),
              ContainsRegex("^" + begin +
                            "sink 'bad_sink' .plug-in libbad_stages.so. keeps the "
                            "completions of [0-9]+ batch(es)?\n$"));
  EXPECT_EQ(errors_of(source + kRest + "  - bad_sink: {fault: stuck_when_made}\n"),
            begin + "a stage was still being made\n");
}

}  // namespace
}  // namespace penstock
