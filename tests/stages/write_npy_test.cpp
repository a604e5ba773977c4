#include "stages/write_npy.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/errors.h"
#include "stages/npy.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename T>
std::vector<T> array_of(const std::string& npy) {
  std::vector<T> values((npy.size() - kNpyHeaderBytes) / sizeof(T));
  std::memcpy(values.data(), npy.data() + kNpyHeaderBytes, values.size() * sizeof(T));
  return values;
}

// The header that NumPy writes: magic, version 1.0, length 118, dictionary, spaces, line feed.
std::string numpy_header(const std::string& dictionary) {
  const std::string front("\x93NUMPY\x01\x00\x76\x00", 10);
  return front + dictionary + std::string(117 - dictionary.size(), ' ') + "\n";
}

Batch make_batch(std::int64_t batch_size, std::int64_t row_length, std::vector<TokenId> tokens) {
  Batch batch;
  batch.batch_size = batch_size;
  batch.sequence_length = row_length;
  batch.row_length = row_length;
  batch.tokens = std::move(tokens);
  batch.num_rows = batch_size;
  batch.num_tokens = std::ssize(batch.tokens);
  return batch;
}

// Hands over a batch and waits for nothing: the sink completes it before it returns. Throws what
// the batch was failed with.
void consume(Sink& sink, Batch batch) {
  bool completed = false;
  std::exception_ptr failure;
  sink.consume(std::make_shared<const Batch>(std::move(batch)),
               Completion([&](const std::exception_ptr& error) {
                 completed = true;
                 failure = error;
               }));
  EXPECT_TRUE(completed);
  if (failure) {
    std::rethrow_exception(failure);
  }
}

class WriteNpyTest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_ / "t.npy"; }

  static std::unique_ptr<Sink> make_sink(const std::string& path,
                                         const StreamInfo& known,
                                         FileClaims files = {},
                                         const std::string& dtype = "auto") {
    StageRegistry registry;
    register_write_npy(registry);
    StreamInfo stream = known;
    Metrics metrics;
    StageMetrics& row = metrics.add("write_npy", 1);
    const BuildContext context{stream, metrics, row, files};
    const StageConfig config("write_npy",
                             "test.yaml:3:5",
                             {{"path", path}, {"dtype", dtype}},
                             {{"path", "test.yaml:3:17"}});
    return std::get<SinkFactory>(registry.find("write_npy")->factory)(config, context);
  }

  std::unique_ptr<Sink> make_sink(std::optional<std::int64_t> vocabulary_size,
                                  const std::string& dtype = "auto") const {
    StreamInfo stream;
    stream.vocabulary_size = vocabulary_size;
    return make_sink(path().string(), stream, {}, dtype);
  }

  std::string refusal_of_uint16(std::optional<std::int64_t> vocabulary_size) const {
    try {
      make_sink(vocabulary_size, "uint16");
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  }

  const TemporaryFolder temporary_folder_;
  const std::filesystem::path folder_ = temporary_folder_.path();
};

TEST_F(WriteNpyTest, WritesTheTypeThatIsAskedFor) {
  const auto wide = make_sink(8, "uint32");
  consume(*wide, make_batch(1, 3, {1, 2, 3}));
  wide->finish();
  EXPECT_EQ(array_of<std::uint32_t>(read_file(path())), (std::vector<std::uint32_t>{1, 2, 3}));

  const auto narrow = make_sink(8, "uint16");
  consume(*narrow, make_batch(1, 3, {1, 2, 3}));
  narrow->finish();
  EXPECT_EQ(array_of<std::uint16_t>(read_file(path())), (std::vector<std::uint16_t>{1, 2, 3}));
}

TEST_F(WriteNpyTest, RefusesATypeThatTheVocabularyDoesNotFit) {
  EXPECT_EQ(refusal_of_uint16(65536), "no error");
  EXPECT_THAT(refusal_of_uint16(65537), HasSubstr("the vocabulary has 65537 ids"));
  EXPECT_THAT(refusal_of_uint16(std::nullopt), HasSubstr("is not known"));
}

TEST_F(WriteNpyTest, WritesRowsAsOneArrayOf16Bits) {
  const auto sink = make_sink(65536);
  consume(*sink, make_batch(2, 3, {0, 1, 65535, 3, 4, 5}));
  consume(*sink, make_batch(1, 3, {6, 7, 8}));
  sink->finish();

  const std::string npy = read_file(path());
  EXPECT_EQ(npy.substr(0, kNpyHeaderBytes),
            numpy_header("{'descr': '<u2', 'fortran_order': False, 'shape': (3, 3), }"));
  EXPECT_EQ(array_of<std::uint16_t>(npy),
            (std::vector<std::uint16_t>{0, 1, 65535, 3, 4, 5, 6, 7, 8}));
}

TEST_F(WriteNpyTest, Writes32BitsForALargeOrUnknownVocabulary) {
  for (const std::optional<std::int64_t> vocabulary_size :
       {std::optional<std::int64_t>(65537), std::optional<std::int64_t>()}) {
    const auto sink = make_sink(vocabulary_size);
    consume(*sink, make_batch(1, 2, {65536, 4294967295}));
    sink->finish();

    const std::string npy = read_file(path());
    EXPECT_EQ(npy.substr(0, kNpyHeaderBytes),
              numpy_header("{'descr': '<u4', 'fortran_order': False, 'shape': (1, 2), }"));
    EXPECT_EQ(array_of<std::uint32_t>(npy), (std::vector<std::uint32_t>{65536, 4294967295}));
  }
}

TEST_F(WriteNpyTest, LeavesRowsOfPaddingOut) {
  const auto sink = make_sink(100);
  Batch batch = make_batch(3, 2, {1, 2, 3, 0, 0, 0});
  batch.num_rows = 2;
  batch.num_tokens = 3;
  consume(*sink, std::move(batch));
  sink->finish();
  EXPECT_EQ(array_of<std::uint16_t>(read_file(path())), (std::vector<std::uint16_t>{1, 2, 3, 0}));
}

TEST_F(WriteNpyTest, WritesAnEmptyArrayForAnEmptyStream) {
  StreamInfo stream;
  stream.vocabulary_size = 100;
  stream.batch_shape = {8, 1024, 1025};
  const auto sink = make_sink(path().string(), stream);
  sink->finish();
  EXPECT_EQ(read_file(path()),
            numpy_header("{'descr': '<u2', 'fortran_order': False, 'shape': (0, 1025), }"));
}

TEST_F(WriteNpyTest, LeavesNothingBehindWhenTheRunDoesNotFinish) {
  {
    const auto sink = make_sink(100);
    consume(*sink, make_batch(1, 2, {1, 2}));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(WriteNpyTest, RefusesAnIdThatDoesNotFit16Bits) {
  const auto sink = make_sink(100);
  try {
    consume(*sink, make_batch(1, 4, {1, 65536, 70000, 2}));
    FAIL() << "no exception";
  } catch (const std::logic_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("token id 70000"));
  }
}

TEST_F(WriteNpyTest, RefusesAChangeOfTheRowLength) {
  const auto sink = make_sink(100);
  consume(*sink, make_batch(1, 2, {1, 2}));
  EXPECT_THROW(consume(*sink, make_batch(1, 3, {1, 2, 3})), std::logic_error);
}

TEST_F(WriteNpyTest, ReportsAnUnwritablePathAsAConfigErrorBeforeAnyWork) {
  const std::string missing = (folder_ / "missing" / "t.npy").string();
  try {
    make_sink(missing, {});
    FAIL() << "no exception";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("test.yaml:3:17"));
    EXPECT_THAT(error.what(), HasSubstr("cannot write '" + missing + "'"));
  }
}

TEST_F(WriteNpyTest, RefusesToReplaceAnInputOfTheRun) {
  std::ofstream(path()) << "a shard";
  FileClaims files;
  files.add_input(path().string());
  try {
    make_sink(path().string(), {}, files);
    FAIL() << "no exception";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(),
              "test.yaml:3:17: option 'path' of stage 'write_npy': '" + path().string() +
                  "' is also an input of this run");
  }
  EXPECT_EQ(read_file(path()), "a shard");
}

TEST_F(WriteNpyTest, ReportsWhatItWrote) {
  const auto sink = make_sink(100);
  consume(*sink, make_batch(2, 3, {0, 1, 2, 3, 4, 5}));
  sink->finish();

  const std::vector<Result> results = sink->results();
  ASSERT_EQ(results.size(), 5U);
  EXPECT_EQ(results[0].name, "path");
  EXPECT_EQ(std::get<std::string>(results[0].value), path().string());
  EXPECT_EQ(results[1].name, "rows");
  EXPECT_EQ(std::get<std::int64_t>(results[1].value), 2);
  EXPECT_EQ(results[2].name, "row_length");
  EXPECT_EQ(std::get<std::int64_t>(results[2].value), 3);
  EXPECT_EQ(results[3].name, "dtype");
  EXPECT_EQ(std::get<std::string>(results[3].value), "uint16");
  EXPECT_EQ(results[4].name, "bytes");
  EXPECT_EQ(std::get<std::int64_t>(results[4].value),
            static_cast<std::int64_t>(std::filesystem::file_size(path())));
}

TEST_F(WriteNpyTest, LaysTheHeaderOutAsNumPyDoes) {
  const char* const data = std::getenv("PENSTOCK_TEST_DATA");
  if (data == nullptr) {
    GTEST_SKIP() << "PENSTOCK_TEST_DATA is not set";
  }
  // An array of six uint16, saved by NumPy; ours has two dimensions, so only the shape differs.
  std::string golden = read_file(std::filesystem::path(data) / "golden" / "t.npy");
  ASSERT_GT(golden.size(), kNpyHeaderBytes);
  const std::size_t shape = golden.find("(6,), }     ");
  ASSERT_NE(shape, std::string::npos);
  golden.replace(shape, 10, "(6, 1), } ");
  EXPECT_EQ(npy_header("<u2", 6, 1), golden.substr(0, kNpyHeaderBytes));
}

}  // namespace
}  // namespace penstock
