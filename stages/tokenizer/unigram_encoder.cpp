#include "stages/tokenizer/unigram_encoder.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "stages/tokenizer/utf8_decoding.h"

namespace penstock {
namespace {

// Positions in a text have 32 bits, and normalization makes texts longer.
constexpr std::size_t kLargestText = std::size_t{1} << 26U;
// What the library has where there is a space here.
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
// A longer text without a cut is not worth a proof: the rounding errors of its own pieces count.
constexpr std::size_t kLongestProved = std::size_t{1} << 16U;
// The share of the cache for words that the short table has no room for.
constexpr std::size_t kLongShare = 4;

std::vector<std::string_view> pieces_of(const SentencePieceModel& model) {
  std::vector<std::string_view> pieces;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kNormal || piece.type == PieceType::kUserDefined) {
      pieces.emplace_back(piece.text);
    }
  }
  return pieces;
}

}  // namespace

UnigramVocabulary::UnigramVocabulary(const SentencePieceModel& model)
    : normalizer(model),
      lattice(model),
      proof(pieces_of(model)),
      splitter(proof, text_kernels()),
      byte_fallback(model.byte_fallback),
      byte_ids(model.byte_ids) {
  if (model.pieces.size() > UnigramWord<4>::kLargestId) {
    throw std::runtime_error("it has " + std::to_string(model.pieces.size()) + " pieces");
  }
}

UnigramEncoder::UnigramEncoder(const UnigramVocabulary& vocabulary,
                               std::unique_ptr<Encoder> library,
                               std::size_t cache_bytes)
    : vocabulary_(vocabulary),
      library_(std::move(library)),
      short_table_(cache_bytes - cache_bytes / kLongShare),
      long_table_(cache_bytes / kLongShare),
      score_(vocabulary.lattice) {}

void UnigramEncoder::encode(std::string_view text, std::vector<TokenId>& ids) {
  if (text.size() > kLargestText) {
    library_->encode(text, ids);
    return;
  }
  normalized_ = vocabulary_.normalizer.normalize(text, buffer_);
  if (normalized_.empty()) {
    return;
  }
  reserve_ids(normalized_.size());
  encode_normalized();
  append_ids(ids);
}

// A piece is a byte or more, and so is an unknown character. Words are written whole.
void UnigramEncoder::reserve_ids(std::size_t num_bytes) {
  const std::size_t needed = num_bytes + LongWord::kMostIds;
  if (capacity_ < needed) {
    capacity_ = needed + needed / 2;
    ids_ = std::make_unique_for_overwrite<TokenId[]>(capacity_);
  }
}

void UnigramEncoder::encode_normalized() {
  num_ids_ = 0;
  has_unknown_ = 0;
  unit_begin_ = 0;
  score_.begin_document();
  const std::size_t num_blocks =
      (normalized_.size() + TextSplitter::kBlockBytes - 1) / TextSplitter::kBlockBytes;
  for (std::size_t block = 0; block < num_blocks; block += kBlocksAtOnce) {
    find_units(block, std::min(kBlocksAtOnce, num_blocks - block));
    encode_units();
    if (score_.is_due(num_ids_)) {
      score_.exact(ids_.get(), num_ids_);
    }
  }
}

// Those that end in the blocks.
void UnigramEncoder::find_units(std::size_t first_block, std::size_t num_blocks) {
  units_.clear();
  vocabulary_.splitter.mark(
      normalized_.data(), normalized_.size(), first_block, num_blocks, cuts_.data(), marks_);
  if (first_block == 0) {
    cuts_[0] &= ~std::uint64_t{1};
  }
  const std::size_t size = normalized_.size();
  for (std::size_t i = 0; i < num_blocks; ++i) {
    const std::size_t begin = (first_block + i) * TextSplitter::kBlockBytes;
    for (std::uint64_t cuts = cuts_[i]; cuts != 0; cuts &= cuts - 1) {
      const std::size_t cut = begin + static_cast<std::size_t>(std::countr_zero(cuts));
      if (cut >= size) {
        break;
      }
      add_unit(cut);
    }
  }
  if ((first_block + num_blocks) * TextSplitter::kBlockBytes >= size) {
    add_unit(size);
  }
}

void UnigramEncoder::add_unit(std::size_t end) {
  const char* const begin = normalized_.data() + unit_begin_;
  const std::size_t size = end - unit_begin_;
  Unit unit{{}, nullptr, static_cast<std::uint32_t>(unit_begin_), static_cast<std::uint32_t>(size)};
  if (size <= ShortKey::kMaxBytes) {
    unit.key = make_word_key<2>(begin, size);
    unit.bucket = &short_table_.bucket(hash_of(unit.key));
    __builtin_prefetch(unit.bucket);
  }
  units_.push_back(unit);
  unit_begin_ = end;
}

void UnigramEncoder::encode_units() {
  for (const Unit& unit : units_) {
    const std::string_view text = normalized_.substr(unit.begin, unit.size);
    if (unit.bucket == nullptr) {
      encode_long(text);
      continue;
    }
    const auto& entries = unit.bucket->entries;
    const bool is_second = entries[1].key == unit.key;
    const bool is_there = is_second || entries[0].key == unit.key;
    const ShortWord& word = entries[is_second ? 1 : 0].value;
    word.copy_ids(ids_.get() + num_ids_);
    if (is_there && score_.is_below(word.exponent())) {
      num_ids_ += word.num_ids();
      score_.raise_bound(word.step());
      has_unknown_ |= word.has_unknown();
    } else {
      encode_short(text, unit.key, *unit.bucket);
    }
  }
}

void UnigramEncoder::encode_short(std::string_view text,
                                  const ShortKey& key,
                                  ShortTable::Bucket& bucket) {
  const ShortWord* const word = ShortTable::find(bucket, key);
  if (word != nullptr && word->has_ids()) {
    emit_word(*word, text);
  } else if (word != nullptr) {
    encode_long(text);
  } else {
    const PathProof proof = find_path(text);
    remember(short_table_, bucket, key, proof);
    if (is_below(proof, text.size())) {
      emit_path();
      score_.raise_bound(UnigramScore::step_of(proof.sum));
    } else {
      emit_rounded(text);
    }
  }
}

// What the short table has no room for: in parts, if there are pairs of characters that no piece
// has.
void UnigramEncoder::encode_long(std::string_view text) {
  std::size_t begin = 0;
  char32_t before = decode_utf8(text.data());
  for (std::size_t at = utf8_length(text[0]); at < text.size(); at += utf8_length(text[at])) {
    const char32_t here = decode_utf8(text.data() + at);
    if (vocabulary_.proof.is_safe(before, here)) {
      encode_between_cuts(text.substr(begin, at - begin));
      begin = at;
    }
    before = here;
  }
  const std::string_view rest = text.substr(begin);
  if (begin > 0) {
    encode_between_cuts(rest);
  } else if (rest.size() > LongKey::kMaxBytes) {
    encode_uncached(rest);
  } else {
    const LongKey key = make_word_key<4>(rest.data(), rest.size());
    LongTable::Bucket& bucket = long_table_.bucket(hash_of(key));
    const LongWord* const word = LongTable::find(bucket, key);
    if (word != nullptr && word->has_ids()) {
      emit_word(*word, rest);
      return;
    }
    const PathProof proof = find_path(rest);
    if (word == nullptr) {
      remember(long_table_, bucket, key, proof);
    }
    if (is_below(proof, rest.size())) {
      emit_path();
      score_.raise_bound(UnigramScore::step_of(proof.sum));
    } else {
      emit_rounded(rest);
    }
  }
}

void UnigramEncoder::encode_between_cuts(std::string_view text) {
  if (text.size() <= ShortKey::kMaxBytes) {
    const ShortKey key = make_word_key<2>(text.data(), text.size());
    encode_short(text, key, short_table_.bucket(hash_of(key)));
  } else {
    encode_long(text);
  }
}

// From one place that no piece crosses to the next.
void UnigramEncoder::encode_uncached(std::string_view text) {
  while (!text.empty()) {
    path_.clear();
    UnigramLattice::Proof proof;
    const std::size_t length = vocabulary_.lattice.best_path(text, 0, workspace_, path_, proof);
    const std::string_view part = text.substr(0, length);
    const auto exponent = static_cast<unsigned>(std::max(proof.exponent, 0));
    const auto deepest = static_cast<std::uint64_t>(proof.deepest) + length + 1;
    if (length <= kLongestProved && score_.is_below(exponent, deepest)) {
      emit_path();
      score_.raise_bound(UnigramScore::step_of(proof.sum));
    } else {
      emit_rounded(part);
    }
    if (score_.is_due(num_ids_)) {
      score_.exact(ids_.get(), num_ids_);
    }
    text.remove_prefix(length);
  }
}

UnigramEncoder::PathProof UnigramEncoder::find_path(std::string_view text) {
  path_.clear();
  PathProof all;
  for (std::size_t begin = 0; begin < text.size();) {
    UnigramLattice::Proof part;
    begin += vocabulary_.lattice.best_path(
        text.substr(begin), static_cast<std::uint32_t>(begin), workspace_, path_, part);
    all.exponent = std::min(all.exponent, part.exponent);
    all.deepest = std::max(all.deepest, all.sum + part.deepest);
    all.sum += part.sum;
    all.has_unknown |= part.has_unknown;
  }
  return all;
}

// A float is rounded by up to 2^(exponent - 25), each step of a path is a byte or more.
bool UnigramEncoder::is_below(const PathProof& proof, std::size_t num_bytes) const {
  const auto deepest = static_cast<std::uint64_t>(proof.deepest) + num_bytes + 1;
  return score_.is_below(static_cast<unsigned>(std::max(proof.exponent, 0)), deepest);
}

template <typename Table, typename Key>
void UnigramEncoder::remember(Table& table,
                              typename Table::Bucket& bucket,
                              const Key& key,
                              const PathProof& proof) {
  using Word = std::remove_cvref_t<decltype(bucket.entries[0].value)>;
  const std::uint64_t step = UnigramScore::step_of(proof.sum);
  const bool is_deep = proof.deepest + double{Key::kMaxBytes} + 1 > double{UnigramScore::kSlack};
  if (step > Word::kLargestStep || is_deep) {
    return;
  }
  path_ids_.clear();
  for (const UnigramLattice::Token& token : path_) {
    path_ids_.push_back(token.id);
  }
  table.insert(bucket,
               key,
               Word(path_ids_.data(),
                    path_ids_.size(),
                    proof.exponent,
                    static_cast<std::uint32_t>(step),
                    proof.has_unknown));
}

template <typename Word>
void UnigramEncoder::emit_word(const Word& word, std::string_view text) {
  if (!score_.is_below(word.exponent())) {
    emit_rounded(text);
    return;
  }
  word.copy_ids(ids_.get() + num_ids_);
  num_ids_ += word.num_ids();
  score_.raise_bound(word.step());
  has_unknown_ |= word.has_unknown();
}

void UnigramEncoder::emit_path() {
  for (const UnigramLattice::Token& token : path_) {
    ids_[num_ids_++] = token.id;
    has_unknown_ |= token.id == vocabulary_.lattice.unknown_id() ? 1 : 0;
  }
}

void UnigramEncoder::emit_rounded(std::string_view text) {
  const float before = score_.exact(ids_.get(), num_ids_);
  path_.clear();
  const float after = vocabulary_.lattice.rounded_path(text, before, workspace_, path_);
  emit_path();
  score_.set(after, num_ids_);
}

void UnigramEncoder::append_ids(std::vector<TokenId>& ids) const {
  if (has_unknown_ == 0) {
    ids.insert(ids.end(), ids_.get(), ids_.get() + num_ids_);
  } else if (vocabulary_.byte_fallback) {
    append_with_bytes(ids);
  } else {
    append_merged(ids);
  }
}

// Unknown characters side by side have one id.
void UnigramEncoder::append_merged(std::vector<TokenId>& ids) const {
  const TokenId unknown = vocabulary_.lattice.unknown_id();
  std::size_t size = ids.size();
  ids.resize(size + num_ids_);
  bool after_unknown = false;
  for (std::size_t i = 0; i < num_ids_; ++i) {
    ids[size] = ids_[i];
    const bool is_unknown = ids_[i] == unknown;
    size += is_unknown && after_unknown ? 0 : 1;
    after_unknown = is_unknown;
  }
  ids.resize(size);
}

// Unknown characters have an id for each of their bytes, which follow from where they stand.
void UnigramEncoder::append_with_bytes(std::vector<TokenId>& ids) const {
  const TokenId unknown = vocabulary_.lattice.unknown_id();
  std::size_t at = 0;
  for (std::size_t i = 0; i < num_ids_; ++i) {
    if (ids_[i] != unknown) {
      ids.push_back(ids_[i]);
      at += vocabulary_.lattice.length_of(ids_[i]);
      continue;
    }
    const std::size_t length = utf8_length(normalized_[at]);
    std::string_view character = normalized_.substr(at, length);
    if (character == " ") {
      character = kSpaceMark;
    }
    for (const char byte : character) {
      ids.push_back(vocabulary_.byte_ids[static_cast<std::uint8_t>(byte)]);
    }
    at += length;
  }
}

}  // namespace penstock
