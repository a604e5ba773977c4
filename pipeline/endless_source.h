#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/source.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// Reads another source over and over: a lane that has come to its end begins again at once, without
// waiting for the others. So the stream is the same every time, and goes on until it is stopped.
class EndlessSource final : public Source {
 public:
  // What is read first is made in `first`. Of what is made later, only the time in which rows are
  // busy is counted there. The rows outlive the source.
  EndlessSource(SourceFactory factory, StageConfig config, const BuildContext& first);
  ~EndlessSource() override;

  int lanes() const override { return first_->lanes(); }
  // A lane that holds nothing ends at once. Throws std::runtime_error where a lane begins with
  // another chunk than before, or with none: input that can be read once.
  std::optional<Chunk> next(int lane, const std::stop_token& stop) override;
  void reuse(int lane, SpareMemory spare) override;
  bool times_itself() const override { return first_->times_itself(); }
  std::optional<std::int64_t> total_bytes() const override { return first_->total_bytes(); }

  // How often the input has been begun, by the lane that has done so most.
  int passes() const;

 private:
  struct Pass;
  // Used by its lane alone.
  struct Lane {
    std::unique_ptr<Pass> pass;  // null in the first
    int passes = 1;
    std::int64_t chunks = 0;            // of this pass
    std::int64_t first_chunk_size = 0;  // of the first pass
  };

  static void check_first(const std::optional<Chunk>& chunk, Lane& lane);
  std::unique_ptr<Pass> begin_pass();
  // Counts the time of the lane's pass, as far as that has not been done.
  void count_time(Lane& lane);

  // Constant after construction.
  const SourceFactory factory_;
  const StageConfig config_;
  const int threads_;
  Metrics& metrics_;  // of the first pass
  std::unique_ptr<Source> first_;

  std::vector<Lane> lanes_;
  std::mutex mutex_;  // factories are called by one thread at a time
};

}  // namespace penstock
