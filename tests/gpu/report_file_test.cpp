#include "gpu/report_file.h"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "pipeline/errors.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ReportFileTest : public ::testing::Test {
 protected:
  std::string content() const {
    std::ifstream file(path_);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  template <typename Action>
  static std::string error_of(Action action) {
    try {
      action();
    } catch (const FileError& error) {
      return error.what();
    }
    return "no error";
  }
  static std::string refusal(const std::string& path) {
    return error_of([&] { const ReportFile file(path); });
  }
  static std::string error_of_add(ReportFile& file) {
    return error_of([&] { file.add({1, {{"loss", 0.5}}}); });
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.path("reports.jsonl");
};

TEST_F(ReportFileTest, HasALineForEachReportAsSoonAsItIsAdded) {
  ReportFile file(path_);
  file.add({10, {{"loss", 0.5}, {"scored", std::int64_t{7}}}});
  EXPECT_EQ(content(), "{\"batches\":10,\"loss\":0.5,\"scored\":7}\n");
  file.add({20, {{"loss", std::nan("")}, {"per_document", std::vector<double>{1, 2.5}}}});
  EXPECT_EQ(content(),
            "{\"batches\":10,\"loss\":0.5,\"scored\":7}\n"
            "{\"batches\":20,\"loss\":null,\"per_document\":[1.0,2.5]}\n");
}

TEST_F(ReportFileTest, ReplacesAnOlderFileAtTheFirstReport) {
  std::ofstream(path_) << "old\n";
  ReportFile file(path_);
  EXPECT_EQ(content(), "old\n");
  file.add({10, {}});
  EXPECT_EQ(content(), "{\"batches\":10}\n");
}

TEST_F(ReportFileTest, ReplacesALinkAndNotWhatIsBehindIt) {
  const std::string behind = folder_.path("behind");
  std::ofstream(behind) << "old\n";
  fs::create_symlink(behind, path_);
  ReportFile(path_).add({10, {}});
  EXPECT_FALSE(fs::is_symlink(path_));
  EXPECT_EQ(content(), "{\"batches\":10}\n");
  EXPECT_EQ(fs::file_size(behind), 4U);
}

TEST_F(ReportFileTest, LeavesNothingBehindWithoutAReport) {
  { const ReportFile file(path_); }
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(ReportFileTest, LeavesNothingButTheReportsBehind) {
  ReportFile(path_).add({10, {}});
  EXPECT_FALSE(fs::exists(path_ + ".partial"));
}

TEST_F(ReportFileTest, RefusesAFileThatAnotherRunWrites) {
  ReportFile file(path_);
  EXPECT_THAT(refusal(path_), HasSubstr("another run"));
  file.add({10, {}});
  EXPECT_THAT(refusal(path_), HasSubstr("another run"));
  EXPECT_EQ(content(), "{\"batches\":10}\n");
}

TEST_F(ReportFileTest, RefusesAFolderThatDoesNotExist) {
  const std::string path = folder_.path("missing/reports.jsonl");
  EXPECT_THAT(refusal(path), AllOf(HasSubstr(path), HasSubstr("does not exist")));
}

TEST_F(ReportFileTest, RefusesWhatIsNoRegularFile) {
  EXPECT_THAT(refusal(folder_.path()), HasSubstr("it is a folder"));
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);  // nobody reads it: opening it would hang
  EXPECT_THAT(refusal(path_), HasSubstr("it is not a regular file"));
}

TEST_F(ReportFileTest, NamesAFileThatCannotBeReplaced) {
  ReportFile file(path_);
  fs::create_directory(path_);
  EXPECT_THAT(error_of_add(file), HasSubstr("cannot replace '" + path_ + "': "));
}

TEST_F(ReportFileTest, NamesAFileThatCannotBeWritten) {
  ReportFile file(path_);
  const FileSizeLimit limit(0);
  EXPECT_EQ(error_of_add(file), "cannot write '" + path_ + "': File too large");
}

}  // namespace
}  // namespace penstock::gpu
