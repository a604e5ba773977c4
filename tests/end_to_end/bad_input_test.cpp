#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/register_device.h"
#include "pipeline/errors.h"
#include "pipeline/pipeline.h"
#include "stages/register_stages.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

const std::string kFolder = std::string(PENSTOCK_SOURCE_DIR) + "/tests/data/bad/";

// A row of the table in tests/data/bad/README.md: what the zstd command and a strict JSON reader
// make of the file.
struct Expected {
  std::string file;
  std::string zstd;  // "ok", "error", "needs --memory", ...
  int good = 0;
  int bad = 0;
};

void PrintTo(const Expected& expected, std::ostream* stream) {
  *stream << expected.file;
}

std::vector<Expected> read_table() {
  std::ifstream readme(kFolder + "README.md");
  std::vector<Expected> rows;
  for (std::string line; std::getline(readme, line);) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, '|');) {
      const auto begin = cell.find_first_not_of(' ');
      cells.push_back(begin == std::string::npos
                          ? ""
                          : cell.substr(begin, cell.find_last_not_of(' ') - begin + 1));
    }
    if (cells.size() == 10 && cells[1].ends_with(".zst")) {
      rows.push_back({cells[1], cells[4], std::stoi(cells[7]), std::stoi(cells[8])});
    }
  }
  return rows;
}

// Where we are meant to differ from the table, and why.
const std::map<std::string, std::pair<int, int>> kOurs = {
    {"json_nan.jsonl.zst", {6, 1}},     // NaN is not JSON; Python takes it
    {"file_plain.jsonl.zst", {10, 0}},  // the format is found by content, not by name
    {"file_gzip.jsonl.zst", {10, 0}},
};

RunSummary run(const std::string& file, const std::string& options) {
  StageRegistry registry;
  register_stages(registry);
  register_device(registry);
  const std::string yaml = "{threads: 2, " + options + ", pipeline: [{read: {paths: '" + kFolder +
                           file + "'}}, parse, {tokenize: {model: '" + PENSTOCK_SOURCE_DIR +
                           "/data/sample/demo_bpe_8k_bytefallback.model'}}, {pack: {batch_size: 2, "
                           "sequence_length: 64}}, device]}";
  return Pipeline(parse_config(yaml, "test.yaml", registry), registry).run();
}

class BadInput : public ::testing::TestWithParam<Expected> {};

TEST_P(BadInput, IsCountedAndSkipped) {
  const Expected& expected = GetParam();
  const RunSummary summary = run(expected.file, "on_error: skip");
  EXPECT_TRUE(summary.finished);
  const auto ours = kOurs.find(expected.file);
  if (ours != kOurs.end()) {
    EXPECT_EQ(summary.documents, ours->second.first);
    EXPECT_EQ(summary.rejects, ours->second.second);
  } else if (expected.zstd == "ok") {
    EXPECT_EQ(summary.documents, expected.good);
    EXPECT_EQ(summary.rejects, expected.bad);
  } else {
    EXPECT_LE(summary.documents, std::max(expected.good, 10));
    EXPECT_GE(summary.rejects, 1);
  }
}

TEST_P(BadInput, EndsARunWithItsPlaceAndReasonByDefault) {
  const Expected& expected = GetParam();
  const auto ours = kOurs.find(expected.file);
  const bool good =
      ours != kOurs.end() ? ours->second.second == 0 : expected.zstd == "ok" && expected.bad == 0;
  if (good) {
    EXPECT_EQ(run(expected.file, "on_error: fail").rejects, 0);
    return;
  }
  try {
    run(expected.file, "on_error: fail");
    FAIL() << "no error";
  } catch (const RecordError& error) {
    EXPECT_THAT(error.what(), HasSubstr(expected.file + ", record "));
    EXPECT_THAT(error.what(), HasSubstr(", byte "));
    EXPECT_THAT(error.what(), ::testing::StartsWith("stage '"));
  }
}

INSTANTIATE_TEST_SUITE_P(Files, BadInput, ::testing::ValuesIn(read_table()), [](const auto& row) {
  std::string name = row.param.file.substr(0, row.param.file.find('.'));
  return name;
});

TEST(BadInputTable, IsReadWhole) {
  EXPECT_EQ(read_table().size(), 152u);
}

}  // namespace
}  // namespace penstock
