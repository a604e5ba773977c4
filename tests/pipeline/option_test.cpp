#include "pipeline/option.h"

#include <stdexcept>

#include <gtest/gtest.h>

namespace penstock {
namespace {

OptionParse parse(const Option& option, const std::string& scalar) {
  return parse_option(option, {scalar}, false);
}

std::string error_of(const Option& option, const std::string& scalar) {
  const OptionParse parsed = parse(option, scalar);
  return parsed.value ? "no error" : parsed.error;
}

TEST(Option, IsRequiredWithoutADefault) {
  EXPECT_TRUE(Option::integer("rows", "").required());
  EXPECT_FALSE(Option::integer("rows", "").or_else(8).required());
}

TEST(Option, TakesAWholeDefaultForANumber) {
  EXPECT_EQ(Option::number("share", "").or_else(1).default_value, OptionValue(1.0));
}

TEST(Option, RefusesADefaultOfAnotherType) {
  EXPECT_THROW(Option::integer("rows", "").or_else("8"), std::logic_error);
  EXPECT_THROW(Option::boolean("last", "").or_else(1), std::logic_error);
  EXPECT_THROW(Option::text_list("paths", "").or_else("a"), std::logic_error);
}

TEST(Option, DescribesTypeAndRange) {
  EXPECT_EQ(describe_type(Option::boolean("x", "")), "true or false");
  EXPECT_EQ(describe_type(Option::integer("x", "")), "integer");
  EXPECT_EQ(describe_type(Option::integer("x", "").in_range(1, 256)), "integer from 1 to 256");
  EXPECT_EQ(describe_type(Option::number("x", "").at_least(0.5)), "number of at least 0.5");
  EXPECT_EQ(describe_type(Option::bytes("x", "").at_least(1 << 20)),
            "size in bytes of at least 1MiB");
  EXPECT_EQ(describe_type(Option::text("x", "")), "text");
  EXPECT_EQ(describe_type(Option::text_list("x", "")), "text or list of texts");
  EXPECT_EQ(describe_type(Option::choice("x", "", {"jsonl", "txt"})), "one of jsonl, txt");
}

TEST(Option, WritesLargeWholeEndsOfARangeInFull) {
  const Option option = Option::integer("x", "").in_range(1, 1e9);
  EXPECT_EQ(describe_type(option), "integer from 1 to 1000000000");
  EXPECT_EQ(parse_option(option, {"0"}, false).error,
            "got '0', expected an integer from 1 to 1000000000");
}

TEST(Option, DescribesARangeWithAnUpperEndOnly) {
  Option option = Option::integer("x", "");
  option.max = 9;
  EXPECT_EQ(describe_type(option), "integer of at most 9");
}

TEST(Option, ReadsBooleansInTheUsualCases) {
  const Option option = Option::boolean("x", "");
  for (const char* text : {"true", "True", "TRUE"}) {
    EXPECT_EQ(parse(option, text).value, OptionValue(true)) << text;
  }
  for (const char* text : {"false", "False", "FALSE"}) {
    EXPECT_EQ(parse(option, text).value, OptionValue(false)) << text;
  }
}

TEST(Option, RefusesOtherWordsForBooleans) {
  const Option option = Option::boolean("x", "");
  EXPECT_EQ(error_of(option, "yes"), "got 'yes', expected true or false");
  EXPECT_EQ(error_of(option, "tRUE"), "got 'tRUE', expected true or false");
  EXPECT_EQ(error_of(option, "1"), "got '1', expected true or false");
}

TEST(Option, ReadsIntegers) {
  const Option option = Option::integer("x", "");
  EXPECT_EQ(parse(option, "42").value, OptionValue(std::int64_t{42}));
  EXPECT_EQ(parse(option, "+42").value, OptionValue(std::int64_t{42}));
  EXPECT_EQ(parse(option, "-9223372036854775808").value, OptionValue(INT64_MIN));
  EXPECT_EQ(parse(option, "9223372036854775807").value, OptionValue(INT64_MAX));
}

TEST(Option, RefusesWhatIsNoInteger) {
  const Option option = Option::integer("x", "").at_least(1);
  for (const char* text : {"x", "", "1.0", "1e3", "0x10", "1_000", "4 4", "+", "+-4", "-", "4k"}) {
    EXPECT_EQ(error_of(option, text),
              "got '" + std::string(text) + "', expected an integer of at least 1");
  }
}

TEST(Option, SaysThatAnIntegerIsTooLarge) {
  EXPECT_EQ(error_of(Option::integer("x", ""), "9223372036854775808"),
            "got '9223372036854775808', expected an integer; the value does not fit in 64 bits");
}

TEST(Option, ChecksTheRangeWithItsEnds) {
  const Option option = Option::integer("x", "").in_range(1, 256);
  EXPECT_TRUE(parse(option, "1").value);
  EXPECT_TRUE(parse(option, "256").value);
  EXPECT_EQ(error_of(option, "0"), "got '0', expected an integer from 1 to 256");
  EXPECT_EQ(error_of(option, "257"), "got '257', expected an integer from 1 to 256");
}

TEST(Option, ReadsNumbers) {
  const Option option = Option::number("x", "");
  EXPECT_EQ(parse(option, "0.5").value, OptionValue(0.5));
  EXPECT_EQ(parse(option, "+.5").value, OptionValue(0.5));
  EXPECT_EQ(parse(option, "-1e-3").value, OptionValue(-0.001));
  EXPECT_EQ(parse(option, "3").value, OptionValue(3.0));
}

TEST(Option, RefusesWhatIsNoFiniteNumber) {
  const Option option = Option::number("x", "").in_range(0, 1);
  for (const char* text : {"half", "", "0,5", "nan", "inf", ".inf", "1e999", "0x1", "2"}) {
    EXPECT_EQ(error_of(option, text),
              "got '" + std::string(text) + "', expected a number from 0 to 1");
  }
}

TEST(Option, ReadsSizesWithUnits) {
  EXPECT_EQ(parse_bytes("65536"), 65536);
  EXPECT_EQ(parse_bytes("0"), 0);
  EXPECT_EQ(parse_bytes("256KiB"), 262144);
  EXPECT_EQ(parse_bytes("256 KiB"), 262144);
  EXPECT_EQ(parse_bytes("1MiB"), 1048576);
  EXPECT_EQ(parse_bytes("1.5GiB"), 1610612736);
  EXPECT_EQ(parse_bytes("2TiB"), 2199023255552);
  EXPECT_EQ(parse_bytes("1kB"), 1000);
  EXPECT_EQ(parse_bytes("10MB"), 10000000);
  EXPECT_EQ(parse_bytes("0.25GB"), 250000000);
  EXPECT_EQ(parse_bytes("1.000000000001TB"), 1000000000001);
}

TEST(Option, RefusesSizesThatAreNoWholeBytes) {
  EXPECT_EQ(parse_bytes("0.1KiB"), std::nullopt);
  EXPECT_EQ(parse_bytes("1.5"), std::nullopt);
  EXPECT_EQ(parse_bytes("0.0001kB"), std::nullopt);
  EXPECT_EQ(parse_bytes("0.0000000000000000000001kB"), std::nullopt);
  EXPECT_EQ(parse_bytes("1.0"), 1);
}

TEST(Option, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "KiB", "-1", "+1", "1.", ".5KiB", "1K", "1kib", "1KiBx", "1e3", "1,5MB"}) {
    EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
  }
}

TEST(Option, RefusesSizesThatOverflow) {
  EXPECT_EQ(parse_bytes("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(parse_bytes("9223372036854775808"), std::nullopt);
  EXPECT_EQ(parse_bytes("8388607.5TiB"), INT64_MAX - (std::int64_t{1} << 39) + 1);
  EXPECT_EQ(parse_bytes("8388608TiB"), std::nullopt);
}

TEST(Option, TellsHowToWriteASize) {
  const Option option = Option::bytes("x", "").at_least(1024);
  EXPECT_EQ(error_of(option, "1 gig"),
            "got '1 gig', expected a size in bytes of at least 1KiB, such as 65536, 256KiB or "
            "1.5GiB (whole bytes, fewer than 2^63)");
  EXPECT_EQ(error_of(option, "1000"), "got '1000', expected a size in bytes of at least 1KiB");
}

TEST(Option, FormatsSizesInTheLargestWholeUnit) {
  EXPECT_EQ(format_bytes(0), "0");
  EXPECT_EQ(format_bytes(1023), "1023");
  EXPECT_EQ(format_bytes(262144), "256KiB");
  EXPECT_EQ(format_bytes(std::int64_t{1} << 30), "1GiB");
  EXPECT_EQ(format_bytes(10000000), "10MB");
  EXPECT_EQ(format_bytes(-2048), "-2KiB");
}

TEST(Option, ReadsWhatItFormatsAsSize) {
  for (const std::int64_t bytes :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{1000}, std::int64_t{1536}, INT64_MAX}) {
    EXPECT_EQ(parse_bytes(format_bytes(bytes)), bytes);
  }
}

TEST(Option, ReadsAnyScalarAsText) {
  const Option option = Option::text("x", "");
  EXPECT_EQ(parse(option, "").value, OptionValue(""));
  EXPECT_EQ(parse(option, "12").value, OptionValue("12"));
}

TEST(Option, NamesTheNearestChoice) {
  const Option option = Option::choice("x", "", {"jsonl", "txt"});
  EXPECT_EQ(parse(option, "txt").value, OptionValue("txt"));
  EXPECT_EQ(error_of(option, "json"),
            "got 'json', expected one of jsonl, txt; did you mean 'jsonl'?");
  EXPECT_EQ(error_of(option, "parquet"), "got 'parquet', expected one of jsonl, txt");
}

TEST(Option, ReadsAScalarAsAListOfOne) {
  const Option option = Option::text_list("x", "");
  const std::vector<std::string> one = {"a"};
  const std::vector<std::string> two = {"a", "b"};
  EXPECT_EQ(parse(option, "a").value, OptionValue(one));
  EXPECT_EQ(parse_option(option, two, true).value, OptionValue(two));
}

TEST(Option, RefusesAListForASingleValue) {
  EXPECT_EQ(parse_option(Option::integer("x", ""), {"1"}, true).error,
            "got a list, expected an integer");
}

TEST(Option, RefusesAnEmptyValue) {
  EXPECT_EQ(parse_option(Option::text("x", ""), {}, false).error, "got nothing, expected text");
  EXPECT_EQ(parse_option(Option::text_list("x", ""), {}, false).error,
            "got nothing, expected text or list of texts");
}

TEST(Option, QuotesLongAndBrokenValuesOnOneLine) {
  const Option option = Option::integer("x", "");
  EXPECT_EQ(error_of(option, "a\nb\tc\r"), "got 'a\\nb\\tc\\r', expected an integer");
  EXPECT_EQ(error_of(option, std::string(81, 'a')),
            "got '" + std::string(80, 'a') + "...', expected an integer");
  EXPECT_EQ(error_of(option, std::string(79, 'a') + "\u00e9"),
            "got '" + std::string(79, 'a') + "...', expected an integer");
}

TEST(Option, FormatsValuesAsYaml) {
  const std::vector<std::string> list = {"a", "b c", "*.zst"};
  EXPECT_EQ(format_value(true, OptionType::kBoolean), "true");
  EXPECT_EQ(format_value(std::int64_t{-3}, OptionType::kInteger), "-3");
  EXPECT_EQ(format_value(0.1, OptionType::kNumber), "0.1");
  EXPECT_EQ(format_value(std::int64_t{1024}, OptionType::kBytes), "1KiB");
  EXPECT_EQ(format_value("/text", OptionType::kText), "/text");
  EXPECT_EQ(format_value(list, OptionType::kTextList), "[a, \"b c\", \"*.zst\"]");
}

TEST(Option, QuotesTextThatYamlWouldTakeOtherwise) {
  EXPECT_EQ(format_value("", OptionType::kText), "\"\"");
  EXPECT_EQ(format_value("null", OptionType::kText), "\"null\"");
  EXPECT_EQ(format_value("-", OptionType::kText), "\"-\"");
  EXPECT_EQ(format_value("a: b", OptionType::kText), "\"a: b\"");
  EXPECT_EQ(format_value("say \"\\\"\n\t", OptionType::kText), "\"say \\\"\\\\\\\"\\n\\t\"");
}

TEST(Option, FindsTheNearestName) {
  const std::vector<std::string> known = {"batch_size", "sequence_length", "drop_last"};
  EXPECT_EQ(nearest("batchsize", known), "batch_size");
  EXPECT_EQ(nearest("BATCH-SIZE", known), "batch_size");
  EXPECT_EQ(nearest("sequence_lenght", known), "sequence_length");
  EXPECT_EQ(nearest("droplst", known), "drop_last");
  EXPECT_EQ(nearest("batch_size", known), "batch_size");
}

TEST(Option, FindsTheNearestOfSeveral) {
  EXPECT_EQ(nearest("pack", {"park", "packs", "pack"}), "pack");
  EXPECT_EQ(nearest("bta", {"bat", "bbb"}), "bat");
}

TEST(Option, FindsNoNameThatIsFar) {
  EXPECT_EQ(nearest("lanes", {"batch_size", "paths"}), std::nullopt);
  EXPECT_EQ(nearest("x", {"n"}), std::nullopt);
  EXPECT_EQ(nearest("", {"a"}), std::nullopt);
  EXPECT_EQ(nearest("a", {}), std::nullopt);
}

}  // namespace
}  // namespace penstock
