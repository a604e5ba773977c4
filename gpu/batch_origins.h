#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "pipeline/batch.h"

namespace penstock::gpu {

// Remembers of batches that are under way which records their rows came from. Thread-safe.
class BatchOrigins {
 public:
  void add(const Batch& batch);
  // Batches before this one are no longer asked for.
  void forget_before(std::int64_t index);
  // "records 3 to 5 of 'a.jsonl', record 1 of 'b.jsonl'"; empty where the batch is not known or the
  // row is padding.
  std::string of_row(std::int64_t index, std::int64_t row) const;

 private:
  struct Entry {
    std::int64_t index = 0;
    std::int64_t row_length = 0;
    std::vector<Segment> segments;
  };

  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // protected by mutex_; in the order of their indices
};

}  // namespace penstock::gpu
