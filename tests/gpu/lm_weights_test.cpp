#include "gpu/lm_weights.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gpu/philox.h"
#include "pipeline/errors.h"
#include "tests/gpu/lm_batches.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

double mean_square(const std::vector<Bf16>& elements, std::size_t begin, std::size_t count) {
  double sum = 0;
  for (std::size_t i = begin; i < begin + count; ++i) {
    sum += static_cast<double>(to_float(elements[i])) * static_cast<double>(to_float(elements[i]));
  }
  return sum / static_cast<double>(count);
}

class LmWeightsFile : public ::testing::Test {
 protected:
  // A file of this header and this many bytes of data, which count from 0 again and again.
  void write(const json& header, std::size_t data_bytes) const { write(header.dump(), data_bytes); }
  void write(const std::string& header, std::size_t data_bytes) const {
    std::string data(data_bytes, '\0');
    for (std::size_t i = 0; i < data_bytes; ++i) {
      data[i] = static_cast<char>(i % 0x30);  // a finite number in every type
    }
    write(header, data);
  }
  void write(const std::string& header, const std::string& data) const {
    const std::uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    std::ofstream(path_, std::ios::binary) << bytes << header << data;
  }

  std::string error() const {
    try {
      read_lm_weights(path_);
    } catch (const std::runtime_error& thrown) {
      return thrown.what();
    }
    return "no error";
  }

  static json tensor(const std::string& dtype,
                     const std::vector<int>& shape,
                     const std::vector<int>& offsets) {
    return {{"dtype", dtype}, {"shape", shape}, {"data_offsets", offsets}};
  }
  // Vocabulary 3, width 4, window 2, 64 bytes.
  static json good_header() {
    return {{"embedding.weight", tensor("BF16", {3, 4}, {0, 24})},
            {"mix.weight", tensor("BF16", {2, 4}, {24, 40})},
            {"projection.weight", tensor("BF16", {3, 4}, {40, 64})}};
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.path("model.safetensors");
};

TEST(Bf16Conversion, RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.0F), 0x3f80);
  EXPECT_EQ(to_bf16(-2.5F), 0xc020);
  EXPECT_EQ(to_bf16(1.0F + 0x1p-8F), 0x3f80);             // half way, down to even
  EXPECT_EQ(to_bf16(1.0F + 3 * 0x1p-8F), 0x3f82);         // half way, up to even
  EXPECT_EQ(to_bf16(1.0F + 0x1p-8F + 0x1p-20F), 0x3f81);  // above half way
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(to_bf16(-0.0F), 0x8000);
}

TEST(Bf16Conversion, KeepsWhatIsNoNumber) {
  EXPECT_EQ(to_bf16(INFINITY), 0x7f80);
  EXPECT_TRUE(std::isnan(to_float(to_bf16(NAN))));
  float quiet_in_low_bits = 0;
  const std::uint32_t bits = 0x7f800001;
  std::memcpy(&quiet_in_low_bits, &bits, sizeof bits);
  EXPECT_TRUE(std::isnan(to_float(to_bf16(quiet_in_low_bits))));
}

TEST(Bf16Conversion, GivesBackEveryFiniteValue) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto value = static_cast<Bf16>(bits);
    if (std::isfinite(to_float(value))) {
      ASSERT_EQ(to_bf16(to_float(value)), value);
    }
  }
}

TEST(SeededLmWeights, FollowTheirDefinition) {
  const LmWeights weights = seeded_lm_weights(5, 8, 3, 42);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const std::uint32_t word = philox_block(42, i / 4, 0).words[i % 4];
    const double u = static_cast<double>(word >> 8) / (1 << 24);
    ASSERT_EQ(weights.embedding[i], to_bf16(std::sqrt(3.0F) * static_cast<float>(2 * u - 1)));
  }
  const std::uint32_t word = philox_block(42, 17 / 4, 1).words[17 % 4];
  const double u = static_cast<double>(word >> 8) / (1 << 24);
  EXPECT_EQ(weights.mix[17], to_bf16(std::sqrt(3.0F) / 4 * static_cast<float>(2 * u - 1)));
}

TEST(SeededLmWeights, HaveTheirShapesAndVariances) {
  constexpr std::int64_t kVocabulary = 2000;
  constexpr std::int64_t kWidth = 64;
  const LmWeights weights = seeded_lm_weights(kVocabulary, kWidth, 4, 7);
  EXPECT_EQ(weights.vocabulary, kVocabulary);
  EXPECT_EQ(weights.width, kWidth);
  EXPECT_EQ(weights.window, 4);
  ASSERT_EQ(weights.embedding.size(), kVocabulary * kWidth);
  ASSERT_EQ(weights.mix.size(), 4 * kWidth);
  ASSERT_EQ(weights.projection.size(), kVocabulary * kWidth);
  EXPECT_NEAR(mean_square(weights.embedding, 0, kVocabulary * kWidth), 1, 0.02);
  EXPECT_NEAR(mean_square(weights.projection, 0, kVocabulary * kWidth), 3.0 / kWidth, 0.001);
  EXPECT_NEAR(mean_square(weights.mix, 0, kWidth), 1, 0.5);
  EXPECT_NEAR(mean_square(weights.mix, 3 * kWidth, kWidth), 1.0 / 64, 0.5 / 64);
}

TEST(SeededLmWeights, DependOnTheSeedAlone) {
  const LmWeights weights = seeded_lm_weights(10, 8, 2, 1);
  EXPECT_EQ(weights.embedding, seeded_lm_weights(10, 8, 5, 1).embedding);
  EXPECT_NE(weights.embedding, seeded_lm_weights(10, 8, 2, 2).embedding);
  EXPECT_NE(weights.embedding, weights.projection);
}

TEST_F(LmWeightsFile, GivesBackWhatWasWritten) {
  const LmWeights written = seeded_lm_weights(11, 16, 3, 5);
  write_lm_weights(written, path_);
  const LmWeights read = read_lm_weights(path_);
  EXPECT_EQ(read.vocabulary, 11);
  EXPECT_EQ(read.width, 16);
  EXPECT_EQ(read.window, 3);
  EXPECT_EQ(read.embedding, written.embedding);
  EXPECT_EQ(read.mix, written.mix);
  EXPECT_EQ(read.projection, written.projection);
}

TEST_F(LmWeightsFile, BeginsItsDataAtAMultipleOfEightBytes) {
  write_lm_weights(seeded_lm_weights(11, 16, 3, 5), path_);
  std::ifstream file(path_, std::ios::binary);
  std::uint64_t length = 0;
  file.read(reinterpret_cast<char*>(&length), sizeof length);
  EXPECT_EQ(length % 8, 0);
}

TEST_F(LmWeightsFile, MayHoldOtherTensorsAndMetadata) {
  json header = good_header();
  header["__metadata__"] = {{"format", "pt"}};
  header["bias"] = {{"dtype", "F64"}, {"shape", json::array()}, {"data_offsets", {64, 72}}};
  write(header, 72);
  EXPECT_EQ(read_lm_weights(path_).vocabulary, 3);
}

TEST_F(LmWeightsFile, MayHaveItsTensorsInAnyOrder) {
  json header = good_header();
  header["embedding.weight"]["data_offsets"] = {40, 64};
  header["projection.weight"]["data_offsets"] = {0, 24};
  write(header, 64);
  const LmWeights weights = read_lm_weights(path_);
  EXPECT_EQ(weights.projection[1], 0x0302);
  EXPECT_EQ(weights.mix[0], 0x1918);
}

TEST_F(LmWeightsFile, ConvertsHalfAndSinglePrecision) {
  const std::vector<float> single = {1, -2.5F, 0x1p-133F, 1 + 0x1p-8F};
  // 1, -2, the smallest subnormal, the largest, the smallest normal, and 1 + 2^-10, 0, -0
  const std::vector<std::uint16_t> half = {
      0x3c00, 0xc000, 0x0001, 0x7bff, 0x0400, 0x3c01, 0x0000, 0x8000};
  std::string data(8 + 16 + 16, '\0');
  std::memcpy(data.data() + 8, half.data(), 16);
  std::memcpy(data.data() + 24, single.data(), 16);
  write(json{{"embedding.weight", tensor("BF16", {1, 4}, {0, 8})},
             {"mix.weight", tensor("F16", {2, 4}, {8, 24})},
             {"projection.weight", tensor("F32", {1, 4}, {24, 40})}}
            .dump(),
        data);
  const LmWeights weights = read_lm_weights(path_);
  EXPECT_THAT(weights.projection, ElementsAre(0x3f80, 0xc020, 0x0001, 0x3f80));
  EXPECT_THAT(weights.mix,
              ElementsAre(to_bf16(1),
                          to_bf16(-2),
                          to_bf16(0x1p-24F),
                          to_bf16(65504),
                          to_bf16(0x1p-14F),
                          to_bf16(1),
                          to_bf16(0),
                          0x8000));
}

TEST_F(LmWeightsFile, RefusesWhatIsNotThere) {
  EXPECT_THAT(error(), AllOf(HasSubstr(path_), HasSubstr("No such file")));
}

TEST_F(LmWeightsFile, RefusesAFolder) {
  EXPECT_THROW(read_lm_weights(folder_.path("")), FileError);
}

TEST_F(LmWeightsFile, RefusesOtherFiles) {
  std::ofstream(path_) << "short";
  EXPECT_THAT(error(), AllOf(HasSubstr(path_), HasSubstr("no safetensors file: it has 5 bytes")));
  std::ofstream(path_) << "This is a text of more than eight bytes.";
  EXPECT_THAT(error(), HasSubstr("no safetensors file: its header would have"));
  write(std::string("[1, 2]"), 0);
  EXPECT_THAT(error(), HasSubstr("its header is no JSON object"));
  write(std::string("{\"embedding.weight\": "), 0);
  EXPECT_THAT(error(), HasSubstr("its header is no JSON object"));
}

TEST_F(LmWeightsFile, RefusesACutOffFileAtEveryByte) {
  write_lm_weights(seeded_lm_weights(2, 8, 1, 5), path_);
  std::ifstream file(path_, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t length = 0; length < whole.size(); ++length) {
    std::ofstream(path_, std::ios::binary) << whole.substr(0, length);
    ASSERT_THAT(error(), HasSubstr(path_)) << length;
  }
}

TEST_F(LmWeightsFile, RefusesDataBehindTheTensors) {
  write(good_header(), 65);
  EXPECT_THAT(error(), HasSubstr("its tensors end at byte 64 of the data, and it has 65"));
}

TEST_F(LmWeightsFile, RefusesAMissingTensor) {
  json header = good_header();
  header.erase("projection.weight");
  write(header, 40);
  EXPECT_THAT(error(),
              AllOf(HasSubstr(path_), HasSubstr("'projection.weight' is not in the file")));
}

TEST_F(LmWeightsFile, RefusesOtherTypes) {
  json header = good_header();
  header["mix.weight"]["dtype"] = "I16";
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has dtype I16, expected BF16, F16 or F32"));
  header["mix.weight"].erase("dtype");
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has no dtype"));
}

TEST_F(LmWeightsFile, RefusesOtherShapes) {
  json header = good_header();
  header["mix.weight"]["shape"] = {8};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has 1 numbers in shape, expected 2"));
  header["mix.weight"]["shape"] = {4, 2};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has shape [4, 2], expected [window, 4]"));
  header["mix.weight"]["shape"] = {2, 5};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has 16 bytes, expected 20"));
  header["mix.weight"]["shape"] = {0, 4};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has a dimension of 0"));
  header["mix.weight"]["shape"] = {-2, 4};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has no shape of whole numbers"));
  header["mix.weight"]["shape"] = {std::uint64_t{1} << 62, 8};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has a dimension of 4611686018427387904"));
  header = good_header();
  header["projection.weight"]["shape"] = {4, 3};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'projection.weight' has shape [4, 3], expected [3, 4]"));
}

TEST_F(LmWeightsFile, RefusesOffsetsThatDoNotFit) {
  json header = good_header();
  header["mix.weight"]["data_offsets"] = {20, 40};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' begins at byte 20 of the data, expected 24"));
  header["mix.weight"]["data_offsets"] = {25, 40};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' begins at byte 25 of the data, expected 24"));
  header["mix.weight"]["data_offsets"] = {40, 24};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has data_offsets 40 to 24"));
  header["mix.weight"]["data_offsets"] = {24, std::uint64_t{0xffffffffffffffff}};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has data_offsets 24 to 18446744073709551615"));
  header["mix.weight"]["data_offsets"] = {24.5, 40};
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has no data_offsets of whole numbers"));
  header["mix.weight"] = "BF16";
  write(header, 64);
  EXPECT_THAT(error(), HasSubstr("'mix.weight' has no data_offsets of whole numbers"));
}

TEST_F(LmWeightsFile, RefusesWhatIsNotFinite) {
  LmWeights weights = seeded_lm_weights(4, 8, 1, 5);
  weights.projection[9] = to_bf16(NAN);
  write_lm_weights(weights, path_);
  EXPECT_THAT(error(),
              HasSubstr("'projection.weight' has an element, number 9 from 0, that is not"));
}

}  // namespace
}  // namespace penstock::gpu
