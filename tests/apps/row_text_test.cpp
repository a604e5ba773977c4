#include "apps/row_text.h"

#include <numeric>

#include <gmock/gmock.h>

namespace penstock {
namespace {

using testing::HasSubstr;
using testing::Not;

// Writes each id as a letter.
class LetterDecoder final : public TokenDecoder {
 public:
  std::string decode(const std::vector<TokenId>& ids) const override {
    std::string text;
    for (const TokenId id : ids) {
      text += static_cast<char>('a' + id);
    }
    return text;
  }
};

// Two rows of six: two documents in the first; the end of the second one and padding in the other.
Batch two_rows() {
  const auto shard = std::make_shared<const std::string>("data/x.jsonl.zst");
  Batch batch;
  batch.index = 7;
  batch.batch_size = 2;
  batch.sequence_length = 6;
  batch.row_length = 6;
  batch.num_rows = 2;
  batch.tokens = {0, 1, 2, 3, 4, 5, 6, 7, 25, 25, 25, 25};
  batch.num_tokens = 8;
  batch.segments = {
      {0, 4, shard, 11, 1000, 40}, {4, 6, shard, 12, 1200, 0}, {6, 8, shard, 12, 1200, 2}};
  return batch;
}

TEST(RowText, ShowsIdsTextAndWhereTheyCameFrom) {
  const LetterDecoder decoder;
  EXPECT_EQ(row_text(two_rows(), 0, 14, &decoder),
            "row 14 (row 0 of batch 7)\n"
            "  ids      0 1 2 3 4 5 (6 ids)\n"
            "  text     abcdef\n"
            "  columns        document\n"
            "            0-4  data/x.jsonl.zst, record 11, byte 1000, from its token 40\n"
            "            4-6  data/x.jsonl.zst, record 12, byte 1200, from its token 0\n");
}

TEST(RowText, NamesPaddingAndDoesNotDecodeIt) {
  const LetterDecoder decoder;
  EXPECT_EQ(row_text(two_rows(), 1, 15, &decoder),
            "row 15 (row 1 of batch 7)\n"
            "  ids      6 7 25 25 25 25 (6 ids)\n"
            "  text     gh\n"
            "  columns        document\n"
            "            0-2  data/x.jsonl.zst, record 12, byte 1200, from its token 2\n"
            "            2-6  padding\n");
}

TEST(RowText, ShowsIdsOnlyWithoutADecoder) {
  const std::string text = row_text(two_rows(), 0, 0, nullptr);
  EXPECT_THAT(text, HasSubstr("  ids "));
  EXPECT_THAT(text, Not(HasSubstr("  text ")));
}

TEST(RowText, ShortensManyIds) {
  std::vector<TokenId> ids(16);
  std::iota(ids.begin(), ids.end(), 0U);
  EXPECT_EQ(short_ids(ids), "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (16 ids)");
  ids.resize(1025, 9);
  EXPECT_EQ(short_ids(ids), "0 1 2 3 4 5 6 7 8 9 10 11 ... 9 9 9 9 (1,025 ids)");
}

TEST(RowText, MakesControlCharactersVisible) {
  EXPECT_EQ(visible("a\n\tb\r\x1B[0m\x7F\\"), "a\\n\\tb\\r\\x1B[0m\\x7F\\\\");
  EXPECT_EQ(visible(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(visible("\xC2\x85"), "\\u{0085}");
  EXPECT_EQ(visible("\xE2\x80\xAE"), "\\u{202E}");
}

TEST(RowText, LeavesOtherTextAlone) {
  EXPECT_EQ(visible("größer 日本 😀"), "größer 日本 😀");
}

TEST(RowText, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(visible("a\xFFz"), "a\\xFFz");
  EXPECT_EQ(visible("\xE6\x97"), "\\xE6\\x97");
  EXPECT_EQ(visible("\xC0\x80"), "\\xC0\\x80");
  EXPECT_EQ(visible("\xED\xA0\x80"), "\\xED\\xA0\\x80");
}

TEST(RowText, ShortensTextBetweenCharacters) {
  EXPECT_EQ(shortened("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(shortened("abcdefghi", 8), "abcdef ... hi");
  EXPECT_EQ(shortened("ääääääßöü", 8), "ääääää ... öü");
  EXPECT_EQ(shortened("", 8), "");
}

}  // namespace
}  // namespace penstock
