#include "pipeline/endless_source.h"

#include <memory>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>

#include "tests/fakes.h"

namespace penstock {
namespace {

using testing::NumberSource;

class EndlessSourceTest : public ::testing::Test {
 protected:
  // `chunks` by the number of sources made before.
  EndlessSource make(int lanes, std::vector<int> chunks) {
    return EndlessSource(
        [this, lanes, chunks](const StageConfig&, const BuildContext& context) {
          const std::size_t made = made_++;
          const BusyTimer timer(context.own_row.busy);
          return std::make_unique<NumberSource>(lanes,
                                                chunks.at(std::min(made, chunks.size() - 1)));
        },
        StageConfig("numbers", "", {}, {}),
        BuildContext{stream_, metrics_, row_, files_, 1});
  }

  static int next_number(EndlessSource& source, int lane) {
    return testing::chunk_number(std::get<TokenChunk>(*source.next(lane, {})));
  }

  std::size_t made_ = 0;
  StreamInfo stream_;
  Metrics metrics_;
  StageMetrics& row_ = metrics_.add("numbers", 1);
  FileClaims files_;
};

TEST_F(EndlessSourceTest, BeginsAgainLaneByLane) {
  EndlessSource source = make(2, {2});
  ASSERT_EQ(source.lanes(), 2);
  for (const int number : {0, 1, 0, 1, 0}) {
    EXPECT_EQ(next_number(source, 0), number);
  }
  // Lane 1 has five chunks more, and has not been read yet.
  for (const int number : {0, 1, 2, 3, 4, 5, 6, 0}) {
    EXPECT_EQ(next_number(source, 1), number);
  }
  EXPECT_EQ(source.passes(), 3);
}

TEST_F(EndlessSourceTest, CountsTheTimeOfEveryPass) {
  EndlessSource source = make(1, {2});
  next_number(source, 0);
  next_number(source, 0);
  const std::int64_t first_pass_ns = row_.busy.total_ns();
  next_number(source, 0);
  EXPECT_GT(row_.busy.total_ns(), first_pass_ns);
  const std::int64_t second_pass_ns = row_.busy.total_ns();
  next_number(source, 0);
  EXPECT_EQ(row_.busy.total_ns(), second_pass_ns);
}

TEST_F(EndlessSourceTest, EndsAnEmptyLane) {
  EndlessSource source = make(1, {0});
  EXPECT_EQ(source.next(0, {}), std::nullopt);
  EXPECT_EQ(source.next(0, {}), std::nullopt);
  EXPECT_EQ(made_, 1U);
}

TEST_F(EndlessSourceTest, RefusesAnInputThatIsGoneTheSecondTime) {
  EndlessSource source = make(1, {1, 0});
  EXPECT_EQ(next_number(source, 0), 0);
  EXPECT_THROW(source.next(0, {}), std::runtime_error);
}

}  // namespace
}  // namespace penstock
