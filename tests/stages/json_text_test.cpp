#include "stages/json_text.h"

#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/byte_buffer.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kNoText[] = "(refused)";

struct Extracted {
  std::string text = kNoText;
  std::string refusal;
};

Extracted extract_by(JsonUnescape* unescape,
                     std::string_view record,
                     const std::string& field,
                     char behind) {
  JsonTextExtractor extractor(parse_json_field(field), unescape);
  const std::size_t room = record.size() + ByteBuffer::kPadding;
  const auto padded = std::make_unique<char[]>(room);
  std::memset(padded.get(), behind, room);
  std::memcpy(padded.get(), record.data(), record.size());
  const auto destination = std::make_unique<char[]>(room);
  JsonText json = extractor.extract({padded.get(), record.size()}, destination.get());
  if (json.refusal.empty()) {
    return {std::string(json.text), {}};
  }
  return {kNoText, json.refusal};
}

// Extracts from a record with nothing but `behind` in the padding, in blocks of their exact sizes.
// The fast way to unescape, where there is one, and simdjson's must agree.
Extracted extract(std::string_view record, const std::string& field = "text", char behind = ' ') {
  Extracted fast = extract_by(fast_json_unescape(), record, field, behind);
  const Extracted plain = extract_by(nullptr, record, field, behind);
  EXPECT_EQ(fast.text, plain.text);
  EXPECT_EQ(fast.refusal, plain.refusal);
  return fast;
}

std::string text_of(std::string_view record, const std::string& field = "text") {
  return extract(record, field).text;
}

std::string refusal_of(std::string_view record, const std::string& field = "text") {
  return extract(record, field).refusal;
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

// Escapes, good and bad ones, at every place in blocks of 64 bytes and across their ends.
TEST(JsonText, UnescapesAnythingLikeSimdjson) {
  const std::vector<std::string> pieces = {
      R"(\n)",
      R"(\\)",
      R"(\")",
      R"(\/)",
      R"(\t)",
      R"(\r)",
      R"(\b)",
      R"(\f)",
      R"(\u00e9)",
      R"(\u4E2d)",
      R"(\ud83d\ude00)",
      R"(\u0000)",
      "a",
      "bc",
      "\xc3\xa9",
      "\xe4\xb8\xad",
      "word word word word word word ",
      "0123456789012345678901234567890123456789012345678901234567890123"};
  const std::vector<std::string> faults = {R"(\x)",
                                           R"(\u12)",
                                           R"(\u12g4)",
                                           R"(\ud83d)",
                                           R"(\ude00)",
                                           R"(\ud83d\n)",
                                           R"(\ud83d\u0041)",
                                           "\\\xc3\xa9",
                                           R"(\N)",
                                           R"(\u)"};
  std::mt19937 random(9);
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string content;
    const std::size_t length = random() % 60;
    while (content.size() < length || random() % 30 != 0) {
      // Few kinds of pieces at a time give runs of backslashes.
      content += pieces[random() % (round % 3 == 0 ? 3 : pieces.size())];
    }
    if (round % 4 == 0) {
      content += faults[random() % faults.size()] + pieces[random() % pieces.size()];
    }
    const Extracted extracted = extract("{\"text\":\"" + content + "\"}");
    refused += extracted.refusal.empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 500);
  EXPECT_LT(refused, 1100);
}

TEST(JsonText, UnescapesTheText) {
  EXPECT_EQ(text_of(R"({"text":"a\"\\\/\b\f\n\r\t\u00e9\u4e2d\ud83d\ude00\u0000z"})"),
            std::string("a\"\\/\b\f\n\r\té中😀\0z", 20));
}

TEST(JsonText, TakesAnEmptyText) {
  EXPECT_EQ(text_of(R"({"text":""})"), "");
}

TEST(JsonText, TakesWhiteSpaceBetweenTokens) {
  EXPECT_EQ(text_of(" \t\r\n{ \"text\"\t:\r\"a\" ,\n\"b\" : [ 1 , { } ] } \t\r"), "a");
}

TEST(JsonText, MatchesTheUnescapedKey) {
  EXPECT_EQ(text_of(R"({"te\u0078t":"a"})"), "a");
  EXPECT_EQ(text_of(R"({"a\"b":"x"})", "a\"b"), "x");
  EXPECT_EQ(refusal_of(R"({"a\"text":"x","text ":"y"})"), "the field 'text' is missing");
}

TEST(JsonText, LetsTheLastOfDuplicateKeysWin) {
  EXPECT_EQ(text_of(R"({"text":"first","text":"second"})"), "second");
  EXPECT_EQ(text_of(R"({"text":1,"te\u0078t":"second"})"), "second");
  EXPECT_EQ(refusal_of(R"({"text":"first","text":1})"),
            "the field 'text' is a number, expected a string");
  EXPECT_EQ(refusal_of(R"({"a":{"b":"x"},"a":{}})", "/a/b"), "the field '/a/b' is missing");
}

TEST(JsonText, ChecksTheEscapesOfATextThatDoesNotWin) {
  EXPECT_THAT(refusal_of(R"({"text":"\x","text":"second"})"), HasSubstr("illegal escape"));
  EXPECT_EQ(text_of(R"({"text":"\ud83d","text":"second"})"), "second");
}

TEST(JsonText, SaysWhatTheFieldIsInstead) {
  EXPECT_EQ(refusal_of(R"({"a":1})"), "the field 'text' is missing");
  EXPECT_EQ(refusal_of(R"({})"), "the field 'text' is missing");
  EXPECT_EQ(refusal_of(R"({"a":{"text":"inner"}})"), "the field 'text' is missing");
  EXPECT_EQ(refusal_of(R"({"text":null})"), "the field 'text' is null, expected a string");
  EXPECT_EQ(refusal_of(R"({"text":true})"), "the field 'text' is a boolean, expected a string");
  EXPECT_EQ(refusal_of(R"({"text":-1.5})"), "the field 'text' is a number, expected a string");
  EXPECT_EQ(refusal_of(R"({"text":["a"]})"), "the field 'text' is an array, expected a string");
  EXPECT_EQ(refusal_of(R"({"text":{"text":"a"}})"),
            "the field 'text' is an object, expected a string");
}

TEST(JsonText, SaysWhatTheRecordIsInstead) {
  EXPECT_EQ(refusal_of(R"([{"text":"a"}])"), "is a JSON array, expected an object");
  EXPECT_EQ(refusal_of(R"("text")"), "is a JSON string, expected an object");
  EXPECT_EQ(refusal_of("42 "), "is a JSON number, expected an object");
  EXPECT_EQ(refusal_of(" true"), "is a JSON boolean, expected an object");
  EXPECT_EQ(refusal_of("null"), "is a JSON null, expected an object");
  EXPECT_EQ(refusal_of("// comment"), "not valid JSON: no JSON value at byte 0 of the record");
}

TEST(JsonText, RefusesAByteOrderMark) {
  EXPECT_EQ(refusal_of("\xef\xbb\xbf{\"text\":\"a\"}"), "begins with a byte order mark (U+FEFF)");
}

TEST(JsonText, NamesTheByteThatIsNotUtf8WhereverItIs) {
  EXPECT_EQ(refusal_of("{\"text\":\"a\x80z\"}"), "invalid UTF-8 at byte 10 of the record (0x80)");
  EXPECT_EQ(refusal_of("{\"text\":\"a\",\"b\":\"\xff\"}"),
            "invalid UTF-8 at byte 17 of the record (0xff)");
}

TEST(JsonText, RefusesASurrogateAloneInTheTextOnly) {
  for (const char* text : {R"(a\ud83db)",
                           R"(a\ude00b)",
                           R"(a\ude00\ud83db)",
                           R"(a\ud83d\ud83d\ude00b)",
                           R"(a\ud83d\u0041b)",
                           R"(a\ud83d\n)",
                           R"(a\ud83d)"}) {
    const std::string escaped = text;
    EXPECT_EQ(refusal_of("{\"text\":\"" + escaped + "\"}"), "lone surrogate in the text") << text;
    EXPECT_EQ(text_of("{\"" + escaped + "\":1,\"text\":\"a\"}"), "a") << text;
    EXPECT_EQ(text_of("{\"text\":\"a\",\"b\":[\"" + escaped + "\"]}"), "a") << text;
  }
}

TEST(JsonText, RefusesIllegalEscapesWhereverTheyAre) {
  for (const char* escape : {R"(\x41)", R"(\u12G4)", R"(\u12)", R"(\')", R"(\U0041)", R"(\0)"}) {
    const std::string escaped = escape;
    EXPECT_EQ(refusal_of("{\"text\":\"abc" + escaped + "\"}"),
              "not valid JSON: illegal escape in a string at byte 12 of the record");
    EXPECT_THAT(refusal_of("{\"" + escaped + "\":1,\"text\":\"a\"}"), HasSubstr("illegal escape"));
    EXPECT_THAT(refusal_of("{\"text\":\"a\",\"b\":[\"" + escaped + "\"]}"),
                HasSubstr("illegal escape"));
  }
}

TEST(JsonText, TakesEveryNumberOfTheGrammar) {
  for (const char* number :
       {"0", "-0", "-0.0", "10", "1.5", "1e5", "1E+5", "1.25e-7", "1e999", "-1e-999"}) {
    EXPECT_EQ(text_of(std::string("{\"n\":") + number + ",\"text\":\"a\"}"), "a") << number;
  }
  EXPECT_EQ(text_of("{\"n\":" + std::string(400, '9') + ",\"text\":\"a\"}"), "a");
}

TEST(JsonText, RefusesWhatIsNoJsonValue) {
  for (const char* token : {"01",        "+1",       ".5",    "1.",  "-",      "1e",       "1e+",
                            "0x1F",      "--1",      "1_000", "NaN", "True",   "nul",      "nulll",
                            "truefalse", "Infinity", "'a'",   "a",   "1\"b\"", "\\\"b\\\""}) {
    const std::string value = token;
    EXPECT_THAT(refusal_of("{\"text\":\"a\",\"n\":" + value + "}"), StartsWith("not valid JSON"))
        << token;
    EXPECT_THAT(refusal_of("{\"text\":\"a\",\"n\":[0," + value + " ]}"),
                StartsWith("not valid JSON"))
        << token;
  }
}

TEST(JsonText, RefusesBrokenStructure) {
  for (const char* record : {R"({"text":"a",})",
                             R"({"text":"a")",
                             R"({"text":"a"]})",
                             R"({"text" "a"})",
                             R"({"text":"a" "b":1})",
                             R"({"text":"a","b"})",
                             R"({"text":"a","b":})",
                             R"({,"text":"a"})",
                             R"({"text":"a","b":[1,]})",
                             R"({"text":"a","b":[,1]})",
                             R"({"text":"a","b":[1 2]})",
                             R"({"text":"a","b":[1})",
                             R"({"text":"a","b":{1:2}})",
                             R"({"text":"a","b":[1:2]})",
                             R"({"text":"a"}})",
                             R"({"text":"a"}{"text":"b"})",
                             R"({"text":"a"} xyz)",
                             R"({"text":"a"},)",
                             R"({text:"a"})",
                             R"({'text':'a'})",
                             R"({"text":"abc)",
                             R"({"text":"abc\)",
                             R"({)",
                             R"(})"}) {
    EXPECT_THAT(refusal_of(record), StartsWith("not valid JSON")) << record;
  }
}

TEST(JsonText, RefusesRawControlCharactersInStrings) {
  EXPECT_THAT(refusal_of("{\"text\":\"a\tb\"}"), StartsWith("not valid JSON"));
  EXPECT_THAT(refusal_of(std::string_view("{\"text\":\"a\0b\"}", 14)),
              StartsWith("not valid JSON"));
  EXPECT_THAT(refusal_of("{\"text\":\"a\",\"b\":\"\x1f\"}"), StartsWith("not valid JSON"));
  EXPECT_EQ(text_of("{\"text\":\"a\x7f\"}"), "a\x7f");
}

TEST(JsonText, RefusesWhatFollowsTheObject) {
  EXPECT_EQ(refusal_of(R"({"text":"a"} {"text":"b"})"),
            "not valid JSON: content after the object at byte 13 of the record");
  EXPECT_EQ(refusal_of(R"({"text":"a"} xyz)"), "not valid JSON: the record does not end with '}'");
  EXPECT_EQ(refusal_of(std::string_view("{\"text\":\"a\"}\0\0", 14)),
            "not valid JSON: the record does not end with '}'");
}

TEST(JsonText, NeverLooksBehindTheRecordForItsEnd) {
  const std::string record =
      R"({"a":[{"b":{}},[[],[{}]]],"c":{"d":{"e":[1,2,{"f":"g"}]}},"text":"a","h":[{}]})";
  ASSERT_EQ(text_of(record), "a");
  for (std::size_t length = 1; length < record.size(); ++length) {
    for (const char behind : {'}', ']', ',', ':', '"', '{', '[', '\\', '0', '\0'}) {
      EXPECT_THAT(extract(std::string_view(record).substr(0, length), "text", behind).refusal,
                  StartsWith("not valid JSON"))
          << record.substr(0, length) << " before " << behind;
    }
  }
}

TEST(JsonText, TakesTheDeepestNestingAllowedAndRefusesOneMore) {
  const auto record = [](int depth) { return "{\"text\":\"a\",\"b\":" + nested(depth) + "}"; };

  EXPECT_EQ(text_of(record(JsonTextExtractor::kMaxDepth - 1)), "a");
  EXPECT_EQ(refusal_of(record(JsonTextExtractor::kMaxDepth)), "nested deeper than 1024 levels");
}

TEST(JsonText, RefusesMillionsOfBrackets) {
  constexpr int kMany = 10'000'000;
  const std::string closed = nested(kMany);
  const std::string open = closed.substr(0, kMany);
  EXPECT_EQ(refusal_of("{\"text\":" + open + "}"), "nested deeper than 1024 levels");
  EXPECT_EQ(refusal_of("{\"text\":" + closed + "}"), "nested deeper than 1024 levels");
  EXPECT_THAT(refusal_of("{\"text\":" + open), StartsWith("not valid JSON"));
}

TEST(JsonText, TakesLongRecordsAndShortOnesInTurn) {
  JsonTextExtractor extractor(parse_json_field("text"));
  for (const std::size_t length : {std::size_t{3}, std::size_t{5'000'000}, std::size_t{7}}) {
    const std::string text(length, 'x');
    ByteBuffer record;
    record.append("{\"text\":\"" + text + "\"}");
    ByteBuffer destination(record.size() + ByteBuffer::kPadding);
    EXPECT_TRUE(extractor.extract(record.view(), destination.data()).text == text) << length;
  }
}

TEST(JsonText, FollowsAPointerThroughObjectsAndArrays) {
  const char* record =
      R"({"content":{"body":"x","text":"y"},"parts":[{"t":"p0"},{"t":"p1"},["q"]],"":{"":"e"}})";

  EXPECT_EQ(text_of(record, "/content/body"), "x");
  EXPECT_EQ(text_of(record, "/parts/1/t"), "p1");
  EXPECT_EQ(text_of(record, "/parts/2/0"), "q");
  EXPECT_EQ(text_of(record, "//"), "e");
  EXPECT_EQ(refusal_of(record, "/parts/3/t"), "the field '/parts/3/t' is missing");
  EXPECT_EQ(refusal_of(record, "/parts/01/t"), "the field '/parts/01/t' is missing");
  EXPECT_EQ(refusal_of(record, "/parts/-"), "the field '/parts/-' is missing");
  EXPECT_EQ(refusal_of(record, "/content/body/x"), "the field '/content/body/x' is missing");
  EXPECT_EQ(refusal_of(record, "/content"), "the field '/content' is an object, expected a string");
}

TEST(JsonText, TakesDigitsInAPointerForAKeyOfAnObject) {
  EXPECT_EQ(text_of(R"({"a":{"1":"x"}})", "/a/1"), "x");
}

TEST(JsonText, TakesANameWithoutALeadingSlashAsItIs) {
  EXPECT_EQ(text_of(R"({"a/b":"x","a":{"b":"y"}})", "a/b"), "x");
  EXPECT_EQ(text_of(R"({"~1":"x"})", "~1"), "x");
}

TEST(JsonText, ReadsPointerEscapes) {
  EXPECT_THAT(parse_json_field("/a~1b/~0/c~01").keys, ElementsAre("a/b", "~", "c~1"));
  EXPECT_THAT(parse_json_field("/").keys, ElementsAre(""));
  EXPECT_THAT(parse_json_field("text").keys, ElementsAre("text"));
}

TEST(JsonText, RefusesAnEmptyNameAndUnknownPointerEscapes) {
  for (const char* field : {"", "/a~", "/a~2", "/~/b"}) {
    EXPECT_THROW(parse_json_field(field), std::invalid_argument) << field;
  }
}

}  // namespace
}  // namespace penstock
