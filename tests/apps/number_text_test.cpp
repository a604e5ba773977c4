#include "apps/number_text.h"

#include <limits>

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(NumberText, GroupsDigitsByThree) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-123), "-123");
  EXPECT_EQ(grouped(-1234), "-1,234");
}

TEST(NumberText, AgreesNounsWithNumbers) {
  EXPECT_EQ(counted(0, "row"), "0 rows");
  EXPECT_EQ(counted(1, "row"), "1 row");
  EXPECT_EQ(counted(1038, "row"), "1,038 rows");
}

TEST(NumberText, KeepsThreeSignificantDigits) {
  EXPECT_EQ(si_number(0), "0");
  EXPECT_EQ(si_number(0.5), "0.50");
  EXPECT_EQ(si_number(7), "7");
  EXPECT_EQ(si_number(12.34), "12.3");
  EXPECT_EQ(si_number(655'400), "655 k");
  EXPECT_EQ(si_number(1'234'000), "1.23 M");
  EXPECT_EQ(si_number(98'760'000), "98.8 M");
  EXPECT_EQ(si_number(5e9), "5.00 G");
}

TEST(NumberText, TakesTheNextPrefixWhereRoundingWouldGiveAThousand) {
  EXPECT_EQ(si_number(999), "999");
  EXPECT_EQ(si_number(999.6), "1.00 k");
  EXPECT_EQ(si_number(999'499), "999 k");
  EXPECT_EQ(si_number(999'700), "1.00 M");
}

TEST(NumberText, CountsImpossibleRatesAsNothing) {
  EXPECT_EQ(token_rate(std::numeric_limits<double>::infinity()), "0 tokens/s");
  EXPECT_EQ(token_rate(std::numeric_limits<double>::quiet_NaN()), "0 tokens/s");
  EXPECT_EQ(data_rate(std::numeric_limits<double>::quiet_NaN()), "0.00 MB/s");
  EXPECT_EQ(duration(-1), "0.00 s");
}

TEST(NumberText, GivesDataInDecimalUnits) {
  EXPECT_EQ(data_size(0), "0 B");
  EXPECT_EQ(data_size(999), "999 B");
  EXPECT_EQ(data_size(1000), "1.00 kB");
  EXPECT_EQ(data_size(745'825), "746 kB");
  EXPECT_EQ(data_size(3'244'520), "3.24 MB");
  EXPECT_EQ(data_size(12'300'000'000), "12.3 GB");
}

TEST(NumberText, GivesDataRatesInMegabytes) {
  EXPECT_EQ(data_rate(520'000), "0.52 MB/s");
  EXPECT_EQ(data_rate(45'300'000), "45.3 MB/s");
  EXPECT_EQ(data_rate(123e6), "123 MB/s");
  EXPECT_EQ(data_rate(1.234e9), "1,234 MB/s");
}

TEST(NumberText, GivesMemoryInBinaryUnits) {
  EXPECT_EQ(memory_size(0), "0 B");
  EXPECT_EQ(memory_size(1023), "1023 B");
  EXPECT_EQ(memory_size(1024), "1 KiB");
  EXPECT_EQ(memory_size(std::int64_t{1} << 30), "1 GiB");
  EXPECT_EQ(memory_size(12'373'197), "11.8 MiB");
}

TEST(NumberText, GivesDurationsForReading) {
  EXPECT_EQ(duration(0.42), "0.42 s");
  EXPECT_EQ(duration(12.34), "12.3 s");
  EXPECT_EQ(duration(59.9), "59.9 s");
  EXPECT_EQ(duration(59.97), "1 min 00 s");
  EXPECT_EQ(duration(185), "3 min 05 s");
  EXPECT_EQ(duration(7384), "2 h 03 min");
  EXPECT_EQ(duration(3 * 86'400 + 4 * 3600), "3 d 04 h");
}

TEST(NumberText, GivesTimesAsOnAClock) {
  EXPECT_EQ(clock_time(0), "0:00");
  EXPECT_EQ(clock_time(42.4), "0:42");
  EXPECT_EQ(clock_time(59.6), "1:00");
  EXPECT_EQ(clock_time(3723), "1:02:03");
  EXPECT_EQ(clock_time(4 * 86'400 + 3 * 3600), "4 d 03 h");
}

}  // namespace
}  // namespace penstock
