#include "stages/chunk_records.h"

namespace penstock {
namespace {

bool is_blank(std::string_view bytes) {
  return bytes.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

ChunkRecords::ChunkRecords(const ByteChunk& chunk)
    : bytes_(chunk.bytes.view()),
      delimiter_(chunk.delimiter),
      record_(chunk.position.record),
      byte_offset_(chunk.position.byte_offset) {
  for (const Reject& reject : chunk.rejects) {
    if (reject.position.record >= record_) {
      left_out_.push_back({reject.position.record, reject.raw_bytes});
    }
  }
}

std::optional<ChunkRecord> ChunkRecords::next() {
  while (at_ < bytes_.size()) {
    step_over_left_out();
    const ChunkRecord record{bytes_.substr(at_, record_length()), record_, byte_offset_};
    ++record_;
    byte_offset_ += static_cast<std::int64_t>(record.bytes.size()) + 1;
    at_ += record.bytes.size() + 1;
    if (!is_blank(record.bytes)) {
      return record;
    }
  }
  return std::nullopt;
}

void ChunkRecords::step_over_left_out() {
  while (next_left_out_ < left_out_.size() && left_out_[next_left_out_].record == record_) {
    ++record_;
    byte_offset_ += left_out_[next_left_out_].bytes + 1;
    ++next_left_out_;
  }
}

std::size_t ChunkRecords::record_length() const {
  if (delimiter_ == RecordDelimiter::kFile) {
    return bytes_.size();
  }
  const std::size_t line_end = bytes_.find('\n', at_);
  return (line_end == std::string_view::npos ? bytes_.size() : line_end) - at_;
}

}  // namespace penstock
