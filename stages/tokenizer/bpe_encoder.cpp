#include "stages/tokenizer/bpe_encoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <tuple>
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

template <typename Id>
class BpeEncoder final : public Encoder {
 public:
  BpeEncoder(const BpeEngine& engine, std::unique_ptr<Encoder> library, std::size_t cache_bytes)
      : engine_(engine),
        library_(std::move(library)),
        loops_(std::get<WordLoops<Id>>(engine.kernels().loops)),
        merger_(engine.vocabulary(), engine.kernels()),
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

  struct NewWord {
    std::uint32_t number;  // in batch_
    std::size_t begin;     // of its ids in many_ids_
    std::size_t end;
    bool is_to_be_kept;  // in a table
  };

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
      num_begins += engine_.kernels().list_cuts(cuts_.data(),
                                                here,
                                                static_cast<std::uint32_t>(block * kBlockBytes),
                                                begins_.data() + num_begins);
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

  // The words from begins_[i] to begins_[i + 1], for each i below `num_words`. The table does not
  // change before all their ids are written, so that found_ can point into it.
  void encode_words(std::size_t num_words, std::vector<TokenId>& ids) {
    loops_.make_words(text_.data(), begins_.data(), num_words, words_, batch_.data());
    const std::size_t num_missing =
        loops_.find_words(batch_.data(), num_words, words_, found_.data(), missing_.data());
    num_new_ = 0;
    if (num_missing > 0) {
      list_new_words(num_missing);
      encode_new_words();
    }
    for (std::size_t done = 0;;) {
      const Emitted emitted =
          loops_.emit_words(found_.data() + done, num_words - done, ids_.data());
      ids.insert(ids.end(), ids_.data(), emitted.end);
      done += emitted.num_words;
      if (done == num_words) {
        break;
      }
      append_many(done++, ids);
    }
    keep_new_words();
  }

  // Words that are not in the table of short words, each once where that is seen at little cost.
  void list_new_words(std::size_t num_missing) {
    new_by_bucket_.fill(0);
    for (std::size_t i = 0; i < num_missing; ++i) {
      const std::uint32_t number = missing_[i];
      const BatchWord& word = batch_[number];
      std::uint16_t& seen = new_by_bucket_[word.bucket % new_by_bucket_.size()];
      if (word.size <= WordKey<2>::kMaxBytes) {
        if (seen != 0 && batch_[new_words_[seen - 1].number].key == word.key) {
          found_[number] = &new_ids_[seen - 1];
          continue;
        }
        seen = static_cast<std::uint16_t>(num_new_ + 1);
      }
      new_words_[num_new_] = {number, 0, 0, false};
      found_[number] = &new_ids_[num_new_];
      ++num_new_;
    }
  }

  void encode_new_words() {
    many_ids_.clear();
    std::array<std::size_t, BpeMerger::kSome> waiting;
    std::size_t num_waiting = 0;
    for (std::size_t i = 0; i < num_new_; ++i) {
      if (!find_long(i)) {
        waiting[num_waiting++] = i;
        if (num_waiting == waiting.size()) {
          merge(waiting.data(), num_waiting);
          num_waiting = 0;
        }
      }
    }
    merge(waiting.data(), num_waiting);
  }

  // Looks a new word up in the table of long words if it may be there.
  bool find_long(std::size_t i) {
    const BatchWord& word = batch_[new_words_[i].number];
    if (word.size <= WordKey<2>::kMaxBytes || word.size > WordKey<4>::kMaxBytes) {
      return false;
    }
    const WordKey<4> key = make_word_key<4>(text_.data() + word.begin, word.size);
    const LongIds* const found = LongTable::find(long_words_.bucket(hash_of(key)), key);
    if (found == nullptr) {
      return false;
    }
    std::array<TokenId, LongIds::kCapacity> ids;
    found->append_to(ids.data());
    take_ids(i, ids.data(), found->count);
    return true;
  }

  void merge(const std::size_t* waiting, std::size_t num_waiting) {
    std::array<std::string_view, BpeMerger::kSome> words;
    std::array<std::size_t, BpeMerger::kSome> ends;
    std::size_t num_words = 0;
    std::array<std::size_t, BpeMerger::kSome> numbers;
    for (std::size_t i = 0; i < num_waiting; ++i) {
      NewWord& new_word = new_words_[waiting[i]];
      new_word.is_to_be_kept = true;
      const BatchWord& word = batch_[new_word.number];
      const std::string_view text(text_.data() + word.begin, word.size);
      if (!engine_.user_defined().is_empty()) {
        if (const std::optional<TokenId> id = engine_.user_defined().id_of(text)) {
          take_ids(waiting[i], &*id, 1);
          continue;
        }
      }
      numbers[num_words] = waiting[i];
      words[num_words++] = text;
    }
    const std::vector<TokenId>& merged = merger_.merge_some(words.data(), num_words, ends.data());
    std::size_t begin = 0;
    for (std::size_t i = 0; i < num_words; ++i) {
      take_ids(numbers[i], merged.data() + begin, ends[i] - begin);
      begin = ends[i];
    }
  }

  void take_ids(std::size_t i, const TokenId* ids, std::size_t count) {
    if (count <= ShortIds::kCapacity) {
      new_ids_[i] = ShortIds::of(ids, count);
      return;
    }
    new_ids_[i].count = 0;
    new_words_[i].begin = many_ids_.size();
    many_ids_.insert(many_ids_.end(), ids, ids + count);
    new_words_[i].end = many_ids_.size();
  }

  // The ids of a word whose value has no room for them.
  void append_many(std::size_t number, std::vector<TokenId>& ids) {
    const std::less<const ShortIds*> is_before;
    const ShortIds* const found = found_[number];
    if (is_before(found, new_ids_.data()) || !is_before(found, new_ids_.data() + num_new_)) {
      append_long(batch_[number], ids);
      return;
    }
    const NewWord& word = new_words_[static_cast<std::size_t>(found - new_ids_.data())];
    ids.insert(ids.end(), many_ids_.data() + word.begin, many_ids_.data() + word.end);
  }

  // A word that is short itself, but whose ids are in the table of long words, if they still are.
  void append_long(const BatchWord& word, std::vector<TokenId>& ids) {
    const std::string_view text(text_.data() + word.begin, word.size);
    const WordKey<4> key = make_word_key<4>(text.data(), text.size());
    auto& bucket = long_words_.bucket(hash_of(key));
    if (const LongIds* const found = LongTable::find(bucket, key)) {
      std::array<TokenId, LongIds::kCapacity> found_ids;
      found->append_to(found_ids.data());
      ids.insert(ids.end(), found_ids.data(), found_ids.data() + found->count);
      return;
    }
    std::size_t end = 0;
    const std::vector<TokenId>& merged = merger_.merge_some(&text, 1, &end);
    ids.insert(ids.end(), merged.begin(), merged.end());
    if (merged.size() <= LongIds::kCapacity) {
      long_words_.insert(bucket, key, LongIds::of(merged.data(), merged.size()));
    }
  }

  void keep_new_words() {
    for (std::size_t i = 0; i < num_new_; ++i) {
      const NewWord& new_word = new_words_[i];
      const BatchWord& word = batch_[new_word.number];
      if (!new_word.is_to_be_kept || word.size > WordKey<4>::kMaxBytes) {
        continue;
      }
      if (word.size <= WordKey<2>::kMaxBytes) {
        auto& bucket = words_.bucket_at(word.bucket);
        if (ShortTable::find(bucket, word.key) == nullptr) {
          words_.insert(bucket, word.key, new_ids_[i]);
        }
      }
      const TokenId* ids = many_ids_.data() + new_word.begin;
      std::size_t count = new_word.end - new_word.begin;
      std::array<TokenId, ShortIds::kCapacity> few;
      if (new_ids_[i].count != 0) {
        new_ids_[i].append_to(few.data());
        ids = few.data();
        count = new_ids_[i].count;
      }
      const bool is_long = word.size > WordKey<2>::kMaxBytes || new_ids_[i].count == 0;
      if (is_long && count <= LongIds::kCapacity) {
        const WordKey<4> key = make_word_key<4>(text_.data() + word.begin, word.size);
        auto& bucket = long_words_.bucket(hash_of(key));
        if (LongTable::find(bucket, key) == nullptr) {
          long_words_.insert(bucket, key, LongIds::of(ids, count));
        }
      }
    }
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
  const WordLoops<Id> loops_;
  BpeMerger merger_;
  ShortTable words_;
  LongTable long_words_;

  // Of the text that is being encoded.
  ByteBuffer buffer_;
  std::string_view text_;  // in buffer_
  std::array<std::uint64_t, kBatchBlocks> cuts_;
  std::vector<BlockMarks> scratch_;
  std::array<std::uint32_t, kMaxBatchWords + 8> begins_;
  std::array<BatchWord, kMaxBatchWords> batch_;
  std::array<const ShortIds*, kMaxBatchWords> found_;
  std::array<std::uint32_t, kMaxBatchWords + 1> missing_;  // places in batch_
  std::array<TokenId, kMaxBatchWords * ShortIds::kCapacity> ids_;

  // Of the words of a batch that are not in words_.
  std::array<NewWord, kMaxBatchWords> new_words_;
  std::array<ShortIds, kMaxBatchWords> new_ids_;  // count 0 where they are in many_ids_
  std::size_t num_new_ = 0;
  std::vector<TokenId> many_ids_;
  std::array<std::uint16_t, 256> new_by_bucket_;  // numbers from 1 in new_words_
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
