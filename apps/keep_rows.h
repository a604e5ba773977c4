#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include "pipeline/sink.h"

namespace penstock {

// Keeps the batches of the first rows that hold tokens, and then stops the run.
class KeepRows final : public Sink {
 public:
  // `kept` is written during the run only and must outlive it.
  KeepRows(std::int64_t rows,
           std::stop_source stop,
           std::vector<std::shared_ptr<const Batch>>& kept)
      : rows_wanted_(rows), stop_(std::move(stop)), kept_(kept) {}

  void consume(std::shared_ptr<const Batch> batch, Completion done) override;

 private:
  std::int64_t rows_wanted_;  // still
  std::stop_source stop_;
  std::vector<std::shared_ptr<const Batch>>& kept_;
};

}  // namespace penstock
