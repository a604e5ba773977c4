#include "gpu/report_file.h"

#include <cmath>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/errors.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using ::testing::HasSubstr;

class ReportFileTest : public ::testing::Test {
 protected:
  std::string content() const {
    std::ifstream file(path_);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
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

TEST_F(ReportFileTest, ReplacesAnOlderFile) {
  std::ofstream(path_) << "old\n";
  const ReportFile file(path_);
  EXPECT_EQ(content(), "");
}

TEST_F(ReportFileTest, NamesAFileThatCannotBeOpened) {
  const std::string path = folder_.path("missing/reports.jsonl");
  try {
    const ReportFile file(path);
    FAIL() << "no error";
  } catch (const FileError& error) {
    EXPECT_THAT(error.what(), HasSubstr(path));
    EXPECT_THAT(error.what(), HasSubstr("No such file or directory"));
  }
}

TEST_F(ReportFileTest, NamesAFileThatCannotBeWritten) {
  ReportFile file("/dev/full");
  EXPECT_THROW(file.add({1, {{"loss", 0.5}}}), FileError);
}

}  // namespace
}  // namespace penstock::gpu
