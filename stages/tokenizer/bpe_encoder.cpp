#include "stages/tokenizer/bpe_encoder.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

#include <simdjson.h>

#include "pipeline/byte_buffer.h"
#include "stages/tokenizer/bpe_merger.h"
#include "stages/tokenizer/word_ids.h"
#include "stages/tokenizer/word_lookup.h"
#include "stages/tokenizer/word_table.h"

namespace penstock {
namespace {

constexpr std::size_t kBlockBytes = TextSplitter::kBlockBytes;
// Texts are marked, and their words looked up, this many blocks at a time: enough that a word's
// memory has come when it is needed, few enough to stay in the nearest cache.
constexpr std::size_t kBatchBlocks = 16;
// Every so many batches the words of one come to the front of their buckets: often enough to keep
// those that are met again when a new one takes the place behind.
constexpr std::size_t kBatchesPerSort = 16;
constexpr std::size_t kMaxBatchWords = kBatchBlocks * kBlockBytes + 1;
// Longer texts are left to the library, so that positions have 32 bits, normalized as well.
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 27;
static_assert(kMaxTextBytes * (Charsmap::kMostGrowth + 1) <= std::size_t{1} << 32U);
constexpr std::size_t kKeptTextBytes = std::size_t{1} << 20;

template <typename Id>
class BpeEncoder final : public Encoder {
 public:
  BpeEncoder(const BpeEngine& engine, std::unique_ptr<Encoder> library, std::size_t cache_bytes)
      : engine_(engine),
        library_(std::move(library)),
        loops_(std::get<WordLoops<Id>>(engine.kernels().loops)),
        merger_(
            engine.vocabulary(), engine.kernels(), engine.long_words(), FastEngine::kLongWordBytes),
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
    text_ = engine_.normalizer().normalize(text, buffer_);
    if (text_.empty()) {
      return;
    }
    hide_byte_before();
    const std::size_t begin = ids.size();
    encode_text(ids);
    if (engine_.joined_unknown_id()) {
      join_unknown(ids, begin);
    }
    if (buffer_.capacity() > kKeptTextBytes) {
      buffer_ = ByteBuffer();
      new_ids_ = std::vector<TokenId>();
      merger_.forget_result();
    }
  }

 private:
  using ShortIds = WordIds<Id, 16>;
  using ShortTable = ShortWordTable<Id>;
  template <std::size_t kNumParts>
  using LongTable = WordTable<WordKey<kNumParts>, WordIds<Id, kNumParts * 8>>;

  struct NewWord {
    std::uint32_t number;    // in batch_
    bool is_to_be_kept;      // in a table
    std::uint32_t begin_id;  // in new_ids_
    std::uint32_t end_id;
  };
  static constexpr std::uint16_t kNotNew = UINT16_MAX;

  // No space before the text, so that none seems to be the second one of a run.
  void hide_byte_before() {
    static_assert(Normalizer::kMargin > 0);
    buffer_.data()[text_.data() - buffer_.data() - 1] = '\n';
  }

  void encode_text(std::vector<TokenId>& ids) {
    const std::size_t num_blocks = (text_.size() + kBlockBytes - 1) / kBlockBytes;
    std::size_t covered = 0;
    spaces_before_ = 0;
    bool last_cut_runs = false;
    begins_[0] = 0;
    std::size_t num_begins = 1;
    for (std::size_t block = 0; block < num_blocks; block += kBatchBlocks) {
      const std::size_t here = std::min(kBatchBlocks, num_blocks - block);
      const bool cuts_runs = mark(block, here, covered);
      num_begins += engine_.kernels().list_cuts(cuts_.data(),
                                                here,
                                                static_cast<std::uint32_t>(block * kBlockBytes),
                                                begins_.data() + num_begins);
      // The first word may begin among the blocks before.
      has_cut_runs_ = cuts_runs || last_cut_runs;
      last_cut_runs = num_begins > 1 ? cuts_runs : has_cut_runs_;
      encode_words(num_begins - 1, ids);
      begins_[0] = begins_[num_begins - 1];
      num_begins = 1;
    }
    begins_[1] = static_cast<std::uint32_t>(text_.size());
    has_cut_runs_ = last_cut_runs;
    encode_words(1, ids);
  }

  // The cuts of some blocks, without the one at the begin of the text and those behind its end.
  // Returns whether some are before the last space of a run.
  bool mark(std::size_t block, std::size_t num_blocks, std::size_t& covered) {
    engine_.splitter().mark(text_.data(), text_.size(), block, num_blocks, cuts_.data(), marks_);
    if (!engine_.user_defined().is_empty()) {
      engine_.user_defined().mark(
          engine_.kernels(), text_, block, num_blocks, cuts_.data(), scratch_, covered);
    }
    bool cuts_runs = false;
    if (engine_.space_runs().are_cut()) {
      const std::size_t end =
          std::min(text_.size() - block * kBlockBytes, num_blocks * kBlockBytes);
      cuts_runs = SpaceRuns::mark(marks_.data(), end, cuts_.data(), spaces_before_);
    }
    if (block == 0) {
      cuts_[0] &= ~std::uint64_t{1};
    }
    const std::size_t end = (block + num_blocks) * kBlockBytes;
    if (end >= text_.size()) {
      const std::size_t unused = end - text_.size();
      cuts_[num_blocks - 1] &= unused == 0 ? ~std::uint64_t{0} : (~std::uint64_t{0} >> unused);
    }
    return cuts_runs;
  }

  // The words from begins_[i] to begins_[i + 1], for each i below `num_words`. What is new enters
  // the tables when all ids have been written.
  void encode_words(std::size_t num_words, std::vector<TokenId>& ids) {
    const auto key_words = has_cut_runs_ ? loops_.key_words_marking : loops_.key_words;
    key_words(text_.data(), begins_.data(), num_words, words_, batch_.data());
    const LookedUp found =
        loops_.look_up_words(batch_.data(), num_words, ids_.data(), missing_.data());
    list_new_words(found.num_missing);
    encode_new_words();
    std::size_t done = 0;
    for (std::size_t i = 0; i < found.num_missing; ++i) {
      ids.insert(ids.end(), ids_.data() + done, ids_.data() + missing_[i].num_ids);
      done = missing_[i].num_ids;
      append_missing(i, ids);
    }
    ids.insert(ids.end(), ids_.data() + done, ids_.data() + found.num_ids);
    keep_new_words();
    if (++num_batches_ % kBatchesPerSort == 0) {
      for (std::size_t i = 0; i < num_words; ++i) {
        ShortTable::find_to_front(*batch_[i].bucket, batch_[i].key);
      }
    }
  }

  std::string_view text_of(std::size_t number) const {
    return text_.substr(begins_[number], begins_[number + 1] - begins_[number]);
  }
  bool is_after_spaces(std::size_t number) const {
    return (batch_[number].key.parts[1] & kAfterSpaces) != 0;
  }

  // Makes new words of those that are missing, each once where that is seen at little cost. Short
  // words whose ids are in the table of long words are none.
  void list_new_words(std::size_t num_missing) {
    num_new_ = 0;
    if (num_missing == 0) {
      return;
    }
    new_by_bucket_.fill(0);
    for (std::size_t i = 0; i < num_missing; ++i) {
      const std::uint32_t number = missing_[i].word;
      const KeyedWord<Id>& word = batch_[number];
      const auto place = reinterpret_cast<std::uintptr_t>(word.bucket) / sizeof(*word.bucket);
      std::uint16_t& seen = new_by_bucket_[place % new_by_bucket_.size()];
      if (text_of(number).size() <= WordKey<2>::kMaxBytes) {
        if (ShortTable::find(*word.bucket, word.key) != nullptr) {
          new_of_missing_[i] = kNotNew;
          continue;
        }
        if (seen != 0 && batch_[new_words_[seen - 1].number].key == word.key) {
          new_of_missing_[i] = static_cast<std::uint16_t>(seen - 1);
          continue;
        }
        seen = static_cast<std::uint16_t>(num_new_ + 1);
      }
      new_words_[num_new_] = {number, false, 0, 0};
      new_of_missing_[i] = static_cast<std::uint16_t>(num_new_);
      ++num_new_;
    }
  }

  // Those that are not in a table of long words are merged, some at a time.
  void encode_new_words() {
    new_ids_.clear();
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
    if (num_waiting > 0) {
      merge(waiting.data(), num_waiting);
    }
  }

  bool find_long(std::size_t i) {
    const std::size_t size = text_of(new_words_[i].number).size();
    if (size <= WordKey<2>::kMaxBytes) {
      return false;
    }
    return size <= WordKey<4>::kMaxBytes ? find_long_in(long_words_, i)
                                         : find_long_in(longer_words_, i);
  }

  template <std::size_t kNumParts>
  bool find_long_in(LongTable<kNumParts>& table, std::size_t i) {
    const std::size_t number = new_words_[i].number;
    if (text_of(number).size() > WordKey<kNumParts>::kMaxBytes) {
      return false;
    }
    const WordKey<kNumParts> key = long_key<kNumParts>(number);
    const auto* const found = table.find_to_front(table.bucket(hash_of(key)), key);
    if (found == nullptr) {
      return false;
    }
    std::array<TokenId, LongTable<kNumParts>::ValueType::kCapacity> ids;
    found->append_to(ids.data());
    take_ids(i, ids.data(), found->count);
    return true;
  }

  template <std::size_t kNumParts>
  WordKey<kNumParts> long_key(std::size_t number) const {
    const std::string_view text = text_of(number);
    WordKey<kNumParts> key = make_word_key<kNumParts>(text.data(), text.size());
    key.parts[kNumParts - 1] |= batch_[number].key.parts[1] & kAfterSpaces;
    return key;
  }

  void merge(const std::size_t* waiting, std::size_t num_waiting) {
    std::array<std::string_view, BpeMerger::kSome> words;
    std::array<std::size_t, BpeMerger::kSome> ends;
    std::array<std::size_t, BpeMerger::kSome> merging;  // which of the new words
    std::size_t num_words = 0;
    for (std::size_t i = 0; i < num_waiting; ++i) {
      NewWord& new_word = new_words_[waiting[i]];
      new_word.is_to_be_kept = true;
      const std::string_view text = text_of(new_word.number);
      if (!engine_.user_defined().is_empty()) {
        if (const std::optional<TokenId> id = engine_.user_defined().id_of(text)) {
          take_ids(waiting[i], &*id, 1);
          continue;
        }
      }
      merging[num_words] = waiting[i];
      words[num_words++] = text;
    }
    const std::vector<TokenId>& merged = merger_.merge_some(words.data(), num_words, ends.data());
    std::size_t begin = 0;
    for (std::size_t i = 0; i < num_words; ++i) {
      take_ids(merging[i], merged.data() + begin, ends[i] - begin);
      begin = ends[i];
    }
  }

  void take_ids(std::size_t i, const TokenId* ids, std::size_t count) {
    new_words_[i].begin_id = static_cast<std::uint32_t>(new_ids_.size());
    new_ids_.insert(new_ids_.end(), ids, ids + count);
    new_words_[i].end_id = static_cast<std::uint32_t>(new_ids_.size());
  }

  void append_missing(std::size_t i, std::vector<TokenId>& ids) {
    if (new_of_missing_[i] == kNotNew) {
      append_kept(missing_[i].word, ids);
      return;
    }
    const NewWord& word = new_words_[new_of_missing_[i]];
    append(missing_[i].word, new_ids_.data() + word.begin_id, word.end_id - word.begin_id, ids);
  }

  // A word that is in the table of short words without its ids: they may be in the table of long
  // words.
  void append_kept(std::size_t number, std::vector<TokenId>& ids) {
    const WordKey<4> key = long_key<4>(number);
    if (const auto* const found = long_words_.find(long_words_.bucket(hash_of(key)), key)) {
      std::array<TokenId, LongTable<4>::ValueType::kCapacity> found_ids;
      found->append_to(found_ids.data());
      append(number, found_ids.data(), found->count, ids);
      return;
    }
    const std::string_view text = text_of(number);
    std::size_t end = 0;
    const std::vector<TokenId> merged = merger_.merge_some(&text, 1, &end);
    keep_long_in(long_words_, number, merged.data(), merged.size());
    append(number, merged.data(), merged.size(), ids);
  }

  // The first id of a word may be that of a space that belongs to the run before it.
  bool has_space_of_run(std::size_t number, TokenId first_id) const {
    return is_after_spaces(number) && first_id == engine_.space_runs().space_id();
  }

  void append(std::size_t number,
              const TokenId* word_ids,
              std::size_t count,
              std::vector<TokenId>& ids) {
    if (has_space_of_run(number, word_ids[0])) {
      lengthen_run(number, ids);
      ++word_ids;
      --count;
    }
    ids.insert(ids.end(), word_ids, word_ids + count);
  }

  // Replaces the ids of the run of spaces before the word by those of a run of one space more.
  void lengthen_run(std::size_t number, std::vector<TokenId>& ids) {
    const std::size_t end = begins_[number];
    std::size_t begin = end;
    while (begin > 0 && text_[begin - 1] == ' ') {
      --begin;
    }
    std::string_view run = text_.substr(begin, end - begin);
    std::size_t end_id = 0;
    ids.resize(ids.size() - merger_.merge_some(&run, 1, &end_id).size());
    run = text_.substr(begin, end - begin + 1);
    const std::vector<TokenId>& longer = merger_.merge_some(&run, 1, &end_id);
    ids.insert(ids.end(), longer.begin(), longer.end());
  }

  void keep_new_words() {
    for (std::size_t i = 0; i < num_new_; ++i) {
      const NewWord& word = new_words_[i];
      if (word.is_to_be_kept) {
        keep(word.number, new_ids_.data() + word.begin_id, word.end_id - word.begin_id);
      }
    }
  }

  void keep(std::size_t number, const TokenId* ids, std::size_t count) {
    const std::size_t size = text_of(number).size();
    if (size > WordKey<4>::kMaxBytes) {
      keep_long_in(longer_words_, number, ids, count);
      return;
    }
    const bool has_room = count <= ShortIds::kCapacity && !has_space_of_run(number, ids[0]);
    if (size <= WordKey<2>::kMaxBytes) {
      const KeyedWord<Id>& word = batch_[number];
      if (ShortTable::find(*word.bucket, word.key) == nullptr) {
        words_.insert_behind(
            *word.bucket, word.key, has_room ? ShortIds::of(ids, count) : ShortIds{});
      }
    }
    if (size > WordKey<2>::kMaxBytes || !has_room) {
      keep_long_in(long_words_, number, ids, count);
    }
  }

  template <std::size_t kNumParts>
  void keep_long_in(LongTable<kNumParts>& table,
                    std::size_t number,
                    const TokenId* ids,
                    std::size_t count) {
    using Ids = typename LongTable<kNumParts>::ValueType;
    if (text_of(number).size() > WordKey<kNumParts>::kMaxBytes || count > Ids::kCapacity) {
      return;
    }
    const WordKey<kNumParts> key = long_key<kNumParts>(number);
    auto& bucket = table.bucket(hash_of(key));
    if (table.find(bucket, key) == nullptr) {
      table.insert_behind(bucket, key, Ids::of(ids, count));
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
  bool has_cut_runs_ = false;        // before words of the batch

  // Of a batch.
  std::array<std::uint32_t, kMaxBatchWords + 1 + kSparePlaces> begins_;
  std::array<KeyedWord<Id>, kMaxBatchWords> batch_;
  std::array<TokenId, (kMaxBatchWords + 1) * (ShortIds::kCapacity + 1)> ids_;
  std::array<MissingWord, kMaxBatchWords + 1> missing_;
  std::array<std::uint16_t, kMaxBatchWords> new_of_missing_;  // in new_words_, or kNotNew
  std::array<NewWord, kMaxBatchWords> new_words_;
  std::size_t num_new_ = 0;
  std::vector<TokenId> new_ids_;
  std::array<std::uint16_t, 256> new_by_bucket_;  // numbers from 1 in new_words_
  std::size_t num_batches_ = 0;
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
