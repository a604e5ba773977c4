#include "pipeline/file_claims.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/pipeline.h"
#include "tests/fakes.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

class FileClaimsTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string write(const std::string& name, const std::string& content = "") const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }

  // What is said about a claim; empty where it is fine.
  template <typename Claim>
  static std::string problem_of(Claim claim) {
    try {
      claim();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }
  static std::string problem(FileClaims& claims, const std::string& output) {
    return problem_of([&] { claims.add_output(output); });
  }
  static std::string input_problem(FileClaims& claims, const std::string& input) {
    return problem_of([&] { claims.add_input(input); });
  }

  const TemporaryFolder temporary_folder_;
  const std::filesystem::path folder_ = temporary_folder_.path();
};

TEST_F(FileClaimsTest, RefusesAnOutputThatIsAnInput) {
  FileClaims claims;
  const std::string shard = write("shard");
  claims.add_input(shard);
  EXPECT_EQ(problem(claims, shard), "'" + shard + "' is also an input of this run");
}

TEST_F(FileClaimsTest, KnowsAnInputByItsOtherNames) {
  FileClaims claims;
  const std::string shard = write("shard");
  claims.add_input(shard);
  std::filesystem::create_symlink("shard", path("link"));
  std::filesystem::create_hard_link(shard, path("twin"));
  for (const std::string& name : {path("link"), path("twin"), path("./shard")}) {
    EXPECT_EQ(problem(claims, name),
              "'" + name + "' is also an input of this run (named '" + shard + "')");
    EXPECT_TRUE(claims.is_input(name));
  }
}

TEST_F(FileClaimsTest, RefusesAnOutputWhosePartialFileIsAnInput) {
  FileClaims claims;
  const std::string shard = write("out.partial");
  claims.add_input(shard);
  EXPECT_EQ(problem(claims, path("out")),
            "'" + shard + "', the name under which '" + path("out") +
                "' is begun, is also an input of this run");
}

TEST_F(FileClaimsTest, RefusesTheSameOutputTwice) {
  FileClaims claims;
  EXPECT_EQ(problem(claims, path("out")), "");
  EXPECT_EQ(problem(claims, path("out")),
            "'" + path("out") + "' is also another output of this run");
  EXPECT_THAT(problem(claims, path("./out")), HasSubstr("another output"));
  std::filesystem::create_directory_symlink(folder_, path("here"));
  EXPECT_THAT(problem(claims, path("here/out")), HasSubstr("another output"));
}

TEST_F(FileClaimsTest, RefusesAnOutputThatIsThePartialFileOfAnother) {
  FileClaims claims;
  EXPECT_EQ(problem(claims, path("out")), "");
  EXPECT_THAT(problem(claims, path("out.partial")), HasSubstr("another output"));
}

TEST_F(FileClaimsTest, RefusesAnInputThatIsAnOutput) {
  FileClaims claims;
  const std::string missing = path("missing");
  const std::string old = write("old");
  EXPECT_EQ(problem(claims, missing), "");
  EXPECT_EQ(problem(claims, old), "");
  for (const std::string& output : {missing, old}) {
    EXPECT_EQ(input_problem(claims, output), "'" + output + "' is also an output of this run");
    EXPECT_FALSE(claims.is_input(output));
  }
}

TEST_F(FileClaimsTest, KnowsAnOutputByItsOtherNames) {
  FileClaims claims;
  const std::string old = write("old");
  EXPECT_EQ(problem(claims, old), "");
  std::filesystem::create_symlink("old", path("link"));
  std::filesystem::create_hard_link(old, path("twin"));
  for (const std::string& name : {path("link"), path("twin"), path("./old")}) {
    EXPECT_EQ(input_problem(claims, name),
              "'" + name + "' is also an output of this run (named '" + old + "')");
  }
  std::filesystem::create_directory_symlink(folder_, path("here"));
  EXPECT_EQ(problem(claims, path("missing")), "");
  EXPECT_THAT(input_problem(claims, path("here/missing")), HasSubstr("is also an output"));
}

TEST_F(FileClaimsTest, RefusesAnInputThatIsThePartialFileOfAnOutput) {
  FileClaims claims;
  EXPECT_EQ(problem(claims, path("out")), "");
  const std::string partial = write("out.partial");  // as an AtomicFile does after the claim
  std::filesystem::create_hard_link(partial, path("twin"));
  EXPECT_EQ(input_problem(claims, partial), "'" + partial + "' is also an output of this run");
  EXPECT_THAT(input_problem(claims, path("twin")), HasSubstr("(named '" + partial + "')"));
}

TEST_F(FileClaimsTest, TakesDifferentFiles) {
  FileClaims claims;
  claims.add_input(write("shard"));
  claims.add_input(path("missing"));
  EXPECT_EQ(problem(claims, write("of_an_earlier_run")), "");
  EXPECT_EQ(problem(claims, path("missing")), "");
  EXPECT_EQ(problem(claims, path("no_folder/out")), "");
  EXPECT_EQ(input_problem(claims, write("other_shard")), "");
  EXPECT_EQ(input_problem(claims, path("shard")), "");  // twice
  EXPECT_FALSE(claims.is_input(path("of_an_earlier_run")));
  EXPECT_FALSE(claims.is_input(path("missing")));
}

// Numbers -> rows -> a sink that claims an output. The source claims an input.
class FileClaimsPipelineTest : public FileClaimsTest {
 protected:
  StageRegistry registry(const std::string& input, const std::string& output) {
    StageRegistry registry;
    StageType source =
        testing::token_source([] { return std::make_unique<testing::NumberSource>(1, 1); });
    source.factory = SourceFactory([input](const StageConfig&, const BuildContext& context) {
      context.files.add_input(input);
      return std::make_unique<testing::NumberSource>(1, 1);
    });
    registry.add(std::move(source));
    registry.add(testing::row_assembler(32));
    StageType sink;
    sink.name = "collect";
    sink.summary = "Keeps everything.";
    sink.input = Payload::kBatch;
    sink.factory =
        SinkFactory([this, output](const StageConfig& config, const BuildContext& context) {
          try {
            context.files.add_output(output);
          } catch (const std::runtime_error& error) {
            throw ConfigError({{config.location(), error.what()}});
          }
          return std::make_unique<testing::CollectingSink>(testing::CollectingSink::Options(),
                                                           collected_);
        });
    registry.add(std::move(sink));
    return registry;
  }

  // What is wrong with a run of this configuration; empty where nothing is.
  std::string problem(const std::string& input,
                      const std::string& output,
                      const std::string& run_options) {
    const StageRegistry stages = registry(input, output);
    const std::string config =
        write("run.yaml", run_options + "pipeline: [numbers, rows, collect]\n");
    try {
      Pipeline(load_config(config, stages), stages).run();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  }

  testing::CollectingSink::Collected collected_;
};

TEST_F(FileClaimsPipelineTest, RefusesASinkThatWritesAnInput) {
  const std::string shard = write("shard");
  EXPECT_THAT(problem(shard, shard, ""), HasSubstr("is also an input of this run"));
}

TEST_F(FileClaimsPipelineTest, RefusesASinkThatWritesTheConfiguration) {
  EXPECT_THAT(problem(write("shard"), path("run.yaml"), ""),
              HasSubstr("run.yaml' is also an input of this run"));
}

TEST_F(FileClaimsPipelineTest, RefusesAQuarantineFileThatIsAnInput) {
  const std::string shard = write("shard", "content");
  const std::string quarantine = "quarantine: '" + shard + "'\n";
  EXPECT_THAT(problem(shard, path("out"), "on_error: quarantine\n" + quarantine),
              HasSubstr("option 'quarantine': '" + shard + "' is also an input of this run"));
  EXPECT_EQ(std::filesystem::file_size(shard), 7U);
  EXPECT_EQ(problem(shard, path("out"), "on_error: skip\n" + quarantine), "");  // not written
}

TEST_F(FileClaimsPipelineTest, RefusesAQuarantineFileThatASinkWrites) {
  EXPECT_THAT(
      problem(
          write("shard"), path("out"), "on_error: quarantine\nquarantine: '" + path("out") + "'\n"),
      HasSubstr("is also another output of this run"));
}

TEST_F(FileClaimsPipelineTest, RefusesToWriteWhatARunReadsOrWritesBesideIt) {
  const std::string shard = write("shard");
  const StageRegistry stages = registry(shard, path("out"));
  const std::string config = write("run.yaml", "pipeline: [numbers, rows, collect]\n");
  Pipeline pipeline(load_config(config, stages), stages);
  const auto problem_beside = [&](const std::string& output) {
    return problem_of([&] { pipeline.claim_output(output); });
  };
  EXPECT_THAT(problem_beside(shard), HasSubstr("is also an input"));
  EXPECT_THAT(problem_beside(config), HasSubstr("is also an input"));
  EXPECT_THAT(problem_beside(path("out")), HasSubstr("is also another output"));
  EXPECT_EQ(problem_beside(write("other")), "");
  EXPECT_THAT(problem_beside(path("other")), HasSubstr("is also another output"));
}

}  // namespace
}  // namespace penstock
