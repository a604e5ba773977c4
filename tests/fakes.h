#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/sink.h"
#include "pipeline/source.h"
#include "pipeline/stage.h"
#include "pipeline/stage_registry.h"

namespace penstock::testing {

// Spins for a while that depends on `seed` alone and is up to `most`: makes chunks overtake each
// other without a sleep.
void spin(std::uint64_t seed, std::chrono::microseconds most);

// Gives TokenChunks of 0 to 40 tokens; token values tell lane, chunk and place.
class NumberSource final : public Source {
 public:
  NumberSource(int lanes, int chunks_per_lane)
      : lanes_(lanes), chunks_per_lane_(chunks_per_lane), next_(static_cast<std::size_t>(lanes)) {}

  int lanes() const override { return lanes_; }
  std::optional<Chunk> next(int lane, const std::stop_token& stop) override;

  // What lane's n-th chunk holds. Lane l has chunks_per_lane + 5 l chunks.
  static TokenChunk make_chunk(int lane, int index);
  static int chunks_in(int lane, int chunks_per_lane) { return chunks_per_lane + 5 * lane; }
  // The stream that a plain loop over the lanes, dealt round-robin, gives.
  static std::vector<TokenId> sequential(int lanes, int chunks_per_lane);

 private:
  const int lanes_;
  const int chunks_per_lane_;
  std::vector<int> next_;  // each element is used by its lane alone
};

// Packs tokens into batches of one row of `length`; the last one is shorter.
class RowAssembler final : public BatchAssembler {
 public:
  explicit RowAssembler(std::size_t length) : length_(length) {}

  void add(const TokenChunk& chunk, std::vector<Batch>& full) override;
  void finish(std::vector<Batch>& full) override;
  TokenAccount account() const override { return account_; }

 private:
  Batch make_batch(std::vector<TokenId> tokens);

  const std::size_t length_;
  std::vector<TokenId> row_;
  std::int64_t next_index_ = 0;
  TokenAccount account_;
};

// Keeps everything it gets, on a thread of its own as a device feeder has.
class CollectingSink final : public Sink {
 public:
  struct Options {
    std::chrono::microseconds slowness{0};       // spun for each batch
    int fail_at = -1;                            // batch whose completion is failed
    int throw_at = -1;                           // batch for which consume() throws
    int drop_at = -1;                            // batch whose completion is dropped
    std::function<void(std::int64_t)> on_batch;  // called on the sink's thread with the batch index
  };

  struct Collected {
    std::vector<TokenId> tokens;
    std::vector<std::int64_t> indices;
    bool finished = false;
  };

  CollectingSink(Options options, Collected& collected);
  ~CollectingSink() override;

  void consume(std::shared_ptr<const Batch> batch, Completion done) override;
  void finish() override { collected_.finished = true; }
  void cancel() noexcept override;

 private:
  using Waiting = std::pair<std::shared_ptr<const Batch>, Completion>;
  void run();
  void handle(Waiting waiting);

  const Options options_;
  Collected& collected_;  // touched by the sink's thread until the run is over
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> queue_;  // protected by mutex_
  bool closed_ = false;        // protected by mutex_
  std::thread thread_;
};

// A transform made of a function, for tests that need just one behaviour.
class FunctionStage final : public Transform<TokenChunk, TokenChunk> {
 public:
  using Function = std::function<TokenChunk(TokenChunk)>;
  explicit FunctionStage(Function function) : function_(std::move(function)) {}
  TokenChunk process(TokenChunk chunk) override { return function_(std::move(chunk)); }

 private:
  Function function_;
};

// Declares a stage of fixed factories without options.
StageType token_source(std::function<std::unique_ptr<Source>()> make);
StageType token_stage(std::string name,
                      FunctionStage::Function function,
                      Ordering ordering = Ordering::kParallel);
StageType row_assembler(std::size_t length);
// The number of a NumberSource's chunk in its lane.
int chunk_number(const TokenChunk& chunk);

}  // namespace penstock::testing
