#include "stages/tokenizer/bpe_encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include <simdjson.h>

#include "pipeline/byte_buffer.h"
#include "stages/tokenizer/bpe_merger.h"
#include "stages/tokenizer/piece_text.h"
#include "stages/tokenizer/word_ids.h"
#include "stages/tokenizer/word_table.h"

namespace penstock {
namespace {

constexpr std::size_t kBlockBytes = TextSplitter::kBlockBytes;
// Texts are marked, and their words looked up, this many blocks at a time: enough that a word's
// memory has come when it is needed, few enough to stay in the nearest cache.
constexpr std::size_t kBatchBlocks = 16;
constexpr std::size_t kMaxBatchWords = kBatchBlocks * kBlockBytes + 1;
// Longer texts are left to the library, so that positions have 32 bits.
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 31;
constexpr std::size_t kKeptTextBytes = std::size_t{1} << 20;

// One part of a text, and where to look for it.
struct Word {
  WordKey<2> key;
  std::uint32_t hash;
  std::uint32_t begin;
  std::uint32_t size;
};

template <typename Id>
class BpeEncoder final : public Encoder {
 public:
  BpeEncoder(const BpeEngine& engine, std::unique_ptr<Encoder> library, std::size_t cache_bytes)
      : engine_(engine),
        library_(std::move(library)),
        merger_(engine.vocabulary()),
        words_(cache_bytes - cache_bytes / 4),
        long_words_(cache_bytes / 4) {}

  void encode(std::string_view text, std::vector<TokenId>& ids) override {
    if (text.empty()) {
      return;
    }
    if (text.size() >= kMaxTextBytes || !simdjson::validate_utf8(text.data(), text.size())) {
      library_->encode(text, ids);
      return;
    }
    take_text(text);
    const std::size_t begin = ids.size();
    encode_text(ids);
    if (engine_.joined_unknown_id()) {
      join_unknown(ids, begin);
    }
    if (buffer_.capacity() > kKeptTextBytes) {
      buffer_ = ByteBuffer();
    }
  }

 private:
  using ShortIds = WordIds<Id, 16>;
  using LongIds = WordIds<Id, 32>;
  using ShortTable = WordTable<WordKey<2>, ShortIds>;
  using LongTable = WordTable<WordKey<4>, LongIds>;

  // Copies the text to where it is encoded: a space for each U+2581, the space that the model puts
  // first, and room around it that can be read.
  void take_text(std::string_view text) {
    constexpr std::size_t kBefore = 1;
    constexpr std::size_t kBehind = 2 * kBlockBytes;
    buffer_.resize(kBefore + 1 + text.size() + kBehind);
    char* const begin = buffer_.data() + kBefore;
    begin[-1] = ' ';
    char* end = begin;
    if (engine_.add_dummy_prefix()) {
      *end++ = ' ';
    }
    end = append_with_spaces(text, end);
    std::memset(end, ' ', kBehind);
    text_ = {begin, static_cast<std::size_t>(end - begin)};
  }

  void encode_text(std::vector<TokenId>& ids) {
    const std::size_t num_blocks = (text_.size() + kBlockBytes - 1) / kBlockBytes;
    std::size_t covered = 0;
    begins_[0] = 0;
    std::size_t num_begins = 1;
    for (std::size_t block = 0; block < num_blocks; block += kBatchBlocks) {
      const std::size_t here = std::min(kBatchBlocks, num_blocks - block);
      mark(block, here, covered);
      for (std::size_t i = 0; i < here; ++i) {
        const auto base = static_cast<std::uint32_t>((block + i) * kBlockBytes);
        for (std::uint64_t cuts = cuts_[i]; cuts != 0; cuts &= cuts - 1) {
          begins_[num_begins++] = base + static_cast<std::uint32_t>(std::countr_zero(cuts));
        }
      }
      encode_words(num_begins - 1, ids);
      begins_[0] = begins_[num_begins - 1];
      num_begins = 1;
    }
    begins_[1] = static_cast<std::uint32_t>(text_.size());
    encode_words(1, ids);
  }

  // The cuts of some blocks, without the one at the begin of the text and those behind its end.
  void mark(std::size_t block, std::size_t num_blocks, std::size_t& covered) {
    engine_.splitter().mark(text_.data(), text_.size(), block, num_blocks, cuts_.data(), scratch_);
    if (!engine_.user_defined().is_empty()) {
      engine_.user_defined().mark(
          engine_.kernels(), text_, block, num_blocks, cuts_.data(), scratch_, covered);
    }
    if (block == 0) {
      cuts_[0] &= ~std::uint64_t{1};
    }
    const std::size_t end = (block + num_blocks) * kBlockBytes;
    if (end >= text_.size()) {
      const std::size_t unused = end - text_.size();
      cuts_[num_blocks - 1] &= unused == 0 ? ~std::uint64_t{0} : (~std::uint64_t{0} >> unused);
    }
  }

  // The words from begins_[i] to begins_[i + 1], for each i below `num_words`.
  void encode_words(std::size_t num_words, std::vector<TokenId>& ids) {
    for (std::size_t i = 0; i < num_words; ++i) {
      Word& word = batch_[i];
      word.begin = begins_[i];
      word.size = begins_[i + 1] - word.begin;
      const std::size_t key_size = std::min<std::size_t>(word.size, WordKey<2>::kMaxBytes);
      word.key = make_word_key<2>(text_.data() + word.begin, key_size);
      // A size that no word in the table has.
      word.key.parts[1] |= word.size > WordKey<2>::kMaxBytes ? std::uint64_t{0xFF} << 56U : 0U;
      word.hash = hash_of(word.key);
      __builtin_prefetch(&words_.bucket(word.hash));
    }
    TokenId* end = ids_.data();
    TokenId* const limit = ids_.data() + ids_.size() - ShortIds::kCapacity;
    for (std::size_t i = 0; i < num_words; ++i) {
      const Word& word = batch_[i];
      if (end > limit) {
        ids.insert(ids.end(), ids_.data(), end);
        end = ids_.data();
      }
      if (const ShortIds* found = ShortTable::find(words_.bucket(word.hash), word.key)) {
        end = found->append_to(end);
      } else {
        ids.insert(ids.end(), ids_.data(), end);
        end = ids_.data();
        encode_unseen(word, ids);
      }
    }
    ids.insert(ids.end(), ids_.data(), end);
  }

  // A word that is not in the table of short words.
  void encode_unseen(const Word& word, std::vector<TokenId>& ids) {
    const char* const begin = text_.data() + word.begin;
    if (word.size > WordKey<4>::kMaxBytes) {
      const std::vector<TokenId>& merged = merge(begin, word.size);
      ids.insert(ids.end(), merged.begin(), merged.end());
      return;
    }
    const WordKey<4> key = make_word_key<4>(begin, word.size);
    auto& bucket = long_words_.bucket(hash_of(key));
    if (const LongIds* found = LongTable::find(bucket, key)) {
      ids.insert(ids.end(), found->ids.begin(), found->ids.begin() + found->count);
      return;
    }
    const std::vector<TokenId>& merged = merge(begin, word.size);
    if (word.size <= WordKey<2>::kMaxBytes && merged.size() <= ShortIds::kCapacity) {
      words_.insert(words_.bucket(word.hash), word.key, ShortIds::of(merged.data(), merged.size()));
    } else if (merged.size() <= LongIds::kCapacity) {
      long_words_.insert(bucket, key, LongIds::of(merged.data(), merged.size()));
    }
    ids.insert(ids.end(), merged.begin(), merged.end());
  }

  const std::vector<TokenId>& merge(const char* begin, std::size_t size) {
    const std::string_view word(begin, size);
    if (!engine_.user_defined().is_empty()) {
      if (const std::optional<TokenId> id = engine_.user_defined().id_of(word)) {
        user_defined_id_[0] = *id;
        return user_defined_id_;
      }
    }
    return merger_.merge(word);
  }

  void join_unknown(std::vector<TokenId>& ids, std::size_t begin) const {
    const TokenId unknown = *engine_.joined_unknown_id();
    const auto are_joined = [unknown](TokenId a, TokenId b) {
      return a == unknown && b == unknown;
    };
    ids.erase(std::unique(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end(), are_joined),
              ids.end());
  }

  const BpeEngine& engine_;
  const std::unique_ptr<Encoder> library_;
  BpeMerger merger_;
  ShortTable words_;
  LongTable long_words_;

  // Of the text that is being encoded.
  ByteBuffer buffer_;
  std::string_view text_;  // in buffer_
  std::array<std::uint64_t, kBatchBlocks> cuts_;
  std::vector<BlockMarks> scratch_;
  std::array<std::uint32_t, kMaxBatchWords + 1> begins_;
  std::array<Word, kMaxBatchWords> batch_;
  std::array<TokenId, 2048> ids_;
  std::vector<TokenId> user_defined_id_ = {0};
};

}  // namespace

std::unique_ptr<Encoder> make_bpe_encoder(const BpeEngine& engine,
                                          std::unique_ptr<Encoder> library,
                                          std::size_t cache_bytes) {
  if (engine.vocabulary().num_pieces() <= std::size_t{1} << 16) {
    return std::make_unique<BpeEncoder<std::uint16_t>>(engine, std::move(library), cache_bytes);
  }
  return std::make_unique<BpeEncoder<std::uint32_t>>(engine, std::move(library), cache_bytes);
}

}  // namespace penstock
