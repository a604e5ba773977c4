// `penstock new-stage`. scripts/test-package builds and runs what it writes.

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>

#include "apps/new_stage_files.h"
#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class NewStageTest : public testing::Test {
 protected:
  Finished new_stage(const std::string& arguments) const {
    const std::string command =
        "cd '" + folder_.path() + "' && '" PENSTOCK_BINARY "' new-stage " + arguments;
    return Subprocess({"/bin/sh", "-c", command}, folder_.path()).wait();
  }

  TemporaryFolder folder_;
};

TEST_F(NewStageTest, WritesAProject) {
  const Finished finished = new_stage("word_count --kind token");
  EXPECT_EQ(finished.status, 0) << finished.errors;
  EXPECT_THAT(finished.output, HasSubstr("  penstock run word_count.yaml\n"));
  EXPECT_THAT(read_file(folder_.path("word_count/word_count.cpp")), HasSubstr("class WordCount"));
  EXPECT_THAT(read_file(folder_.path("word_count/CMakeLists.txt")),
              AllOf(HasSubstr("find_package(penstock REQUIRED)"),
                    HasSubstr("set(CMAKE_BUILD_TYPE Release)")));
}

TEST_F(NewStageTest, WritesOverNothing) {
  std::ofstream(folder_.path("mine")) << "precious";
  const Finished finished = new_stage("mine");
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.errors, "penstock: 'mine' exists already, and nothing is written over\n");
  EXPECT_EQ(read_file(folder_.path("mine")), "precious");
}

TEST_F(NewStageTest, RefusesNamesThatNoStageCanHave) {
  for (const char* name : {"''", "Count", "2nd", "a-b", "'a b'", "../a", "_a"}) {
    const Finished finished = new_stage(name);
    EXPECT_EQ(finished.status, 2) << name;
    EXPECT_THAT(finished.errors, HasSubstr("a name begins with a lower-case letter")) << name;
  }
  EXPECT_THAT(new_stage("parse").errors, HasSubstr("Penstock has a stage of this name"));
  EXPECT_THAT(new_stage("test").errors, HasSubstr("CMake or Penstock has a file or target"));
  EXPECT_THAT(new_stage("mine --kind engine").errors, HasSubstr("--kind: engine not in"));
  EXPECT_FALSE(fs::exists(folder_.path("mine")));
}

TEST_F(NewStageTest, TellsWhyNothingCanBeWritten) {
  const Finished finished = new_stage("mine; mkdir sub && cd sub && rmdir ../sub && '" +
                                      std::string(PENSTOCK_BINARY) + "' new-stage other");
  EXPECT_EQ(finished.status, 2);
  EXPECT_THAT(finished.errors, HasSubstr("cannot make the folder 'other': No such file"));
}

// A stage may be called as a class of Penstock is: batch.
TEST(NewStageFiles, TakeNoNameOutOfTheNamespace) {
  for (const std::string& kind : new_stage_kinds()) {
    for (const NewFile& file : new_stage_files("word_count", kind)) {
      EXPECT_THAT(file.text, Not(HasSubstr("using penstock::"))) << kind << " " << file.path;
    }
  }
}

TEST(NewStageFiles, LeaveNoPlaceholder) {
  for (const std::string& kind : new_stage_kinds()) {
    for (const NewFile& file : new_stage_files("word_count", kind)) {
      EXPECT_THAT(file.path, Not(HasSubstr("@"))) << kind;
      EXPECT_THAT(file.text, Not(HasSubstr("@"))) << kind << " " << file.path;
      EXPECT_THAT(file.text, Not(IsEmpty()));
    }
  }
}

}  // namespace
}  // namespace penstock
