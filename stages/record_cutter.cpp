#include "stages/record_cutter.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <string_view>
#include <utility>

#include "pipeline/option.h"

namespace penstock {
namespace {

// Bytes to ask for at a time: in general, and where a chunk lacks nothing but the end of a record.
// What is too much for a chunk has to be copied to the next one.
constexpr std::size_t kStepBytes = std::size_t{128} << 10;
constexpr std::size_t kLastStepBytes = std::size_t{8} << 10;

// A chunk ends with this many records that are too long, so that a shard full of them is reported
// bit by bit.
constexpr std::size_t kMostTooLong = 64;

// std::count in sums of a byte each, which compilers make vectors of.
std::int64_t count_newlines(std::string_view bytes) {
  constexpr std::size_t kSums = 64;
  constexpr std::size_t kMostBlocks = 255;  // that a sum can count
  std::int64_t count = 0;
  while (bytes.size() >= kSums) {
    std::array<std::uint8_t, kSums> sums{};
    const std::size_t blocks = std::min(bytes.size() / kSums, kMostBlocks);
    for (std::size_t block = 0; block < blocks; ++block) {
      for (std::size_t i = 0; i < kSums; ++i) {
        sums[i] = static_cast<std::uint8_t>(sums[i] + (bytes[block * kSums + i] == '\n' ? 1 : 0));
      }
    }
    count = std::accumulate(sums.begin(), sums.end(), count);
    bytes.remove_prefix(blocks * kSums);
  }
  return count + std::count(bytes.begin(), bytes.end(), '\n');
}

// Behind the last newline; 0 where there is none.
std::size_t behind_last_newline(std::string_view bytes) {
  const void* last = memrchr(bytes.data(), '\n', bytes.size());
  return last == nullptr
             ? 0
             : static_cast<std::size_t>(static_cast<const char*>(last) - bytes.data()) + 1;
}

ByteBuffer copy_of(std::string_view bytes, std::size_t capacity) {
  ByteBuffer copy(capacity);
  copy.append(bytes);
  return copy;
}

}  // namespace

void RecordCutter::begin_shard(SourcePosition place) {
  record_ = std::move(place);
  begin_chunk();
}

std::span<char> RecordCutter::room() {
  make_room();
  ByteBuffer& bytes = chunk_.bytes;
  const bool lacks_end =
      options_.delimiter == RecordDelimiter::kLine && bytes.size() >= options_.chunk_size;
  return {bytes.data() + bytes.size(),
          std::min(bytes.capacity() - bytes.size(), lacks_end ? kLastStepBytes : kStepBytes)};
}

void RecordCutter::add(std::size_t size) {
  chunk_.bytes.resize(chunk_.bytes.size() + size);
  cut();
}

ByteChunk RecordCutter::take_chunk() {
  ByteChunk chunk = std::move(chunk_);
  chunk_ = {};
  const std::string_view rest = chunk.bytes.view().substr(record_begin_);
  // Capacity is what memory credits count.
  if (chunk.bytes.capacity() <= record_begin_ + record_begin_ / 4) {
    chunk_.bytes = std::move(small_);
    chunk_.bytes.clear();
    chunk_.bytes.append(rest);
    chunk.bytes.resize(record_begin_);
  } else {
    chunk_.bytes = std::move(chunk.bytes);
    chunk.bytes = copy_of(chunk_.bytes.view().substr(0, record_begin_), record_begin_);
    drop(0, record_begin_);
  }
  begin_chunk();
  cut();
  chunk.spare = std::move(spare_);
  return chunk;
}

std::optional<ByteChunk> RecordCutter::end_shard() {
  if (too_long_) {
    count_records(1, too_long_->raw_bytes);
    reject_too_long();
  } else if (chunk_.bytes.size() > record_begin_) {
    count_records(1, static_cast<std::int64_t>(chunk_.bytes.size() - record_begin_));
  }
  record_begin_ = chunk_.bytes.size();
  if (chunk_.num_records == 0) {
    return std::nullopt;
  }
  return take_chunk();
}

ByteChunk RecordCutter::break_off(std::string reason) {
  constexpr std::size_t kMostRaw = std::size_t{64} << 10;
  Reject reject;
  if (too_long_) {
    reject = std::move(*too_long_);
    too_long_.reset();
  } else {
    const std::string_view raw = chunk_.bytes.view().substr(record_begin_);
    reject.raw = raw.substr(0, kMostRaw);
    reject.raw_bytes = std::ssize(raw);
  }
  reject.position = record_;
  reject.reason = std::move(reason);
  chunk_.rejects.push_back(std::move(reject));
  chunk_.bytes.resize(record_begin_);
  ++chunk_.num_records;
  return take_chunk();
}

// With the bytes that are there already.
void RecordCutter::begin_chunk() {
  chunk_.position = record_;
  chunk_.delimiter = options_.delimiter;
  record_begin_ = 0;
  cut_end_ = 0;
  is_complete_ = false;
}

void RecordCutter::cut() {
  while (cut_end_ < chunk_.bytes.size() && !is_complete_) {
    const std::size_t plain = plain_end();
    if (too_long_) {
      skip_too_long();
    } else if (plain > cut_end_) {
      cut_plain(plain);
    } else {
      cut_record();
    }
  }
}

// Up to where the bytes can neither complete the chunk nor make a record too long, whatever they
// are.
std::size_t RecordCutter::plain_end() const {
  if (options_.delimiter == RecordDelimiter::kFile) {
    return 0;
  }
  const std::size_t end = std::min(chunk_.bytes.size(), options_.chunk_size - 1);
  return end <= record_begin_ + options_.max_document ? end : 0;
}

void RecordCutter::cut_plain(std::size_t end) {
  const std::string_view bytes = chunk_.bytes.view().substr(cut_end_, end - cut_end_);
  if (const std::size_t behind = behind_last_newline(bytes); behind > 0) {
    const std::size_t record_end = cut_end_ + behind;
    count_records(count_newlines(bytes.substr(0, behind)),
                  static_cast<std::int64_t>(record_end - record_begin_));
    record_begin_ = record_end;
  }
  cut_end_ = end;
}

// Goes on to the end of the record under way, or as far as there are bytes.
void RecordCutter::cut_record() {
  const std::size_t end = find_newline(cut_end_);
  if (end - record_begin_ > options_.max_document) {
    too_long_.emplace();
    too_long_->position = record_;
    cut_end_ = record_begin_;
  } else if (end == chunk_.bytes.size()) {
    cut_end_ = end;
  } else {
    count_records(1, static_cast<std::int64_t>(end + 1 - record_begin_));
    record_begin_ = cut_end_ = end + 1;
    is_complete_ = record_begin_ >= options_.chunk_size;
  }
}

// Of a record that is too long the beginning is kept; the rest is only measured.
void RecordCutter::skip_too_long() {
  constexpr std::size_t kMostRaw = 80;
  const std::size_t end = find_newline(record_begin_);
  const std::string_view bytes = chunk_.bytes.view().substr(record_begin_, end - record_begin_);
  too_long_->raw += bytes.substr(0, kMostRaw - too_long_->raw.size());
  too_long_->raw_bytes += std::ssize(bytes);
  const bool ends = end < chunk_.bytes.size();
  drop(record_begin_, ends ? end + 1 : end);
  if (ends) {
    count_records(1, too_long_->raw_bytes + 1);
    reject_too_long();
    is_complete_ = record_begin_ >= options_.chunk_size || chunk_.rejects.size() >= kMostTooLong;
  }
}

void RecordCutter::reject_too_long() {
  too_long_->reason = "record of " + std::to_string(too_long_->raw_bytes) +
                      " bytes is longer than max_document (" +
                      format_bytes(static_cast<std::int64_t>(options_.max_document)) + ")";
  chunk_.rejects.push_back(std::move(*too_long_));
  too_long_.reset();
}

// The next record begins `length` bytes of text later.
void RecordCutter::count_records(std::int64_t count, std::int64_t length) {
  chunk_.num_records += count;
  record_.record += count;
  record_.byte_offset += length;
}

// The end of the bytes where there is none, or where newlines mean nothing.
std::size_t RecordCutter::find_newline(std::size_t from) const {
  return options_.delimiter == RecordDelimiter::kFile
             ? chunk_.bytes.size()
             : std::min(chunk_.bytes.view().find('\n', from), chunk_.bytes.size());
}

// The last record of a chunk goes beyond chunk_size; an eighth is room for most of them.
std::size_t RecordCutter::usual_capacity() const {
  return options_.chunk_size + options_.chunk_size / 8;
}

// Takes these bytes out of the chunk, and gives back memory that was needed for them alone.
void RecordCutter::drop(std::size_t begin, std::size_t end) {
  ByteBuffer& bytes = chunk_.bytes;
  std::memmove(bytes.data() + begin, bytes.data() + end, bytes.size() - end);
  bytes.resize(bytes.size() - (end - begin));
  if (bytes.capacity() > usual_capacity() && bytes.size() <= usual_capacity()) {
    bytes = copy_of(bytes.view(), usual_capacity());
  }
}

// Gives the chunk a buffer of usual size. Not earlier than there is something to write to it: lanes
// take turns, and the memory that was used last is most likely still in a cache.
void RecordCutter::begin_buffer() {
  ByteBuffer usual = spare_.take_buffer(usual_capacity());
  usual.append(chunk_.bytes.view());
  small_ = std::exchange(chunk_.bytes, std::move(usual));
}

// For one byte more.
void RecordCutter::make_room() {
  ByteBuffer& bytes = chunk_.bytes;
  if (bytes.capacity() < usual_capacity()) {
    begin_buffer();
  } else if (bytes.size() == bytes.capacity()) {
    const std::size_t most = options_.chunk_size + options_.max_document;
    bytes.reserve(
        std::max(bytes.size() + 1, std::min(bytes.capacity() + bytes.capacity() / 2, most)));
  }
}

}  // namespace penstock
