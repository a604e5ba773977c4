// What shells make of the completions of `penstock` is tried in bash, which every machine has.

#include <string>

#include <gmock/gmock.h>

#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CompletionTest : public testing::Test {
 protected:
  std::string output_of(const std::string& script) const {
    return Subprocess({"/bin/bash", "-c", script}, folder_.path()).wait().output;
  }

  // What bash offers behind `words`, the last of which may be the beginning of one.
  std::string offered(const std::string& words) const {
    return output_of(
        "source <('" PENSTOCK_BINARY "' completion bash); COMP_WORDS=(" + words +
        "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _penstock; echo \"${COMPREPLY[*]}\"");
  }

  TemporaryFolder folder_;
};

TEST_F(CompletionTest, OffersCommandsOptionsAndValues) {
  EXPECT_EQ(offered("penstock ru"), "run\n");
  EXPECT_THAT(offered("penstock ''"), AllOf(HasSubstr("inspect-model"), HasSubstr("--version")));
  EXPECT_EQ(offered("penstock run --su"), "--summary\n");
  EXPECT_EQ(offered("penstock graph x.yaml --format ''"), "mermaid dot\n");
  EXPECT_EQ(offered("penstock completion ''"), "--help bash zsh fish\n");
  EXPECT_THAT(offered("penstock ''"), Not(HasSubstr("man-page")));
}

TEST_F(CompletionTest, OffersFiles) {
  const std::string folder = "'" + folder_.path() + "'/";
  output_of("touch " + folder + "config.yaml");
  EXPECT_EQ(offered("penstock run " + folder + "con"), folder_.path("config.yaml") + "\n");
  EXPECT_EQ(offered("penstock run x.yaml --summary " + folder + "con"),
            folder_.path("config.yaml") + "\n");
}

TEST_F(CompletionTest, IsThereForOtherShellsAndMan) {
  const std::string penstock = "'" PENSTOCK_BINARY "' ";
  EXPECT_THAT(output_of(penstock + "completion zsh"), StartsWith("#compdef penstock\n"));
  EXPECT_THAT(output_of(penstock + "completion fish"),
              HasSubstr("-l format -x -a 'mermaid dot' -d 'Language of the graph'\n"));
  EXPECT_THAT(
      output_of(penstock + "man-page"),
      AllOf(StartsWith(".TH PENSTOCK 1"), HasSubstr("\\fB\\-\\-summary\\fR \\fIFILE\\fR\n")));
}

}  // namespace
}  // namespace penstock
