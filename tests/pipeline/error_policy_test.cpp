#include "pipeline/error_policy.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/errors.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Reject make_reject(std::int64_t record, std::string raw = "") {
  Reject reject;
  reject.position.shard = std::make_shared<const std::string>("part-007.jsonl.zst");
  reject.position.record = record;
  reject.position.byte_offset = 1000 * record;
  reject.reason = "the field 'text' is missing";
  reject.raw = std::move(raw);
  reject.raw_bytes = std::ssize(reject.raw);
  reject.stage = "parse";
  return reject;
}

// The part of a description that shows the record.
std::string shown(const std::string& raw, std::int64_t bytes_not_kept = 0) {
  Reject reject = make_reject(1, raw);
  reject.raw_bytes += bytes_not_kept;
  const std::string text = describe(reject);
  const std::string before = "; the record begins: ";
  return text.substr(text.find(before) + before.size());
}

template <typename Call>
std::string record_error(Call call) {
  try {
    call();
  } catch (const RecordError& error) {
    return error.what();
  }
  return "no error";
}

class ErrorPolicyTest : public ::testing::Test {
 protected:
  std::string path() const { return (folder_ / "bad.jsonl").string(); }

  std::string quarantined() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const TemporaryFolder temporary_folder_;
  const std::filesystem::path folder_ = temporary_folder_.path();
};

TEST_F(ErrorPolicyTest, DescribesStagePositionReasonAndBeginning) {
  EXPECT_EQ(describe(make_reject(1200, R"({"meta":1})")),
            "stage 'parse': part-007.jsonl.zst, record 1200, byte 1200000: the field 'text' is "
            "missing; the record begins: {\"meta\":1}");
}

TEST_F(ErrorPolicyTest, LeavesTheBeginningOutOfAnEmptyRecord) {
  EXPECT_EQ(describe(make_reject(2)),
            "stage 'parse': part-007.jsonl.zst, record 2, byte 2000: the field 'text' is missing");
}

TEST_F(ErrorPolicyTest, EscapesControlCharactersAndInvalidUtf8) {
  EXPECT_EQ(shown(std::string("a\0b\t\x7f\n", 6)), "a\\x00b\\x09\\x7F\\x0A");
  EXPECT_EQ(shown("\xff\xc3(\xe2\x82"), "\\xFF\\xC3(\\xE2\\x82");
  EXPECT_EQ(shown("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"),
            "\\xC0\\xAF\\xED\\xA0\\x80\\xF4\\x90\\x80\\x80");
  EXPECT_EQ(shown("\xc2\x9b[31m"), "\\xC2\\x9B[31m");
  EXPECT_EQ(shown("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \"\\"),
            "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \"\\");
}

TEST_F(ErrorPolicyTest, CutsALongRecordBetweenCharacters) {
  EXPECT_EQ(shown(std::string(80, 'x')), std::string(80, 'x'));
  EXPECT_EQ(shown(std::string(81, 'x')), std::string(80, 'x') + "...");
  EXPECT_EQ(shown(std::string(79, 'x') + "\xc3\xa9"), std::string(79, 'x') + "...");
  EXPECT_EQ(shown(std::string(78, 'x') + "\xc3\xa9"), std::string(78, 'x') + "\xc3\xa9");
  EXPECT_EQ(shown("short", 1000), "short...");
}

TEST_F(ErrorPolicyTest, FailsWithTheFirstReject) {
  ErrorPolicy policy({});
  EXPECT_EQ(record_error([&] { policy.judge(make_reject(3, "x"), OnError::kFail); }),
            describe(make_reject(3, "x")));
  EXPECT_EQ(policy.rejects(), 1);
}

TEST_F(ErrorPolicyTest, SkipsAndCounts) {
  ErrorPolicy policy({});
  policy.count_records(2);
  policy.judge(make_reject(1), OnError::kSkip);
  policy.judge(make_reject(2), OnError::kSkip);
  policy.finish();
  EXPECT_EQ(policy.rejects(), 2);
}

TEST_F(ErrorPolicyTest, QuarantinesRecordsInOrder) {
  ErrorPolicy policy({std::nullopt, path()});
  policy.judge(make_reject(1, "{\"a\": \"\xc3\xa9\"\n"), OnError::kQuarantine);
  policy.judge(make_reject(2, "skipped"), OnError::kSkip);
  policy.judge(make_reject(3, ""), OnError::kQuarantine);
  EXPECT_FALSE(std::filesystem::exists(path()));
  policy.finish();
  EXPECT_EQ(quarantined(),
            R"({"shard":"part-007.jsonl.zst","record":1,"byte_offset":1000,"stage":"parse",)"
            R"("reason":"the field 'text' is missing","raw":"{\"a\": \")"
            "\xc3\xa9"
            R"(\"\n","raw_bytes":11,"raw_complete":true})"
            "\n"
            R"({"shard":"part-007.jsonl.zst","record":3,"byte_offset":3000,"stage":"parse",)"
            R"("reason":"the field 'text' is missing","raw":"","raw_bytes":0,"raw_complete":true})"
            "\n");
}

TEST_F(ErrorPolicyTest, QuarantinesWhatIsNotUtf8AsBase64) {
  // The examples of RFC 4648, each behind the byte FF, which makes it invalid UTF-8.
  const std::pair<std::string, std::string> examples[] = {{"\xff", "/w=="},
                                                          {"\xff"
                                                           "f",
                                                           "/2Y="},
                                                          {"\xff"
                                                           "fo",
                                                           "/2Zv"},
                                                          {"\xff"
                                                           "foo",
                                                           "/2Zvbw=="},
                                                          {"\xff"
                                                           "foobar",
                                                           "/2Zvb2Jhcg=="}};
  ErrorPolicy policy({std::nullopt, path()});
  for (const auto& [raw, base64] : examples) {
    policy.judge(make_reject(1, raw), OnError::kQuarantine);
  }
  policy.finish();
  for (const auto& [raw, base64] : examples) {
    EXPECT_THAT(quarantined(),
                HasSubstr("\"raw_base64\":\"" + base64 + "\",\"raw_bytes\":" +
                          std::to_string(raw.size()) + ",\"raw_complete\":true}\n"));
  }
  EXPECT_THAT(quarantined(), testing::Not(HasSubstr("\"raw\":")));
}

TEST_F(ErrorPolicyTest, TellsThatAQuarantinedRecordIsNotWhole) {
  ErrorPolicy policy({std::nullopt, path()});
  Reject reject = make_reject(1, "the beg");
  reject.raw_bytes = 1000;
  policy.judge(reject, OnError::kQuarantine);
  policy.finish();
  EXPECT_THAT(quarantined(),
              EndsWith("\"raw\":\"the beg\",\"raw_bytes\":1000,\"raw_complete\":false}\n"));
}

TEST_F(ErrorPolicyTest, QuarantinesARecordOfAShardWhoseNameIsNotUtf8) {
  ErrorPolicy policy({std::nullopt, path()});
  Reject reject = make_reject(1, "x");
  reject.position.shard = std::make_shared<const std::string>("caf\xe9.jsonl");
  policy.judge(reject, OnError::kQuarantine);
  policy.finish();
  EXPECT_THAT(quarantined(), StartsWith("{\"shard\":\"caf\xef\xbf\xbd.jsonl\","));
}

TEST_F(ErrorPolicyTest, PublishesAnEmptyQuarantineFileInPlaceOfAnOlderOne) {
  std::ofstream(path()) << "of an earlier run";
  ErrorPolicy policy({std::nullopt, path()});
  policy.judge(make_reject(1), OnError::kSkip);
  policy.finish();
  policy.publish();
  EXPECT_EQ(quarantined(), "");
}

TEST_F(ErrorPolicyTest, PublishesTheQuarantineFileOfARunThatEndsEarly) {
  ErrorPolicy policy({std::nullopt, path()});
  policy.judge(make_reject(1, "x"), OnError::kQuarantine);
  EXPECT_THROW(policy.judge(make_reject(2, "y"), OnError::kFail), RecordError);
  policy.publish();
  EXPECT_THAT(quarantined(), HasSubstr("\"raw\":\"x\""));
}

TEST_F(ErrorPolicyTest, PublishesNothingWhenDestroyedBefore) {
  {
    ErrorPolicy policy({std::nullopt, path()});
    policy.judge(make_reject(1, "x"), OnError::kQuarantine);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(ErrorPolicyTest, RefusesAnUnwritableQuarantineFileBeforeAnyWork) {
  EXPECT_THROW(ErrorPolicy({std::nullopt, folder_.string()}), FileError);
}

TEST_F(ErrorPolicyTest, RefusesToQuarantineWithoutAFile) {
  ErrorPolicy policy({});
  EXPECT_THROW(policy.judge(make_reject(1), OnError::kQuarantine), std::logic_error);
}

TEST_F(ErrorPolicyTest, EndsTheRunBeyondACountOfRejects) {
  ErrorPolicy policy({2, ""});
  policy.judge(make_reject(1), OnError::kSkip);
  policy.judge(make_reject(2), OnError::kSkip);
  EXPECT_EQ(record_error([&] { policy.judge(make_reject(3), OnError::kSkip); }),
            "3 records were refused, more than max_errors (2); the last one: " +
                describe(make_reject(3)));
}

TEST_F(ErrorPolicyTest, AllowsNoRejectWithABudgetOfZero) {
  ErrorPolicy policy({0, ""});
  policy.count_records(1000000);
  EXPECT_EQ(
      record_error([&] { policy.judge(make_reject(7), OnError::kSkip); }),
      "1 record was refused, more than max_errors (0); the last one: " + describe(make_reject(7)));
}

TEST_F(ErrorPolicyTest, KeepsTheRejectThatExceedsTheBudget) {
  ErrorPolicy policy({0, path()});
  EXPECT_THROW(policy.judge(make_reject(1, "x"), OnError::kQuarantine), RecordError);
  policy.publish();
  EXPECT_THAT(quarantined(), HasSubstr("\"raw\":\"x\""));
}

TEST_F(ErrorPolicyTest, EndsTheRunBeyondAShareFromTheHundredthRecordOn) {
  ErrorPolicy policy({0.1, ""});
  policy.count_records(99);
  for (int i = 0; i < 50; ++i) {
    policy.judge(make_reject(i), OnError::kSkip);
  }
  policy.count_records(1);
  EXPECT_EQ(record_error([&] { policy.judge(make_reject(100), OnError::kSkip); }),
            "51 of 100 records were refused, more than max_errors (0.1); the last one: " +
                describe(make_reject(100)));
}

TEST_F(ErrorPolicyTest, AllowsAShareThatIsExactlyMet) {
  ErrorPolicy policy({0.25, ""});
  policy.count_records(200);
  for (int i = 0; i < 50; ++i) {
    policy.judge(make_reject(i), OnError::kSkip);
  }
  policy.finish();
  EXPECT_EQ(policy.rejects(), 50);
  EXPECT_THROW(policy.judge(make_reject(51), OnError::kSkip), RecordError);
}

TEST_F(ErrorPolicyTest, JudgesTheShareOfAShortRunAtItsEnd) {
  ErrorPolicy policy({0.1, path()});
  policy.count_records(10);
  policy.judge(make_reject(4, "x"), OnError::kQuarantine);
  policy.judge(make_reject(5, "y"), OnError::kQuarantine);
  EXPECT_EQ(record_error([&] { policy.finish(); }),
            "2 of 10 records were refused, more than max_errors (0.1); the last one: " +
                describe(make_reject(5, "y")));
  policy.publish();
  EXPECT_THAT(quarantined(), EndsWith("\"raw\":\"y\",\"raw_bytes\":1,\"raw_complete\":true}\n"));
}

}  // namespace
}  // namespace penstock
