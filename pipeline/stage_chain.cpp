#include "pipeline/stage_chain.h"

#include <exception>
#include <stdexcept>
#include <utility>
#include <variant>

#include "pipeline/errors.h"

namespace penstock {
namespace {

void add_to(std::atomic<std::int64_t>& counter, std::int64_t amount) {
  counter.fetch_add(amount, std::memory_order_relaxed);
}

void count_output(const Chunk& chunk, StageMetrics& metrics) {
  if (const auto* documents = std::get_if<DocumentChunk>(&chunk)) {
    add_to(metrics.documents, std::ssize(documents->documents));
  } else if (const auto* tokens = std::get_if<TokenChunk>(&chunk)) {
    add_to(metrics.documents, std::ssize(tokens->documents));
    add_to(metrics.tokens, std::ssize(tokens->ids));
  }
}

}  // namespace

StageChain::StageChain(std::vector<BuiltStage> stages, Ordering ordering, std::size_t slots)
    : stages_(std::move(stages)), ordering_(ordering), slots_(slots) {}

StageChain::Instances& StageChain::instances(std::size_t slot) {
  Instances& own = slots_.at(slot);
  if (own.empty()) {
    const std::lock_guard lock(mutex_);
    Instances made;  // all of them or none
    for (const BuiltStage& stage : stages_) {
      try {
        made.push_back(stage.make_instance());
        if (made.back() == nullptr) {
          throw std::logic_error("its factory gave none");
        }
      } catch (...) {
        std::throw_with_nested(
            StageError("stage " + quoted_name(*stage.metrics) + " cannot be made"));
      }
    }
    own = std::move(made);
  }
  return own;
}

void StageChain::process(Chunk& chunk, std::size_t slot) {
  Instances& own = instances(slot);
  std::int64_t bytes = content_bytes(chunk);  // counted once for each stage: it looks at every text
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    bytes = process_one(stages_[i], *own[i], chunk, bytes);
  }
}

std::int64_t StageChain::process_one(const BuiltStage& built,
                                     Stage& stage,
                                     Chunk& chunk,
                                     std::int64_t bytes_in) {
  const ChunkInfo before = info(chunk);
  const std::size_t num_rejects = before.rejects.size();
  add_to(built.metrics->bytes_in, bytes_in);
  try {
    {
      const BusyTimer timer(built.metrics->busy);
      chunk = stage.process_chunk(std::move(chunk));
    }
    ChunkInfo& after = info(chunk);
    if (payload_of(chunk) != built.output) {
      throw std::logic_error("it returned " + to_string(payload_of(chunk)) + " but declares " +
                             to_string(built.output));
    }
    if (after.position.shard != before.position.shard ||
        after.position.record != before.position.record ||
        after.position.byte_offset != before.position.byte_offset ||
        after.num_records != before.num_records || after.rejects.size() < num_rejects) {
      throw std::logic_error(
          "it lost the chunk's position or rejects; begin with continue_chunk() where the payload "
          "changes");
    }
    for (std::size_t i = num_rejects; i < after.rejects.size(); ++i) {
      after.rejects[i].stage = built.label;
    }
    add_to(built.metrics->chunks, 1);
    add_to(built.metrics->records, before.num_records);
    add_to(built.metrics->rejects, std::ssize(after.rejects) - static_cast<long>(num_rejects));
    const std::int64_t bytes_out = content_bytes(chunk);
    add_to(built.metrics->bytes_out, bytes_out);
    count_output(chunk, *built.metrics);
    return bytes_out;
  } catch (...) {
    ByteChunk emptied;
    static_cast<ChunkInfo&>(emptied) = before;
    chunk = std::move(emptied);
    throw ChunkFailure(
        "stage " + quoted_name(*built.metrics), before.position, std::current_exception());
  }
}

std::vector<std::unique_ptr<StageChain>> fuse(std::vector<BuiltStage> stages, std::size_t slots) {
  std::vector<std::unique_ptr<StageChain>> chains;
  std::vector<BuiltStage> run;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Ordering ordering = stages[i].ordering;
    run.push_back(std::move(stages[i]));
    if (i + 1 == stages.size() || stages[i + 1].ordering != ordering) {
      chains.push_back(std::make_unique<StageChain>(std::exchange(run, {}), ordering, slots));
    }
  }
  return chains;
}

}  // namespace penstock
