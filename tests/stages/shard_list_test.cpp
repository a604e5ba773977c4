#include "stages/shard_list.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/stages/redirected_input.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RedirectedInput;

class ShardListTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  void write(const std::string& name, const std::string& content = "text\n") const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << content;
  }

  // The names of the listed shards, relative to the folder.
  std::vector<std::string> names(const std::vector<std::string>& paths) const {
    const ShardList list = list_shards(paths);
    EXPECT_THAT(list.problems, IsEmpty());
    std::vector<std::string> names;
    for (const Shard& shard : list.shards) {
      names.push_back(shard.path.substr(folder_.size() + 1));
    }
    return names;
  }

  // The problems of one path, with the folder left out.
  std::vector<std::string> problems(const std::vector<std::string>& paths) const {
    std::vector<std::string> problems = list_shards(paths).problems;
    for (std::string& problem : problems) {
      for (std::size_t at = 0; (at = problem.find(folder_ + "/")) != std::string::npos;) {
        problem.erase(at, folder_.size() + 1);
      }
    }
    return problems;
  }

 private:
  const TemporaryFolder temporary_folder_;
  const std::string folder_ = temporary_folder_.path();
};

TEST_F(ShardListTest, SortsTheMatchesOfAPatternBytewise) {
  for (const char* name : {"b.zst", "B.zst", "a10.zst", "a2.zst", "\xc3\xa9.zst", "c.txt"}) {
    write(name);
  }
  EXPECT_THAT(names({path("*.zst")}),
              ElementsAre("B.zst", "a10.zst", "a2.zst", "b.zst", "\xc3\xa9.zst"));
}

TEST_F(ShardListTest, KeepsTheOrderOfThePaths) {
  for (const char* name : {"a1", "a2", "b1", "b2", "c"}) {
    write(name);
  }
  EXPECT_THAT(names({path("c"), path("b?"), path("a[12]")}),
              ElementsAre("c", "b1", "b2", "a1", "a2"));
}

TEST_F(ShardListTest, ListsTheFilesOfAFolder) {
  write("data/b");
  write("data/a");
  write("data/.hidden");
  write("data/out.npy.partial");
  write("data/inner/c");
  std::filesystem::create_symlink("inner/c", path("data/link"));
  mkfifo(path("data/pipe").c_str(), 0600);
  EXPECT_THAT(names({path("data")}), ElementsAre("data/a", "data/b", "data/link"));
}

TEST_F(ShardListTest, TakesAnExistingPathLiterally) {
  write("a[1].zst");
  write("a1.zst");
  EXPECT_THAT(names({path("a[1].zst")}), ElementsAre("a[1].zst"));
}

TEST_F(ShardListTest, KnowsTheSizeOfFiles) {
  write("five", "12345");
  const ShardList list = list_shards({path("five")});
  ASSERT_EQ(list.shards.size(), 1U);
  EXPECT_EQ(list.shards[0].size, 5);
}

TEST_F(ShardListTest, ListsStandardInputAlone) {
  const ShardList list = list_shards({"-"});
  ASSERT_EQ(list.shards.size(), 1U);
  EXPECT_EQ(list.shards[0].path, kStandardInput);
  EXPECT_EQ(*list.shards[0].name, "(standard input)");
  EXPECT_EQ(list.shards[0].size, std::nullopt);

  write("file");
  EXPECT_THAT(problems({"-", path("file")}),
              ElementsAre("'-' (standard input) cannot be listed together with other paths"));
}

TEST_F(ShardListTest, TakesAPipeThatIsAnOpenDescriptor) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string name = "/dev/fd/" + std::to_string(ends[0]);
  const ShardList list = list_shards({name});
  EXPECT_THAT(list.problems, IsEmpty());
  ASSERT_EQ(list.shards.size(), 1U);
  EXPECT_EQ(list.shards[0].path, name);
  EXPECT_EQ(list.shards[0].size, std::nullopt);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(ShardListTest, TakesStandardInputByItsPath) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[1]);
  const RedirectedInput redirected(ends[0]);
  const ShardList list = list_shards({"/dev/stdin"});
  EXPECT_THAT(list.problems, IsEmpty());
  ASSERT_EQ(list.shards.size(), 1U);
  EXPECT_EQ(list.shards[0].path, "/dev/stdin");
  EXPECT_EQ(list.shards[0].size, std::nullopt);
}

TEST_F(ShardListTest, ReportsAFolderOnStandardInput) {
  write("data/a");
  const RedirectedInput redirected(open(path("data").c_str(), O_RDONLY | O_DIRECTORY));
  EXPECT_THAT(problems({"-"}),
              ElementsAre("'-' (standard input) is a folder: list it by its name"));
}

TEST_F(ShardListTest, ShowsControlCharactersEscaped) {
  write(
      "name with space \n and \xc3\xbcnic\xc3\xb6"
      "de \xe6\x97\xa5.zst");
  write("bad \xff.zst");
  const ShardList list = list_shards({path("*.zst")});
  ASSERT_EQ(list.shards.size(), 2U);
  EXPECT_EQ(*list.shards[0].name, path("bad \\xff.zst"));
  EXPECT_EQ(list.shards[1].path,
            path("name with space \n and \xc3\xbcnic\xc3\xb6"
                 "de \xe6\x97\xa5.zst"));
  EXPECT_EQ(*list.shards[1].name,
            path("name with space \\x0a and \xc3\xbcnic\xc3\xb6"
                 "de \xe6\x97\xa5.zst"));
}

TEST_F(ShardListTest, ReportsEveryProblemAtOnce) {
  write("good");
  EXPECT_THAT(problems({path("none"), path("good"), path("x*"), path("no\nne")}),
              ElementsAre("'none': No such file or directory",
                          "'x*' matches no file",
                          "'no\\x0ane': No such file or directory"));
}

TEST_F(ShardListTest, ReportsAPatternInAFolderThatDoesNotExist) {
  EXPECT_THAT(problems({path("nowhere/*.zst")}), ElementsAre(HasSubstr("'nowhere/*.zst'")));
}

TEST_F(ShardListTest, ReportsLinksThatLeadNowhere) {
  std::filesystem::create_symlink("missing", path("dangling"));
  std::filesystem::create_symlink("loop", path("loop"));
  const std::vector<std::string> expected = {
      "'dangling' is a symbolic link to 'missing', which does not exist",
      "'loop' is a symbolic link that leads back to itself"};
  EXPECT_EQ(problems({path("dangling"), path("loop")}), expected);
  EXPECT_EQ(problems({path("*")}), expected);
}

TEST_F(ShardListTest, ReportsAFolderThatAPatternMatches) {
  write("data.zst/inner");
  EXPECT_THAT(problems({path("*.zst")}),
              ElementsAre(HasSubstr("'data.zst', which '*.zst' matches, is a folder")));
}

TEST_F(ShardListTest, ReportsAFolderWithoutFiles) {
  write("data/.hidden");
  EXPECT_THAT(problems({path("data")}), ElementsAre("the folder 'data' holds no file"));
}

TEST_F(ShardListTest, ReportsANamedPipeWithoutOpeningIt) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(problems({path("pipe")}), ElementsAre(HasSubstr("standard input and list '-'")));
}

TEST_F(ShardListTest, ReportsAnUnreadableFile) {
  write("secret");
  chmod(path("secret").c_str(), 0);
  if (access(path("secret").c_str(), R_OK) == 0) {
    GTEST_SKIP() << "this user may read every file";
  }
  EXPECT_THAT(problems({path("secret")}), ElementsAre("cannot open 'secret': Permission denied"));
}

TEST_F(ShardListTest, ReportsAFileListedTwice) {
  write("a");
  std::filesystem::create_symlink("a", path("b"));
  EXPECT_THAT(
      problems({path("a"), path("*")}),
      ElementsAre("'a' is listed twice", "'b' is the same file as 'a', which is listed before it"));
}

TEST_F(ShardListTest, ReportsWhatIsNoFile) {
  EXPECT_THAT(problems({"/dev/null"}), ElementsAre("'/dev/null' is neither a file nor a folder"));
}

}  // namespace
}  // namespace penstock
