#include "gpu/batch_origins.h"

#include <algorithm>
#include <utility>

namespace penstock::gpu {
namespace {

std::string records_text(const std::string& shard, std::int64_t first, std::int64_t last) {
  const std::string records =
      first == last ? "record " + std::to_string(first)
                    : "records " + std::to_string(first) + " to " + std::to_string(last);
  return records + " of '" + shard + "'";
}

}  // namespace

void BatchOrigins::add(const Batch& batch) {
  Entry entry{batch.index, batch.row_length, batch.segments};
  const std::lock_guard lock(mutex_);
  entries_.push_back(std::move(entry));
}

void BatchOrigins::forget_before(std::int64_t index) {
  const std::lock_guard lock(mutex_);
  while (!entries_.empty() && entries_.front().index < index) {
    entries_.pop_front();
  }
}

std::string BatchOrigins::of_row(std::int64_t index, std::int64_t row) const {
  const std::lock_guard lock(mutex_);
  const auto entry = std::find_if(
      entries_.begin(), entries_.end(), [&](const Entry& one) { return one.index == index; });
  if (entry == entries_.end()) {
    return "";
  }
  std::string text;
  const Segment* first = nullptr;  // of a run of segments of one shard
  const Segment* last = nullptr;
  const auto end_run = [&] {
    if (first != nullptr) {
      text += (text.empty() ? "" : ", ") + records_text(*first->shard, first->record, last->record);
    }
  };
  for (const Segment& segment : entry->segments) {
    if (segment.begin / entry->row_length != row) {
      continue;
    }
    if (first == nullptr || *segment.shard != *first->shard) {
      end_run();
      first = &segment;
    }
    last = &segment;
  }
  end_run();
  return text;
}

}  // namespace penstock::gpu
