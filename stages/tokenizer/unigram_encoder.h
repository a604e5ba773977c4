#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "pipeline/byte_buffer.h"
#include "stages/tokenizer/normalizer.h"
#include "stages/tokenizer/sentencepiece_model.h"
#include "stages/tokenizer/split_proof.h"
#include "stages/tokenizer/text_splitter.h"
#include "stages/tokenizer/tokenizer.h"
#include "stages/tokenizer/unigram_lattice.h"
#include "stages/tokenizer/unigram_score.h"
#include "stages/tokenizer/unigram_word.h"
#include "stages/tokenizer/word_table.h"

namespace penstock {

// What the encoders of a Unigram model share.
struct UnigramVocabulary {
  // Throws std::runtime_error with the reason for a model of which what encoders rely on cannot be
  // proved.
  explicit UnigramVocabulary(const SentencePieceModel& model);

  Normalizer normalizer;
  UnigramLattice lattice;
  SplitProof proof;
  TextSplitter splitter;
  bool byte_fallback = false;
  std::array<TokenId, 256> byte_ids{};
};

// Encodes as the library's Unigram encoder does. Words that were seen before are looked up in
// tables of a fixed size; for others the best path is found. What was found is used where it does
// not depend on the rounding of scores; where it may, the library's arithmetic is repeated.
class UnigramEncoder final : public Encoder {
 public:
  // `vocabulary` outlives it. Texts that are too large for it go to `library`.
  UnigramEncoder(const UnigramVocabulary& vocabulary,
                 std::unique_ptr<Encoder> library,
                 std::size_t cache_bytes);

  void encode(std::string_view text, std::vector<TokenId>& ids) override;

 private:
  using ShortKey = WordKey<2>;
  using LongKey = WordKey<4>;
  using ShortWord = UnigramWord<4>;
  using LongWord = UnigramWord<8>;
  using ShortTable = WordTable<ShortKey, ShortWord>;
  using LongTable = WordTable<LongKey, LongWord>;

  // A piece of text that no piece of the vocabulary enters or leaves, as a table has it.
  struct Unit {
    ShortKey key;
    ShortTable::Bucket* bucket;
    std::uint32_t begin;
    std::uint32_t size;
  };

  // What holds for path_, found by find_path.
  struct PathProof {
    int exponent = UnigramLattice::kAlways;
    double deepest = 0;
    double sum = 0;
    bool has_unknown = false;
  };

  static constexpr std::size_t kBlocksAtOnce = 16;

  void reserve_ids(std::size_t num_bytes);
  void encode_normalized();
  void find_units(std::size_t first_block, std::size_t num_blocks);
  void add_unit(std::size_t end);
  void encode_units();
  void encode_short(std::string_view text, const ShortKey& key, ShortTable::Bucket& bucket);
  void encode_long(std::string_view text);
  void encode_between_cuts(std::string_view text);
  void encode_uncached(std::string_view text);

  PathProof find_path(std::string_view text);
  bool is_below(const PathProof& proof, std::size_t num_bytes) const;
  template <typename Table, typename Key>
  void remember(Table& table,
                typename Table::Bucket& bucket,
                const Key& key,
                const PathProof& proof);
  template <typename Word>
  void emit_word(const Word& word, std::string_view text);
  void emit_path();
  void emit_rounded(std::string_view text);
  void append_ids(std::vector<TokenId>& ids) const;
  void append_merged(std::vector<TokenId>& ids) const;
  void append_with_bytes(std::vector<TokenId>& ids) const;

  const UnigramVocabulary& vocabulary_;
  const std::unique_ptr<Encoder> library_;
  ShortTable short_table_;
  LongTable long_table_;
  UnigramScore score_;
  ByteBuffer buffer_;
  std::string_view normalized_;  // in buffer_
  // The ids of a document, with an unknown id for each unknown character, in a buffer with room for
  // all that there can be.
  std::unique_ptr<TokenId[]> ids_;
  std::size_t capacity_ = 0;
  std::size_t num_ids_ = 0;
  std::uint32_t has_unknown_ = 0;  // whether there may be such ids
  std::size_t unit_begin_ = 0;   // of the unit that is not complete yet
  std::array<std::uint64_t, kBlocksAtOnce> cuts_{};
  std::vector<BlockMarks> marks_;
  std::vector<Unit> units_;
  UnigramLattice::Workspace workspace_;
  std::vector<UnigramLattice::Token> path_;
  std::vector<TokenId> path_ids_;
};

}  // namespace penstock
