#include "report/json_array_file.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "pipeline/errors.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

class JsonArrayFileTest : public testing::Test {
 protected:
  std::string content() const {
    std::ostringstream content;
    content << std::ifstream(path_).rdbuf();
    return content.str();
  }
  void write(const std::string& text) const { std::ofstream(path_) << text; }

  TemporaryFolder folder_;
  const std::string path_ = folder_.path("rows.json");
};

TEST_F(JsonArrayFileTest, IsAnArrayAfterEveryAppend) {
  JsonArrayFile file(path_, {});
  EXPECT_EQ(nlohmann::json::parse(content()), nlohmann::json::array());
  for (int i = 1; i <= 3; ++i) {
    file.append("{\"row\":" + std::to_string(i) + "}");
    EXPECT_EQ(nlohmann::json::parse(content()).size(), i);
  }
  EXPECT_EQ(content(), "[\n{\"row\":1},\n{\"row\":2},\n{\"row\":3}\n]\n");
}

TEST_F(JsonArrayFileTest, GoesOnBehindWhatIsKept) {
  write("something else");
  JsonArrayFile file(path_, {"{\"row\":1}", "{\"row\":2}"});
  file.append("{\"row\":3}");
  EXPECT_THAT(read_json_array_lines(path_),
              ElementsAre("{\"row\":1}", "{\"row\":2}", "{\"row\":3}"));
}

TEST_F(JsonArrayFileTest, LeavesOutALastLineThatWasCutOff) {
  write("[\n{\"row\":1},\n{\"ro");
  EXPECT_THAT(read_json_array_lines(path_), ElementsAre("{\"row\":1}"));
  write("[\n{\"row\":1}");
  EXPECT_THAT(read_json_array_lines(path_), ElementsAre("{\"row\":1}"));
}

TEST_F(JsonArrayFileTest, LeavesOutALastLineThatWasCutOffBehindABrace) {
  write("[\n{\"row\":1},\n{\"rows\":[{\"a\":1}");
  EXPECT_THAT(read_json_array_lines(path_), ElementsAre("{\"row\":1}"));
}

TEST_F(JsonArrayFileTest, HoldsNothingWhereThereIsNoFile) {
  EXPECT_THAT(read_json_array_lines(path_), IsEmpty());
}

TEST_F(JsonArrayFileTest, RefusesWhatIsNoHistory) {
  write("[\n{\"row\":1},\nnonsense\n{\"row\":3}\n]\n");
  EXPECT_THAT([&] { read_json_array_lines(path_); },
              ThrowsMessage<FileError>(HasSubstr("rows.json' is no history of a run: its line 3")));
}

TEST_F(JsonArrayFileTest, SaysWhyItCannotWrite) {
  JsonArrayFile file(path_, {});
  const FileSizeLimit limit(64);
  EXPECT_THAT([&] { file.append('"' + std::string(100, 'x') + '"'); },
              ThrowsMessage<FileError>(HasSubstr("cannot write '" + path_ + "': ")));
}

TEST_F(JsonArrayFileTest, IsAnArrayAfterTheDiskWasFull) {
  JsonArrayFile file(path_, {});
  file.append("{\"row\":1}");
  {
    const FileSizeLimit limit(64);
    EXPECT_THROW(file.append("{\"row\":\"" + std::string(100, 'x') + "\"}"), FileError);
  }
  EXPECT_EQ(content(), "[\n{\"row\":1}\n]\n");
  file.append("{\"row\":2}");
  EXPECT_EQ(content(), "[\n{\"row\":1},\n{\"row\":2}\n]\n");
}

}  // namespace
}  // namespace penstock
