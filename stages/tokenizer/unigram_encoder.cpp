#include "stages/tokenizer/unigram_encoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include <simdjson.h>

#include "pipeline/byte_buffer.h"
#include "stages/tokenizer/piece_text.h"
#include "stages/tokenizer/unigram_score.h"
#include "stages/tokenizer/unigram_word.h"
#include "stages/tokenizer/utf8_decoding.h"
#include "stages/tokenizer/word_batch.h"
#include "stages/tokenizer/word_table.h"

namespace penstock {
namespace {

constexpr std::size_t kBlockBytes = TextSplitter::kBlockBytes;
// Texts are marked, and their words looked up, this many blocks at a time: enough that a word's
// memory has come when it is needed, few enough to stay in the nearest cache.
constexpr std::size_t kBatchBlocks = 16;
constexpr std::size_t kMaxBatchWords = kBatchBlocks * kBlockBytes + 1;
// Longer texts are left to the library, so that positions have 32 bits, normalized as well.
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 27;
static_assert(kMaxTextBytes * (Charsmap::kMostGrowth + 1) <= std::size_t{1} << 32U);
constexpr std::size_t kKeptTextBytes = std::size_t{1} << 20;
// Of a longer text without a cut nothing is proved: the errors of its own sums would count.
constexpr std::size_t kMaxProvedBytes = std::size_t{1} << 16;

class UnigramEncoder final : public Encoder {
 public:
  UnigramEncoder(const UnigramEngine& engine,
                 std::unique_ptr<Encoder> library,
                 std::size_t cache_bytes)
      : engine_(engine),
        library_(std::move(library)),
        words_(cache_bytes - cache_bytes / 4),
        long_words_(cache_bytes / 4),
        score_(engine.lattice()) {}

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
    engine_.rare_symbols().find(text_, symbols_);
    reserve_ids();
    encode_text();
    append_to(ids);
    give_back_unusual();
  }

 private:
  using ShortIds = UnigramWord<4>;
  using LongIds = UnigramWord<8>;
  using ShortTable = WordTable<WordKey<2>, ShortIds>;
  using LongTable = WordTable<WordKey<4>, LongIds>;

  // An id stands for a byte or more. Those of a word are written whole.
  void reserve_ids() {
    const std::size_t needed = text_.size() + LongIds::kCapacity;
    if (capacity_ < needed) {
      capacity_ = needed + needed / 2;
      ids_ = std::make_unique_for_overwrite<TokenId[]>(capacity_);
    }
  }

  void give_back_unusual() {
    if (buffer_.capacity() > kKeptTextBytes) {
      buffer_ = ByteBuffer();
      ids_.reset();
      capacity_ = 0;
      symbols_ = std::vector<RareSymbols::Place>();
    }
  }

  void encode_text() {
    num_ids_ = 0;
    has_unknown_ = 0;
    first_symbol_ = 0;
    score_.begin_document();
    const std::size_t num_blocks = (text_.size() + kBlockBytes - 1) / kBlockBytes;
    begins_[0] = 0;
    std::size_t num_begins = 1;
    for (std::size_t block = 0; block < num_blocks; block += kBatchBlocks) {
      const std::size_t here = std::min(kBatchBlocks, num_blocks - block);
      mark(block, here);
      num_begins += engine_.kernels().list_cuts(cuts_.data(),
                                                here,
                                                static_cast<std::uint32_t>(block * kBlockBytes),
                                                begins_.data() + num_begins);
      encode_words(num_begins - 1);
      begins_[0] = begins_[num_begins - 1];
      num_begins = 1;
    }
    begins_[1] = static_cast<std::uint32_t>(text_.size());
    encode_words(1);
  }

  // The cuts of some blocks, without the one at the begin of the text and those behind its end.
  void mark(std::size_t block, std::size_t num_blocks) {
    engine_.splitter().mark(text_.data(), text_.size(), block, num_blocks, cuts_.data(), scratch_);
    if (block == 0) {
      cuts_[0] &= ~std::uint64_t{1};
    }
    const std::size_t end = (block + num_blocks) * kBlockBytes;
    if (end > text_.size()) {
      cuts_[num_blocks - 1] &= ~std::uint64_t{0} >> (end - text_.size());
    }
    clear_cuts_in_symbols(block * kBlockBytes, end);
  }

  void clear_cuts_in_symbols(std::size_t begin, std::size_t end) {
    while (first_symbol_ < symbols_.size() && symbols_[first_symbol_].end <= begin) {
      ++first_symbol_;
    }
    for (std::size_t i = first_symbol_; i < symbols_.size() && symbols_[i].begin < end; ++i) {
      const std::size_t last = std::min<std::size_t>(symbols_[i].end, end);
      for (std::size_t at = std::max<std::size_t>(symbols_[i].begin + 1, begin); at < last; ++at) {
        cuts_[(at - begin) / kBlockBytes] &= ~(std::uint64_t{1} << at % kBlockBytes);
      }
    }
  }

  // The words from begins_[i] to begins_[i + 1], for each i below `num_words`.
  void encode_words(std::size_t num_words) {
    make_words(text_.data(), begins_.data(), num_words, words_, batch_.data());
    for (std::size_t i = 0; i < num_words; ++i) {
      i = emit_words(i, num_words);
      if (i < num_words) {
        encode_other(batch_[i]);
      }
    }
    renew_score();
  }

  // Computes the score before its bound stands for more pieces than it can.
  void renew_score() {
    if (score_.is_due(num_ids_)) {
      score_.exact(ids_.get(), num_ids_);
    }
  }

  // From word `first` on, up to one whose ids are not in the table, or not for the score that there
  // is now. Returns its number.
  std::size_t emit_words(std::size_t first, std::size_t num_words) {
    TokenId* end = ids_.get() + num_ids_;
    std::uint64_t bound = score_.bound();
    std::uint32_t has_unknown = has_unknown_;
    std::size_t i = first;
    for (; i < num_words; ++i) {
      const BatchWord& word = batch_[i];
      const ShortIds* const found =
          ShortTable::find_to_front(words_.bucket_at(word.bucket), word.key);
      if (found == nullptr || !UnigramScore::is_below(bound, found->exponent())) {
        break;
      }
      found->copy_to(end);
      end += found->num_ids();
      bound += found->step();
      has_unknown |= found->has_unknown();
    }
    num_ids_ = static_cast<std::size_t>(end - ids_.get());
    score_.set_bound(bound);
    has_unknown_ = has_unknown;
    return i;
  }

  template <typename Ids>
  void emit(const Ids& word) {
    word.copy_to(ids_.get() + num_ids_);
    num_ids_ += word.num_ids();
    score_.raise_bound(word.step());
    has_unknown_ |= word.has_unknown();
  }

  // A word whose ids are not in the table of short words, or not for the score that there is now.
  void encode_other(const BatchWord& place) {
    const std::string_view word = text_.substr(place.begin, place.size);
    if (word[0] == engine_.unknown()) {
      emit_unknown(word.size());
      return;
    }
    const bool is_short = word.size() <= WordKey<2>::kMaxBytes;
    if (is_short) {
      ShortTable::Bucket& bucket = words_.bucket_at(place.bucket);
      const ShortIds* const found = ShortTable::find_to_front(bucket, place.key);
      if (found == nullptr) {
        encode_unseen(word, words_, bucket, place.key);
        return;
      }
      if (found->has_ids()) {
        encode_rounded(word);
        return;
      }
    } else if (encode_parts(word)) {
      return;
    }
    if (word.size() > WordKey<4>::kMaxBytes) {
      encode_uncached(word);
      return;
    }
    const WordKey<4> long_key = make_word_key<4>(word.data(), word.size());
    LongTable::Bucket& bucket = long_words_.bucket(hash_of(long_key));
    const LongIds* const found = LongTable::find_to_front(bucket, long_key);
    if (found == nullptr) {
      encode_unseen(word, long_words_, bucket, long_key);
    } else if (found->has_ids() && score_.is_below(found->exponent())) {
      emit(*found);
    } else if (found->has_ids()) {
      encode_rounded(word);
    } else {
      encode_uncached(word);
    }
  }

  // There is one path of unknown characters, so nothing is to be proved.
  void emit_unknown(std::size_t num_characters) {
    std::fill_n(ids_.get() + num_ids_, num_characters, unknown());
    num_ids_ += num_characters;
    has_unknown_ = 1;
    score_.raise_bound(UnigramScore::step_of(static_cast<double>(num_characters) *
                                             std::abs(engine_.lattice().unknown_score())));
    renew_score();
  }

  // A long word in parts, if there are characters side by side in it as in no piece.
  bool encode_parts(std::string_view word) {
    if (!symbols_.empty()) {
      return false;  // there may be one in the word
    }
    std::size_t begin = 0;
    char32_t before = decode_utf8(word.data());
    for (std::size_t at = utf8_length(word[0]); at < word.size(); at += utf8_length(word[at])) {
      const char32_t here = decode_utf8(word.data() + at);
      if (engine_.proof().is_safe(before, here)) {
        encode_part(word.substr(begin, at - begin));
        begin = at;
      }
      before = here;
    }
    if (begin == 0) {
      return false;
    }
    encode_part(word.substr(begin));
    return true;
  }

  void encode_part(std::string_view part) {
    const std::array<std::uint32_t, 2> begins = {
        static_cast<std::uint32_t>(part.data() - text_.data()),
        static_cast<std::uint32_t>(part.data() - text_.data() + part.size())};
    BatchWord word;
    make_words(text_.data(), begins.data(), 1, words_, &word);
    const ShortIds* const found =
        ShortTable::find_to_front(words_.bucket_at(word.bucket), word.key);
    if (found != nullptr && score_.is_below(found->exponent())) {
      emit(*found);
    } else {
      encode_other(word);
    }
    renew_score();  // a word may have any number of parts
  }

  template <typename Table, typename Key>
  void encode_unseen(std::string_view word,
                     Table& table,
                     typename Table::Bucket& bucket,
                     const Key& key) {
    find_path(word);
    remember(table, bucket, key, path_, proofs_);
    use_path(word);
  }

  template <typename Table, typename Key>
  void remember(Table& table,
                typename Table::Bucket& bucket,
                const Key& key,
                const std::vector<TokenId>& path,
                const std::vector<UnigramLattice::Proof>& proofs) {
    using Ids = std::remove_cvref_t<decltype(bucket.entries[0].value)>;
    UnigramLattice::Proof all;
    for (const UnigramLattice::Proof& proof : proofs) {
      all.exponent = std::min(all.exponent, proof.exponent);
      all.deepest = std::max(all.deepest, all.sum + proof.deepest);
      all.sum += proof.sum;
    }
    const std::uint64_t step = UnigramScore::step_of(all.sum);
    if (step <= Ids::kMaxStep &&
        UnigramScore::deepest_of(all.deepest, Key::kMaxBytes) <= UnigramScore::kSlack) {
      table.insert_behind(
          bucket, key, Ids(path, all.exponent, static_cast<std::uint32_t>(step), unknown()));
    }
  }

  void encode_uncached(std::string_view word) {
    if (word.size() > FastEngine::kLongWordBytes) {
      const std::lock_guard turn(engine_.long_words());
      find_path(word);
      use_path(word);
      give_back_work_space();
      return;
    }
    find_path(word);
    use_path(word);
  }

  void give_back_work_space() {
    workspace_ = UnigramLattice::Workspace();
    path_ = std::vector<TokenId>();
    proofs_ = std::vector<UnigramLattice::Proof>();
    rounded_path_ = std::vector<TokenId>();
  }

  void find_path(std::string_view word) {
    path_.clear();
    proofs_.clear();
    engine_.lattice().best_path(word, workspace_, path_, proofs_);
  }

  // The parts of path_ whose proofs hold here; for the others the path that the library's
  // arithmetic leads to.
  void use_path(std::string_view word) {
    const TokenId* ids = path_.data();
    for (const UnigramLattice::Proof& proof : proofs_) {
      const std::uint64_t deepest = UnigramScore::deepest_of(proof.deepest, proof.num_bytes);
      const auto exponent = static_cast<unsigned>(std::max(proof.exponent, 0));
      if (proof.num_bytes <= kMaxProvedBytes && score_.is_below(exponent, deepest)) {
        append_ids(ids, proof.num_ids);
        score_.raise_bound(UnigramScore::step_of(proof.sum));
      } else {
        encode_rounded(word.substr(0, proof.num_bytes));
      }
      renew_score();
      ids += proof.num_ids;
      word.remove_prefix(proof.num_bytes);
    }
  }

  void encode_rounded(std::string_view word) {
    const float before = score_.exact(ids_.get(), num_ids_);
    rounded_path_.clear();
    const float after = engine_.lattice().rounded_path(word, before, workspace_, rounded_path_);
    append_ids(rounded_path_.data(), rounded_path_.size());
    score_.set(after, num_ids_);
  }

  void append_ids(const TokenId* ids, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      ids_[num_ids_++] = ids[i];
      has_unknown_ |= ids[i] == unknown() ? 1 : 0;
    }
  }

  TokenId unknown() const { return engine_.lattice().unknown_id(); }

  void append_to(std::vector<TokenId>& ids) const {
    if (has_unknown_ == 0) {
      ids.insert(ids.end(), ids_.get(), ids_.get() + num_ids_);
    } else if (engine_.byte_ids() != nullptr) {
      append_with_bytes(ids);
    } else {
      append_joined(ids);
    }
  }

  // Unknown characters side by side are one unknown id.
  void append_joined(std::vector<TokenId>& ids) const {
    std::size_t size = ids.size();
    ids.resize(size + num_ids_);
    bool after_unknown = false;
    for (std::size_t i = 0; i < num_ids_; ++i) {
      ids[size] = ids_[i];
      const bool is_unknown = ids_[i] == unknown();
      size += is_unknown && after_unknown ? 0 : 1;
      after_unknown = is_unknown;
    }
    ids.resize(size);
  }

  // Unknown characters become the ids of their bytes. Where they stand follows from the pieces in
  // front of them.
  void append_with_bytes(std::vector<TokenId>& ids) const {
    std::size_t at = 0;
    for (std::size_t i = 0; i < num_ids_; ++i) {
      if (ids_[i] != unknown()) {
        ids.push_back(ids_[i]);
        at += engine_.lattice().length_of(ids_[i]);
        continue;
      }
      const std::size_t length = utf8_length(text_[at]);
      const bool is_space = text_[at] == ' ';
      for (const char byte : is_space ? kSpaceSymbol : text_.substr(at, length)) {
        ids.push_back(engine_.byte_ids()[static_cast<unsigned char>(byte)]);
      }
      at += length;
    }
  }

  const UnigramEngine& engine_;
  const std::unique_ptr<Encoder> library_;
  ShortTable words_;
  LongTable long_words_;
  UnigramLattice::Workspace workspace_;
  std::vector<TokenId> path_;
  std::vector<UnigramLattice::Proof> proofs_;  // of its parts
  std::vector<TokenId> rounded_path_;

  // Of the text that is being encoded.
  ByteBuffer buffer_;
  std::string_view text_;  // in buffer_
  UnigramScore score_;
  // An unknown id stands for every unknown character. There is room for all that there can be.
  std::unique_ptr<TokenId[]> ids_;
  std::size_t capacity_ = 0;
  std::size_t num_ids_ = 0;
  std::uint32_t has_unknown_ = 0;
  std::array<std::uint64_t, kBatchBlocks> cuts_;
  std::vector<RareSymbols::Place> symbols_;
  std::size_t first_symbol_ = 0;  // those before it have ended
  std::vector<BlockMarks> scratch_;
  std::array<std::uint32_t, kMaxBatchWords + 1 + kSparePlaces> begins_;
  std::array<BatchWord, kMaxBatchWords> batch_;
};

}  // namespace

std::unique_ptr<Encoder> make_unigram_encoder(const UnigramEngine& engine,
                                              std::unique_ptr<Encoder> library,
                                              std::size_t cache_bytes) {
  return std::make_unique<UnigramEncoder>(engine, std::move(library), cache_bytes);
}

}  // namespace penstock
