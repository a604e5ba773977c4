#include "stages/pack.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/errors.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Shape {
  std::int64_t batch_size = 1;
  std::int64_t sequence_length = 2;
  bool shifted_targets = false;
  bool drop_last = false;
  std::int64_t pad_id = 0;

  std::int64_t row_length() const { return sequence_length + (shifted_targets ? 1 : 0); }
};

std::unique_ptr<BatchAssembler> make_packer(const std::map<std::string, OptionValue>& options,
                                            StreamInfo stream = {}) {
  StageRegistry registry;
  register_pack(registry);
  const StageType& type = *registry.find("pack");
  std::map<std::string, OptionValue> values;
  for (const Option& option : type.options) {
    values[option.name] = option.default_value.value();
  }
  std::map<std::string, std::string> locations;
  for (const auto& [name, value] : options) {
    values.at(name) = value;
    locations[name] = "test.yaml:" + name;
  }
  Metrics metrics;
  StageMetrics& row = metrics.add("pack", 1);
  FileClaims files;
  const BuildContext context{stream, metrics, row, files};
  return std::get<AssemblerFactory>(type.factory)(
      StageConfig("pack", "test.yaml:1:1", values, locations), context);
}

std::unique_ptr<BatchAssembler> make_packer(const Shape& shape) {
  return make_packer({{"batch_size", shape.batch_size},
                      {"sequence_length", shape.sequence_length},
                      {"shifted_targets", shape.shifted_targets},
                      {"drop_last", shape.drop_last},
                      {"pad_id", shape.pad_id}});
}

// Chunk of one shard; `documents` are the token ids of each. Records count on from `first_record`,
// and record r stands at byte 100 * r.
TokenChunk make_chunk(const std::shared_ptr<const std::string>& shard,
                      std::int64_t first_record,
                      const std::vector<std::vector<TokenId>>& documents) {
  TokenChunk chunk;
  chunk.position = {shard, first_record, 100 * first_record};
  for (const std::vector<TokenId>& ids : documents) {
    chunk.ids.insert(chunk.ids.end(), ids.begin(), ids.end());
    const std::int64_t record = first_record + chunk.num_records++;
    chunk.documents.push_back({std::ssize(chunk.ids), record, 100 * record});
  }
  return chunk;
}

TokenChunk copy(const TokenChunk& chunk) {
  TokenChunk other;
  other.position = chunk.position;
  other.num_records = chunk.num_records;
  other.ids = chunk.ids;
  other.documents = chunk.documents;
  return other;
}

struct Packed {
  std::vector<Batch> batches;
  TokenAccount account;
};

Packed pack(const Shape& shape, const std::vector<TokenChunk>& chunks) {
  const std::unique_ptr<BatchAssembler> packer = make_packer(shape);
  Packed packed;
  for (const TokenChunk& chunk : chunks) {
    packer->add(copy(chunk), packed.batches);
    if (!packed.batches.empty()) {
      packer->reuse(Batch(packed.batches.back()));  // a used one, to be used again
    }
  }
  packer->finish(packed.batches);
  packed.account = packer->account();
  return packed;
}

// One document with the ids 1, 2, ..., length.
Packed pack_one_document(const Shape& shape, TokenId length) {
  std::vector<TokenId> ids;
  for (TokenId id = 1; id <= length; ++id) {
    ids.push_back(id);
  }
  std::vector<TokenChunk> chunks;
  chunks.push_back(make_chunk(std::make_shared<const std::string>("shard"), 1, {ids}));
  return pack(shape, chunks);
}

// The slow and obvious model: the whole stream in memory, a token at a time.
class Reference {
 public:
  Reference(const Shape& shape, const std::vector<TokenChunk>& chunks) : shape_(shape) {
    for (const TokenChunk& chunk : chunks) {
      std::size_t at = 0;
      for (std::size_t d = 0; d < chunk.documents.size(); ++d) {
        const TokenDocument& document = chunk.documents[d];
        ++num_documents_;
        for (std::int64_t t = 0; at < static_cast<std::size_t>(document.end); ++t) {
          stream_.push_back({chunk.ids[at++],
                             num_documents_,
                             t,
                             document.record,
                             document.byte_offset,
                             chunk.position.shard});
        }
      }
    }
    cut_rows();
  }

  Packed pack() const {
    Packed packed;
    const auto batch_size = static_cast<std::size_t>(shape_.batch_size);
    std::set<std::size_t> delivered;
    for (std::size_t first = 0; first < rows_.size(); first += batch_size) {
      const std::size_t end = std::min(first + batch_size, rows_.size());
      packed.batches.push_back(make_batch({rows_.begin() + static_cast<std::ptrdiff_t>(first),
                                           rows_.begin() + static_cast<std::ptrdiff_t>(end)}));
      packed.batches.back().index = std::ssize(packed.batches) - 1;
      packed.account.padded +=
          std::ssize(packed.batches.back().tokens) - packed.batches.back().num_tokens;
    }
    for (const Row& row : rows_) {
      for (const std::size_t token : row) {
        packed.account.repeated += delivered.insert(token).second ? 0 : 1;
      }
    }
    packed.account.in = std::ssize(stream_);
    packed.account.out = std::ssize(delivered);
    packed.account.dropped = packed.account.in - packed.account.out;
    return packed;
  }

 private:
  struct Token {
    TokenId id;
    int document;
    std::int64_t document_token;
    std::int64_t record;
    std::int64_t byte_offset;
    std::shared_ptr<const std::string> shard;
  };
  using Row = std::vector<std::size_t>;  // indices into stream_

  void cut_rows() {
    const auto row_length = static_cast<std::size_t>(shape_.row_length());
    std::size_t num_placed = 0;
    for (std::size_t first = 0; num_placed < stream_.size();
         first += static_cast<std::size_t>(shape_.sequence_length)) {
      Row row;
      for (std::size_t i = first; i < std::min(first + row_length, stream_.size()); ++i) {
        row.push_back(i);
      }
      num_placed = row.back() + 1;
      rows_.push_back(row);
    }
    if (shape_.drop_last) {
      if (!rows_.empty() && rows_.back().size() < row_length) {
        rows_.pop_back();
      }
      while (std::ssize(rows_) % shape_.batch_size != 0) {
        rows_.pop_back();
      }
    }
  }

  Batch make_batch(const std::vector<Row>& rows) const {
    Batch batch;
    batch.batch_size = shape_.batch_size;
    batch.sequence_length = shape_.sequence_length;
    batch.row_length = shape_.row_length();
    batch.num_rows = std::ssize(rows);
    std::vector<std::pair<std::int64_t, int>> labels;  // of input positions: row, document
    for (std::int64_t r = 0; r < shape_.batch_size; ++r) {
      for (std::int64_t c = 0; c < shape_.row_length(); ++c) {
        const bool real = r < std::ssize(rows) && c < std::ssize(rows[static_cast<std::size_t>(r)]);
        const Token* token =
            real ? &stream_[rows[static_cast<std::size_t>(r)][static_cast<std::size_t>(c)]]
                 : nullptr;
        if (c < shape_.sequence_length) {
          const std::pair label(r, real ? token->document : 0);
          if (real && (labels.empty() || labels.back() != label)) {
            batch.segments.push_back({std::ssize(batch.tokens),
                                      0,
                                      token->shard,
                                      token->record,
                                      token->byte_offset,
                                      token->document_token});
          }
          labels.push_back(label);
        }
        batch.tokens.push_back(real ? token->id : static_cast<TokenId>(shape_.pad_id));
        if (real) {
          batch.segments.back().end = std::ssize(batch.tokens);
          ++batch.num_tokens;
        }
      }
    }
    batch.cu_seqlens.push_back(0);
    for (std::size_t i = 1; i <= labels.size(); ++i) {
      if (i == labels.size() || labels[i] != labels[i - 1]) {
        batch.cu_seqlens.push_back(static_cast<std::int32_t>(i));
      }
    }
    return batch;
  }

  const Shape shape_;
  std::vector<Token> stream_;
  int num_documents_ = 0;
  std::vector<Row> rows_;
};

void expect_equal(const Segment& got, const Segment& expected) {
  EXPECT_EQ(got.begin, expected.begin);
  EXPECT_EQ(got.end, expected.end);
  EXPECT_EQ(got.shard, expected.shard);
  EXPECT_EQ(got.record, expected.record);
  EXPECT_EQ(got.byte_offset, expected.byte_offset);
  EXPECT_EQ(got.document_token, expected.document_token);
}

void expect_equal(const Packed& got, const Packed& expected) {
  ASSERT_EQ(got.batches.size(), expected.batches.size());
  for (std::size_t b = 0; b < got.batches.size(); ++b) {
    SCOPED_TRACE("batch " + std::to_string(b));
    const Batch& batch = got.batches[b];
    const Batch& wanted = expected.batches[b];
    EXPECT_EQ(batch.index, wanted.index);
    EXPECT_EQ(batch.batch_size, wanted.batch_size);
    EXPECT_EQ(batch.sequence_length, wanted.sequence_length);
    EXPECT_EQ(batch.row_length, wanted.row_length);
    EXPECT_EQ(batch.num_rows, wanted.num_rows);
    EXPECT_EQ(batch.num_tokens, wanted.num_tokens);
    EXPECT_EQ(batch.tokens, wanted.tokens);
    EXPECT_EQ(batch.cu_seqlens, wanted.cu_seqlens);
    ASSERT_EQ(batch.segments.size(), wanted.segments.size());
    for (std::size_t s = 0; s < batch.segments.size(); ++s) {
      SCOPED_TRACE("segment " + std::to_string(s));
      expect_equal(batch.segments[s], wanted.segments[s]);
    }
  }
  EXPECT_EQ(got.account.in, expected.account.in);
  EXPECT_EQ(got.account.out, expected.account.out);
  EXPECT_EQ(got.account.dropped, expected.account.dropped);
  EXPECT_EQ(got.account.padded, expected.account.padded);
  EXPECT_EQ(got.account.repeated, expected.account.repeated);
}

void expect_account_adds_up(const Packed& packed) {
  std::int64_t cells = 0;
  for (const Batch& batch : packed.batches) {
    cells += std::ssize(batch.tokens);
  }
  const TokenAccount& account = packed.account;
  EXPECT_EQ(account.in, account.out + account.dropped);
  EXPECT_EQ(cells, account.out + account.repeated + account.padded);
}

class RandomCase {
 public:
  explicit RandomCase(std::uint32_t seed) : random_(seed) {}

  Shape shape() {
    return {number(1, 4), number(2, 9), number(0, 1) == 1, number(0, 1) == 1, number(0, 3)};
  }

  std::vector<TokenChunk> chunks() {
    const std::int64_t longest = number(0, 1) == 1 ? 3 : 40;
    std::vector<TokenChunk> chunks(static_cast<std::size_t>(number(0, 8)));
    auto shard = std::make_shared<const std::string>("shard 0");
    std::int64_t record = 1;
    for (TokenChunk& chunk : chunks) {
      if (number(0, 3) == 0) {
        shard = std::make_shared<const std::string>("another shard");
        record = 1;
      }
      std::vector<std::vector<TokenId>> documents(static_cast<std::size_t>(number(0, 6)));
      for (std::vector<TokenId>& document : documents) {
        document.resize(static_cast<std::size_t>(number(0, longest)));
        for (TokenId& id : document) {
          id = static_cast<TokenId>(number(0, 70000));
        }
      }
      chunk = make_chunk(shard, record, documents);
      record += std::ssize(documents);
    }
    return chunks;
  }

 private:
  std::int64_t number(std::int64_t lowest, std::int64_t highest) {
    return std::uniform_int_distribution<std::int64_t>(lowest, highest)(random_);
  }

  std::mt19937 random_;
};

std::string message_of_bad_options(const std::map<std::string, OptionValue>& options,
                                   const StreamInfo& stream = {}) {
  try {
    make_packer(options, stream);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Pack, EqualsTheSlowReferenceForRandomStreamsAndShapes) {
  for (std::uint32_t seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomCase random_case(seed);
    const Shape shape = random_case.shape();
    const std::vector<TokenChunk> chunks = random_case.chunks();
    const Packed packed = pack(shape, chunks);
    expect_equal(packed, Reference(shape, chunks).pack());
    expect_account_adds_up(packed);
    ASSERT_FALSE(HasFailure());
  }
}

TEST(Pack, PacksTheSameHoweverTheStreamIsCutIntoChunks) {
  const auto shard = std::make_shared<const std::string>("shard");
  const std::vector<std::vector<TokenId>> documents = {
      {1, 2, 3}, {}, {4}, {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {16, 17}, {18}, {19}, {20, 21}};
  std::vector<TokenChunk> one;
  one.push_back(make_chunk(shard, 1, documents));
  std::vector<TokenChunk> many;
  for (std::size_t d = 0; d < documents.size(); ++d) {
    many.push_back(make_chunk(shard, static_cast<std::int64_t>(d) + 1, {documents[d]}));
    many.push_back(make_chunk(shard, static_cast<std::int64_t>(d) + 2, {}));
  }
  for (const bool shifted : {false, true}) {
    const Shape shape{2, 3, shifted};
    expect_equal(pack(shape, many), pack(shape, one));
  }
}

TEST(Pack, DescribesDocumentsRowEndsAndPadding) {
  const auto shard = std::make_shared<const std::string>("shard");
  std::vector<TokenChunk> chunks;
  chunks.push_back(make_chunk(shard, 5, {{1, 2, 3}, {4, 5, 6}}));
  const Packed packed = pack({3, 4, false, false, 9}, chunks);

  ASSERT_EQ(packed.batches.size(), 1U);
  const Batch& batch = packed.batches.front();
  EXPECT_THAT(batch.tokens, ElementsAre(1, 2, 3, 4, 5, 6, 9, 9, 9, 9, 9, 9));
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 3, 4, 6, 8, 12));
  EXPECT_EQ(batch.num_rows, 2);
  EXPECT_EQ(batch.num_tokens, 6);
  ASSERT_EQ(batch.segments.size(), 3U);
  expect_equal(batch.segments[0], {0, 3, shard, 5, 500, 0});
  expect_equal(batch.segments[1], {3, 4, shard, 6, 600, 0});
  expect_equal(batch.segments[2], {4, 6, shard, 6, 600, 1});
}

TEST(Pack, RepeatsTheLastTargetAsTheNextRowsFirstInput) {
  const Packed packed = pack_one_document({2, 3, true}, 13);
  ASSERT_EQ(packed.batches.size(), 2U);
  EXPECT_THAT(packed.batches[0].tokens, ElementsAre(1, 2, 3, 4, 4, 5, 6, 7));
  EXPECT_THAT(packed.batches[1].tokens, ElementsAre(7, 8, 9, 10, 10, 11, 12, 13));
  EXPECT_THAT(packed.batches[1].cu_seqlens, ElementsAre(0, 3, 6));
  EXPECT_EQ(packed.account.repeated, 3);
}

TEST(Pack, GivesATargetOfTheNextDocumentToTheSegmentBeforeIt) {
  const auto shard = std::make_shared<const std::string>("shard");
  std::vector<TokenChunk> chunks;
  chunks.push_back(make_chunk(shard, 1, {{1, 2}, {3}}));
  chunks.push_back(make_chunk(shard, 3, {{4}}));
  const Packed packed = pack({2, 2, true}, chunks);

  ASSERT_EQ(packed.batches.size(), 1U);
  const Batch& batch = packed.batches.front();
  EXPECT_THAT(batch.tokens, ElementsAre(1, 2, 3, 3, 4, 0));
  EXPECT_THAT(batch.cu_seqlens, ElementsAre(0, 2, 3, 4));
  ASSERT_EQ(batch.segments.size(), 3U);
  expect_equal(batch.segments[0], {0, 3, shard, 1, 100, 0});
  expect_equal(batch.segments[1], {3, 4, shard, 2, 200, 0});
  expect_equal(batch.segments[2], {4, 5, shard, 3, 300, 0});
}

TEST(Pack, GivesNoBatchWithoutTokens) {
  for (const bool shifted : {false, true}) {
    const Packed packed = pack_one_document({2, 3, shifted}, 0);
    EXPECT_TRUE(packed.batches.empty());
    EXPECT_EQ(packed.account.in, 0);
  }
}

TEST(Pack, PadsARowAroundASingleToken) {
  for (const bool shifted : {false, true}) {
    const Packed packed = pack_one_document({1, 2, shifted}, 1);
    ASSERT_EQ(packed.batches.size(), 1U);
    EXPECT_EQ(packed.batches.front().tokens.front(), 1U);
    EXPECT_EQ(packed.batches.front().num_tokens, 1);
    EXPECT_THAT(packed.batches.front().cu_seqlens, ElementsAre(0, 1, 2));
  }
}

TEST(Pack, StartsNoRowForATokenThatTheLastRowAlreadyEndsWith) {
  const Packed exact = pack_one_document({1, 4, true}, 9);
  ASSERT_EQ(exact.batches.size(), 2U);
  EXPECT_EQ(exact.account.padded, 0);
  EXPECT_EQ(exact.account.dropped, 0);

  const Packed one_more = pack_one_document({1, 4, true}, 10);
  ASSERT_EQ(one_more.batches.size(), 3U);
  EXPECT_THAT(one_more.batches.back().tokens, ElementsAre(9, 10, 0, 0, 0));
}

TEST(Pack, PadsOnlyTheTargetWhereTheLastInputHasNone) {
  const Packed packed = pack_one_document({1, 4, true}, 8);
  ASSERT_EQ(packed.batches.size(), 2U);
  EXPECT_THAT(packed.batches.back().tokens, ElementsAre(5, 6, 7, 8, 0));
  EXPECT_THAT(packed.batches.back().cu_seqlens, ElementsAre(0, 4));
  EXPECT_EQ(packed.account.padded, 1);
}

TEST(Pack, DropsWhatFillsNoBatch) {
  const Packed packed = pack_one_document({2, 3, false, true}, 11);
  ASSERT_EQ(packed.batches.size(), 1U);
  EXPECT_EQ(packed.account.dropped, 5);
  EXPECT_EQ(packed.account.padded, 0);
}

TEST(Pack, CountsTheOverlapOfADroppedRowAsDelivered) {
  const Packed packed = pack_one_document({1, 3, true, true}, 6);
  ASSERT_EQ(packed.batches.size(), 1U);
  EXPECT_THAT(packed.batches.front().tokens, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(packed.account.out, 4);
  EXPECT_EQ(packed.account.dropped, 2);
}

TEST(Pack, DeliversABatchWithTheChunkThatCompletesIt) {
  const auto shard = std::make_shared<const std::string>("shard");
  const std::unique_ptr<BatchAssembler> packer = make_packer(Shape{2, 2});
  std::vector<Batch> full;
  packer->add(make_chunk(shard, 1, {{1, 2, 3}}), full);
  EXPECT_EQ(full.size(), 0U);
  packer->add(make_chunk(shard, 2, {{4}}), full);
  EXPECT_EQ(full.size(), 1U);
  packer->finish(full);
  EXPECT_EQ(full.size(), 1U);
}

TEST(Pack, AllocatesNoMoreThanABatchHolds) {
  const Packed packed = pack_one_document({4, 5, true}, 1000);
  for (const Batch& batch : packed.batches) {
    EXPECT_EQ(batch.tokens.capacity(), batch.tokens.size());
    EXPECT_EQ(batch.cu_seqlens.capacity(), batch.cu_seqlens.size());
    EXPECT_EQ(batch.segments.capacity(), batch.segments.size());
  }
}

TEST(Pack, PadsWithTheModelsPadIdElseItsEndOfTextElseZero) {
  const auto padded_with = [](const StreamInfo& stream) {
    const auto packer = make_packer({{"sequence_length", std::int64_t{2}}}, stream);
    std::vector<Batch> full;
    packer->add(make_chunk(std::make_shared<const std::string>("shard"), 1, {{7}}), full);
    packer->finish(full);
    return full.at(0).tokens.back();
  };
  StreamInfo stream;
  EXPECT_EQ(padded_with(stream), 0U);
  stream.eos_id = 2;
  EXPECT_EQ(padded_with(stream), 2U);
  stream.pad_id = 3;
  EXPECT_EQ(padded_with(stream), 3U);
}

TEST(Pack, RefusesAPadIdOutsideTheVocabulary) {
  StreamInfo stream;
  stream.vocabulary_size = 100;
  EXPECT_EQ(message_of_bad_options({{"pad_id", std::int64_t{99}}}, stream), "accepted");
  EXPECT_THAT(message_of_bad_options({{"pad_id", std::int64_t{100}}}, stream),
              HasSubstr("got 100, expected an id of the vocabulary: at most 99"));
}

TEST(Pack, RefusesABatchTooLargeForItsBoundaries) {
  EXPECT_THAT(message_of_bad_options({{"batch_size", std::int64_t{1} << 20},
                                      {"sequence_length", std::int64_t{1} << 11}}),
              HasSubstr("test.yaml:batch_size: option 'batch_size' of stage 'pack': a batch of "
                        "1048576 rows of 2048 tokens is too large"));
  EXPECT_THAT(message_of_bad_options({{"sequence_length", std::int64_t{1} << 30}}),
              HasSubstr("test.yaml:sequence_length: option 'sequence_length' of stage 'pack': a "
                        "batch of 8 rows of 1073741824 tokens is too large"));
}

TEST(Pack, BoundsTheBatchSizeAndTheSequenceLength) {
  StageRegistry registry;
  register_pack(registry);
  for (const auto& [name, most] : {std::pair<std::string, std::int64_t>("batch_size", 1 << 20),
                                   {"sequence_length", 1 << 24}}) {
    const std::vector<Option>& options = registry.find("pack")->options;
    const auto option =
        std::find_if(options.begin(), options.end(), [&name = name](const Option& candidate) {
          return candidate.name == name;
        });
    ASSERT_NE(option, options.end());
    EXPECT_TRUE(parse_option(*option, {std::to_string(most)}, false).value);
    EXPECT_THAT(parse_option(*option, {"9223372036854775807"}, false).error,
                HasSubstr(" to " + std::to_string(most)));
  }
}

TEST(Pack, RefusesTokensThatBelongToNoDocument) {
  const std::unique_ptr<BatchAssembler> packer = make_packer(Shape{});
  std::vector<Batch> full;
  TokenChunk chunk;
  chunk.ids = {1, 2};
  EXPECT_THROW(packer->add(std::move(chunk), full), std::logic_error);
}

}  // namespace
}  // namespace penstock
