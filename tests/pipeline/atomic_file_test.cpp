#include "pipeline/atomic_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/errors.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

class AtomicFileTest : public ::testing::Test {
 protected:
  std::string path() const { return (folder_ / "x.npy").string(); }
  std::string partial_path() const { return path() + ".partial"; }

  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void create(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
  }
  static std::string refusal(const std::string& path) {
    try {
      const AtomicFile file(path);
    } catch (const FileError& error) {
      return error.what();
    }
    return "accepted";
  }

  const TemporaryFolder temporary_folder_;
  const std::filesystem::path folder_ = temporary_folder_.path();
};

TEST_F(AtomicFileTest, PublishesOnlyAtCommit) {
  AtomicFile file(path());
  file.write("whole");
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_TRUE(std::filesystem::exists(partial_path()));
  file.commit();
  EXPECT_EQ(read(path()), "whole");
  EXPECT_FALSE(std::filesystem::exists(partial_path()));
}

TEST_F(AtomicFileTest, RemovesThePartialFileWithoutCommit) {
  {
    AtomicFile file(path());
    file.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(AtomicFileTest, KeepsTheOldFileUntilCommit) {
  create(path(), "old");
  {
    AtomicFile file(path());
    file.write("new");
  }
  EXPECT_EQ(read(path()), "old");
  AtomicFile file(path());
  file.write("new");
  file.commit();
  EXPECT_EQ(read(path()), "new");
}

TEST_F(AtomicFileTest, KeepsBytesInOrderWhateverTheSizesOfTheWrites) {
  std::string expected;
  AtomicFile file(path());
  for (std::size_t size : {0, 1, 1000, 1 << 20, 5, (1 << 20) - 1, 3 << 20, 7}) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) {
      bytes += static_cast<char>((expected.size() + i * 31) % 251);
    }
    file.write(bytes);
    expected += bytes;
    EXPECT_EQ(file.size(), std::ssize(expected));
  }
  file.commit();
  EXPECT_TRUE(read(path()) == expected);
}

TEST_F(AtomicFileTest, OverwritesBytesAlreadyWritten) {
  AtomicFile file(path());
  file.write("header, content");
  file.write_at(0, "HEADER");
  file.write("!");
  file.commit();
  EXPECT_EQ(read(path()), "HEADER, content!");
}

TEST_F(AtomicFileTest, RefusesToOverwriteBeyondTheEnd) {
  AtomicFile file(path());
  file.write("abc");
  EXPECT_THROW(file.write_at(2, "de"), std::logic_error);
  EXPECT_THROW(file.write_at(-1, "d"), std::logic_error);
}

TEST_F(AtomicFileTest, RefusesUseAfterCommit) {
  AtomicFile file(path());
  file.commit();
  EXPECT_THROW(file.write("more"), std::logic_error);
  EXPECT_THROW(file.write_at(0, ""), std::logic_error);
  EXPECT_THROW(file.commit(), std::logic_error);
}

TEST_F(AtomicFileTest, RefusesASecondWriterByNameAndLeavesTheFirstAlone) {
  AtomicFile first(path());
  first.write(std::string(2 << 20, 'x'));  // larger than the buffer, so that it is in the file
  const std::string message = refusal(path());
  EXPECT_THAT(message, HasSubstr("cannot write '" + path() + "': another run"));
  first.commit();
  EXPECT_EQ(read(path()).size(), 2U << 20);
}

TEST_F(AtomicFileTest, LetsTheNextWriterInAfterCommitOrRemoval) {
  std::optional<AtomicFile> first(std::in_place, path());
  first->commit();
  EXPECT_EQ(refusal(path()), "accepted");
  first.reset();
  EXPECT_EQ(refusal(path()), "accepted");
}

TEST_F(AtomicFileTest, ReplacesThePartialFileOfAKilledRun) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    AtomicFile file(path());
    file.write(std::string(2 << 20, 'x'));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(std::filesystem::exists(path()));
  ASSERT_TRUE(std::filesystem::exists(partial_path()));

  AtomicFile file(path());
  file.write("short");
  file.commit();
  EXPECT_EQ(read(path()), "short");
}

TEST_F(AtomicFileTest, RefusesWhatIsNotAFile) {
  EXPECT_EQ(refusal(folder_.string()), "cannot write '" + folder_.string() + "': it is a folder");
  EXPECT_EQ(refusal("/dev/null"), "cannot write '/dev/null': it is not a regular file");
  EXPECT_EQ(refusal(""), "cannot write '': the path is empty");
}

TEST_F(AtomicFileTest, HintsAtAMissingFolder) {
  const std::string folder = (folder_ / "missing").string();
  EXPECT_EQ(refusal(folder + "/x.npy"),
            "cannot write '" + folder + "/x.npy': the folder '" + folder +
                "' does not exist; create it first");
}

TEST_F(AtomicFileTest, DoesNotFollowALinkUnderThePartialName) {
  create((folder_ / "precious").string(), "precious");
  std::filesystem::create_symlink(folder_ / "precious", partial_path());
  EXPECT_THAT(refusal(path()), HasSubstr("cannot write '" + path() + "'"));
  EXPECT_EQ(read((folder_ / "precious").string()), "precious");
}

TEST_F(AtomicFileTest, NamesPathAndReasonWhenTheDiskIsFull) {
  std::string message;
  {
    AtomicFile file(path());
    file.write("small");
    const FileSizeLimit limit(1 << 20);
    try {
      file.write(std::string(3 << 20, 'x'));
    } catch (const FileError& error) {
      message = error.what();
    }
  }
  EXPECT_EQ(message, "cannot write '" + path() + "': File too large");
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(AtomicFileTest, FailsAtCommitWhenTheBufferedBytesDoNotFit) {
  AtomicFile file(path());
  file.write(std::string(1000, 'x'));
  {
    const FileSizeLimit limit(100);
    EXPECT_THROW(file.commit(), FileError);
  }
  EXPECT_FALSE(std::filesystem::exists(path()));
  file.commit();  // there is room again: nothing is lost or written twice
  EXPECT_EQ(read(path()), std::string(1000, 'x'));
}

}  // namespace
}  // namespace penstock
