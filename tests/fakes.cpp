#include "tests/fakes.h"

#include <stdexcept>

namespace penstock::testing {

void spin(std::uint64_t seed, std::chrono::microseconds most) {
  std::uint64_t value = (seed + 1) * 0x9e3779b97f4a7c15ULL;
  value ^= value >> 29;
  const auto until =
      std::chrono::steady_clock::now() + most * static_cast<std::int64_t>(value % 1000) / 1000;
  while (std::chrono::steady_clock::now() < until) {
  }
}

TokenChunk NumberSource::make_chunk(int lane, int index) {
  static const auto kShards = [] {
    std::vector<std::shared_ptr<const std::string>> shards;
    for (int i = 0; i < 16; ++i) {
      shards.push_back(std::make_shared<const std::string>("lane-" + std::to_string(i)));
    }
    return shards;
  }();
  TokenChunk chunk;
  chunk.position = {kShards.at(static_cast<std::size_t>(lane)), index + 1, index * 100};
  chunk.num_records = 1;
  const int size = (index * 7 + lane * 3) % 41;
  for (int i = 0; i < size; ++i) {
    chunk.ids.push_back(static_cast<TokenId>(lane * 10'000'000 + index * 100 + i));
  }
  chunk.documents.push_back({size, index + 1, index * 100});
  return chunk;
}

std::optional<Chunk> NumberSource::next(int lane, const std::stop_token& stop) {
  int& index = next_.at(static_cast<std::size_t>(lane));
  if (stop.stop_requested() || index >= chunks_in(lane, chunks_per_lane_)) {
    return std::nullopt;
  }
  return make_chunk(lane, index++);
}

std::vector<TokenId> NumberSource::sequential(int lanes, int chunks_per_lane) {
  std::vector<TokenId> tokens;
  const int most = chunks_in(lanes - 1, chunks_per_lane);
  for (int index = 0; index < most; ++index) {
    for (int lane = 0; lane < lanes; ++lane) {
      if (index < chunks_in(lane, chunks_per_lane)) {
        const TokenChunk chunk = make_chunk(lane, index);
        tokens.insert(tokens.end(), chunk.ids.begin(), chunk.ids.end());
      }
    }
  }
  return tokens;
}

Batch RowAssembler::make_batch(std::vector<TokenId> tokens) {
  Batch batch;
  batch.index = next_index_++;
  batch.batch_size = 1;
  batch.num_rows = 1;
  batch.sequence_length = batch.row_length = batch.num_tokens = std::ssize(tokens);
  batch.cu_seqlens = {0, static_cast<std::int32_t>(tokens.size())};
  batch.tokens = std::move(tokens);
  account_.out += batch.num_tokens;
  return batch;
}

void RowAssembler::add(const TokenChunk& chunk, std::vector<Batch>& full) {
  account_.in += std::ssize(chunk.ids);
  for (const TokenId id : chunk.ids) {
    row_.push_back(id);
    if (row_.size() == length_) {
      full.push_back(make_batch(std::exchange(row_, {})));
    }
  }
}

void RowAssembler::finish(std::vector<Batch>& full) {
  if (!row_.empty()) {
    full.push_back(make_batch(std::exchange(row_, {})));
  }
}

CollectingSink::CollectingSink(Options options, Collected& collected)
    : options_(std::move(options)), collected_(collected), thread_([this] { run(); }) {}

CollectingSink::~CollectingSink() {
  cancel();
  thread_.join();
}

void CollectingSink::consume(std::shared_ptr<const Batch> batch, Completion done) {
  if (batch->index == options_.throw_at) {
    throw std::runtime_error("the sink is broken");
  }
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return;
    }
    queue_.emplace_back(std::move(batch), std::move(done));
  }
  changed_.notify_one();
}

void CollectingSink::cancel() noexcept {
  std::deque<Waiting> dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(queue_);
  }
  changed_.notify_one();
}

void CollectingSink::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) {
      return;
    }
    Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    handle(std::move(waiting));
  }
}

void CollectingSink::handle(Waiting waiting) {
  auto& [batch, done] = waiting;
  if (options_.slowness.count() > 0) {
    spin(static_cast<std::uint64_t>(batch->index), options_.slowness);
  }
  if (options_.on_batch) {
    options_.on_batch(batch->index);
  }
  if (batch->index == options_.drop_at) {
    return;
  }
  if (batch->index == options_.fail_at) {
    done.fail(std::make_exception_ptr(std::runtime_error("the device is gone")));
    return;
  }
  collected_.tokens.insert(collected_.tokens.end(), batch->tokens.begin(), batch->tokens.end());
  collected_.indices.push_back(batch->index);
  done.done();
}

StageType token_source(std::function<std::unique_ptr<Source>()> make) {
  StageType type;
  type.name = "numbers";
  type.summary = "Gives numbered tokens.";
  type.output = Payload::kTokens;
  type.factory = SourceFactory(
      [make = std::move(make)](const StageConfig&, const BuildContext&) { return make(); });
  return type;
}

StageType token_stage(std::string name, FunctionStage::Function function, Ordering ordering) {
  StageType type;
  type.name = std::move(name);
  type.summary = "Does what the test says.";
  type.input = Payload::kTokens;
  type.output = Payload::kTokens;
  type.ordering = ordering;
  type.factory = StageFactory(
      [function = std::move(function)](const StageConfig&, const BuildContext&) -> InstanceFactory {
        return [function] { return std::make_unique<FunctionStage>(function); };
      });
  return type;
}

StageType row_assembler(std::size_t length) {
  StageType type;
  type.name = "rows";
  type.summary = "Cuts rows.";
  type.input = Payload::kTokens;
  type.output = Payload::kBatch;
  type.ordering = Ordering::kInOrder;
  type.factory = AssemblerFactory([length](const StageConfig&, const BuildContext&) {
    return std::make_unique<RowAssembler>(length);
  });
  return type;
}

int chunk_number(const TokenChunk& chunk) {
  return static_cast<int>(chunk.position.record) - 1;
}

}  // namespace penstock::testing
