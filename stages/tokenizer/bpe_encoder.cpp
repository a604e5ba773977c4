#include "stages/tokenizer/bpe_encoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
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
        long_words_(cache_bytes / 16 * 3),
        longer_words_(cache_bytes / 16) {}

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
  using ShortTable = WordTable<WordKey<2>, ShortIds>;
  template <std::size_t kNumParts>
  using LongTable = WordTable<WordKey<kNumParts>, WordIds<Id, kNumParts * 8>>;

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
    begin[-1] = '\n';
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
    spaces_before_ = 0;
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
    engine_.splitter().mark(text_.data(), text_.size(), block, num_blocks, cuts_.data(), marks_);
    if (!engine_.user_defined().is_empty()) {
      engine_.user_defined().mark(
          engine_.kernels(), text_, block, num_blocks, cuts_.data(), scratch_, covered);
    }
    if (engine_.space_runs().are_cut()) {
      SpaceRuns::mark(marks_.data(), num_blocks, cuts_.data(), spaces_before_);
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
    const std::uint64_t between_spaces = engine_.space_runs().are_cut() ? kAfterSpaces : 0;
    loops_.make_words(
        text_.data(), begins_.data(), num_words, between_spaces, words_, batch_.data());
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

  // Looks a new word up in the table of long words, if that is where it may be.
  bool find_long(std::size_t i) {
    const std::uint32_t size = batch_[new_words_[i].number].size;
    if (size <= WordKey<2>::kMaxBytes) {
      return false;
    }
    return size <= WordKey<4>::kMaxBytes ? find_long_in(long_words_, i)
                                         : find_long_in(longer_words_, i);
  }

  template <std::size_t kNumParts>
  bool find_long_in(LongTable<kNumParts>& table, std::size_t i) {
    const BatchWord& word = batch_[new_words_[i].number];
    if (word.size > WordKey<kNumParts>::kMaxBytes) {
      return false;
    }
    const WordKey<kNumParts> key = long_key<kNumParts>(word);
    const auto* const found = table.find(table.bucket(hash_of(key)), key);
    if (found == nullptr) {
      return false;
    }
    std::array<TokenId, std::remove_pointer_t<decltype(found)>::kCapacity> ids;
    found->append_to(ids.data());
    take_ids(i, ids.data(), found->count);
    return true;
  }

  template <std::size_t kNumParts>
  WordKey<kNumParts> long_key(const BatchWord& word) const {
    WordKey<kNumParts> key = make_word_key<kNumParts>(text_.data() + word.begin, word.size);
    key.parts[kNumParts - 1] |= word.key.parts[1] & kAfterSpaces;
    return key;
  }

  template <std::size_t kNumParts>
  void keep_long_in(LongTable<kNumParts>& table,
                    const BatchWord& word,
                    const TokenId* ids,
                    std::size_t count) {
    using Ids = typename LongTable<kNumParts>::ValueType;
    if (word.size > WordKey<kNumParts>::kMaxBytes || count > Ids::kCapacity) {
      return;
    }
    const WordKey<kNumParts> key = long_key<kNumParts>(word);
    auto& bucket = table.bucket(hash_of(key));
    if (table.find(bucket, key) == nullptr) {
      table.insert(bucket, key, Ids::of(ids, count));
    }
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
    const bool has_room =
        count <= ShortIds::kCapacity && !has_space_of_run(batch_[new_words_[i].number], ids[0]);
    new_ids_[i] = has_room ? ShortIds::of(ids, count) : ShortIds{};
    new_words_[i].begin = many_ids_.size();
    many_ids_.insert(many_ids_.end(), ids, ids + count);
    new_words_[i].end = many_ids_.size();
  }

  // Whether the first id of the word is that of a space that belongs to the run before it.
  bool has_space_of_run(const BatchWord& word, TokenId first_id) const {
    return is_after_spaces(word.key) && first_id == engine_.space_runs().space_id();
  }

  // The ids of a word whose value has none: they are too many, or the run before it has the first.
  void append_many(std::size_t number, std::vector<TokenId>& ids) {
    const BatchWord& word = batch_[number];
    const std::less<const ShortIds*> is_before;
    const ShortIds* const found = found_[number];
    if (is_before(found, new_ids_.data()) || !is_before(found, new_ids_.data() + num_new_)) {
      append_kept(word, ids);
      return;
    }
    const NewWord& new_word = new_words_[static_cast<std::size_t>(found - new_ids_.data())];
    append_to(ids, word, many_ids_.data() + new_word.begin, new_word.end - new_word.begin);
  }

  // A word whose value says only that its ids may be in the table of long words.
  void append_kept(const BatchWord& word, std::vector<TokenId>& ids) {
    const WordKey<4> key = long_key<4>(word);
    if (const auto* const found = long_words_.find(long_words_.bucket(hash_of(key)), key)) {
      std::array<TokenId, LongTable<4>::ValueType::kCapacity> found_ids;
      found->append_to(found_ids.data());
      append_to(ids, word, found_ids.data(), found->count);
      return;
    }
    const std::string_view text(text_.data() + word.begin, word.size);
    std::size_t end = 0;
    const std::vector<TokenId>& merged = merger_.merge_some(&text, 1, &end);
    keep_long_in(long_words_, word, merged.data(), merged.size());
    const std::vector<TokenId> word_ids = merged;
    append_to(ids, word, word_ids.data(), word_ids.size());
  }

  void append_to(std::vector<TokenId>& ids,
                 const BatchWord& word,
                 const TokenId* word_ids,
                 std::size_t count) {
    if (has_space_of_run(word, word_ids[0])) {
      lengthen_run(word, ids);
      ++word_ids;
      --count;
    }
    ids.insert(ids.end(), word_ids, word_ids + count);
  }

  // Replaces the ids of the run of spaces before the word by those of a run of one space more.
  void lengthen_run(const BatchWord& word, std::vector<TokenId>& ids) {
    std::size_t begin = word.begin;
    while (begin > 0 && text_[begin - 1] == ' ') {
      --begin;
    }
    std::string_view run = text_.substr(begin, word.begin - begin);
    std::size_t end = 0;
    ids.resize(ids.size() - merger_.merge_some(&run, 1, &end).size());
    run = text_.substr(begin, run.size() + 1);
    const std::vector<TokenId>& longer = merger_.merge_some(&run, 1, &end);
    ids.insert(ids.end(), longer.begin(), longer.end());
  }

  void keep_new_words() {
    for (std::size_t i = 0; i < num_new_; ++i) {
      const NewWord& new_word = new_words_[i];
      if (!new_word.is_to_be_kept) {
        continue;
      }
      const BatchWord& word = batch_[new_word.number];
      const TokenId* const ids = many_ids_.data() + new_word.begin;
      const std::size_t count = new_word.end - new_word.begin;
      if (word.size <= WordKey<2>::kMaxBytes) {
        auto& bucket = words_.bucket_at(word.bucket);
        if (words_.find(bucket, word.key) == nullptr) {
          words_.insert(bucket, word.key, new_ids_[i]);
        }
        if (new_ids_[i].count == 0) {
          keep_long_in(long_words_, word, ids, count);
        }
      } else if (word.size <= WordKey<4>::kMaxBytes) {
        keep_long_in(long_words_, word, ids, count);
      } else {
        keep_long_in(longer_words_, word, ids, count);
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
  LongTable<4> long_words_;    // words of 16 bytes and more, and short ones of many ids
  LongTable<8> longer_words_;  // words of 32 bytes and more

  // Of the text that is being encoded.
  ByteBuffer buffer_;
  std::string_view text_;  // in buffer_
  std::array<std::uint64_t, kBatchBlocks> cuts_;
  std::vector<BlockMarks> marks_;
  std::vector<BlockMarks> scratch_;
  std::uint64_t spaces_before_ = 0;  // of the last block that was marked
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
