#include "pipeline/stream_position.h"

#include <memory>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

StreamPosition sample() {
  StreamPosition position;
  position.next_batch = 1000;
  position.lanes = {{4, {std::make_shared<const std::string>("b.zst"), 12, 3456}}, {7, {}}};
  position.turn = 1;
  position.account = {100, 140, 0, 20, 3};
  position.totals = {50, 40, 10};
  position.fingerprint = {{"read.lanes", "2"}, {"read.shards", "7"}};
  return position;
}

std::string error_of(const std::string& json) {
  try {
    parse_stream_position(json);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "none";
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}

TEST(StreamPosition, IsTheSameAfterItWasWrittenAndRead) {
  const StreamPosition position = sample();
  const StreamPosition read = parse_stream_position(to_json(position));
  EXPECT_EQ(to_json(read), to_json(position));
  EXPECT_EQ(read.next_batch, 1000);
  EXPECT_EQ(read.turn, 1);
  EXPECT_EQ(read.account, position.account);
  EXPECT_EQ(read.totals, position.totals);
  EXPECT_EQ(read.fingerprint, position.fingerprint);
  ASSERT_EQ(read.lanes.size(), 2u);
  EXPECT_EQ(read.lanes[0].shard, 4);
  EXPECT_EQ(*read.lanes[0].place.shard, "b.zst");
  EXPECT_EQ(read.lanes[0].place.record, 12);
  EXPECT_EQ(read.lanes[0].place.byte_offset, 3456);
  EXPECT_EQ(read.lanes[1].place.shard, nullptr);
}

TEST(StreamPosition, SaysWhatIsWrongWithADamagedText) {
  const std::string json = to_json(sample());
  const auto invalid_at = [](std::size_t byte) {
    return "it is damaged: it is not valid JSON at byte " + std::to_string(byte) +
           ", or it ends there too early";
  };
  EXPECT_EQ(error_of(""), invalid_at(0));
  EXPECT_EQ(error_of(json.substr(0, 20)), invalid_at(20));
  EXPECT_EQ(error_of(replaced(json, "\"version\"", "?version\"")), invalid_at(json.find("\"ver")));
  const std::string incomplete =
      "it is damaged: something that belongs there is missing or of another type";
  EXPECT_EQ(error_of("[]"), incomplete);
  EXPECT_EQ(error_of(R"({"version": 1})"), incomplete);
  EXPECT_EQ(error_of(replaced(json, "3456", "3457")),
            "it is damaged: its checksum does not fit its content");
  EXPECT_EQ(error_of(replaced(json, "\"version\": 1", "\"version\": 2")),
            "it is of version 2; this program knows version 1");
}

// Also a text with the right checksum is not believed blindly.
TEST(StreamPosition, RefusesValuesThatCannotBe) {
  StreamPosition position = sample();
  position.turn = 2;
  EXPECT_EQ(error_of(to_json(position)), "lane 2 is to deal next, but there are 2");
  position = sample();
  position.account.out = 99;
  EXPECT_THAT(error_of(to_json(position)), HasSubstr("fewer tokens"));
  position = sample();
  position.lanes[0].place.byte_offset = -1;
  EXPECT_EQ(error_of(to_json(position)),
            "'byte_offset' is -1, expected a whole number of at least 0");
}

TEST(StreamPosition, NamesEachDifference) {
  EXPECT_THAT(differences({{"a", "1"}, {"b", "2"}}, {{"a", "1"}, {"b", "2"}}), IsEmpty());
  EXPECT_THAT(
      differences({{"a", "1"}, {"b", "2"}}, {{"a", "3"}, {"c", "4"}}),
      ElementsAre(
          "a was 1 and is 3 now", "b was 2 and is not there any more", "c is 4 and was not there"));
}

}  // namespace
}  // namespace penstock
