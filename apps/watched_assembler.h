#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "pipeline/assembler.h"
#include "pipeline/stage_replay.h"

namespace penstock {

// Tells of every chunk that another assembler has packed, in stream order.
class WatchedAssembler final : public BatchAssembler {
 public:
  // Called with a chunk that has been packed; text_bytes is 0.
  using Watch = std::function<void(const SampledChunk& chunk)>;

  WatchedAssembler(std::unique_ptr<BatchAssembler> assembler, Watch watch)
      : assembler_(std::move(assembler)), watch_(std::move(watch)) {}

  void add(const TokenChunk& chunk, std::vector<Batch>& full) override;
  void reuse(Batch batch) override { assembler_->reuse(std::move(batch)); }
  void finish(std::vector<Batch>& full) override { assembler_->finish(full); }
  TokenAccount account() const override { return assembler_->account(); }

 private:
  const std::unique_ptr<BatchAssembler> assembler_;
  const Watch watch_;
};

}  // namespace penstock
