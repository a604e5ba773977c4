// A plug-in with a stage of every role.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "gpu/device_stage_type.h"
#include "pipeline/plugin.h"

namespace {

using penstock::Batch;
using penstock::DocumentChunk;
using penstock::Option;
using penstock::StageConfig;
using penstock::TokenChunk;

// Gives the texts "0", "01", "012", ..., one in a chunk.
class Staircase final : public penstock::Source {
 public:
  using Output = DocumentChunk;
  explicit Staircase(const StageConfig& config) : chunks_(config.integer("chunks")) {}

  int lanes() const override { return 1; }
  std::optional<penstock::Chunk> next(int, const std::stop_token&) override {
    if (next_ == chunks_) {
      return std::nullopt;
    }
    DocumentChunk chunk;
    chunk.position = {shard_, next_ + 1, next_ * 100};
    chunk.num_records = 1;
    text_ += static_cast<char>('0' + next_ % 10);
    chunk.documents.push_back({chunk.arena.store(text_), next_ + 1, next_ * 100});
    ++next_;
    return chunk;
  }

 private:
  const std::int64_t chunks_;
  const std::shared_ptr<const std::string> shard_ =
      std::make_shared<const std::string>("staircase");
  std::int64_t next_ = 0;
  std::string text_;
};

// Drops short texts.
class MinLength final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit MinLength(const StageConfig& config) : min_bytes_(config.integer("min_bytes")) {}

  DocumentChunk process(DocumentChunk chunk) override {
    std::erase_if(chunk.documents, [this](const penstock::Document& document) {
      return std::ssize(document.text) < min_bytes_;
    });
    return chunk;
  }

 private:
  const std::int64_t min_bytes_;
};

// One token for each byte.
class Bytes final : public penstock::Transform<DocumentChunk, TokenChunk> {
 public:
  explicit Bytes(const StageConfig&) {}

  TokenChunk process(DocumentChunk chunk) override {
    auto tokens = penstock::continue_chunk<TokenChunk>(chunk);
    for (const penstock::Document& document : chunk.documents) {
      tokens.ids.insert(tokens.ids.end(), document.text.begin(), document.text.end());
      tokens.documents.push_back({std::ssize(tokens.ids), document.record, document.byte_offset});
    }
    return tokens;
  }
};

// Adds a number to every token.
class Shift final : public penstock::Transform<TokenChunk, TokenChunk> {
 public:
  explicit Shift(const StageConfig& config)
      : by_(static_cast<penstock::TokenId>(config.integer("by"))) {}

  TokenChunk process(TokenChunk chunk) override {
    for (penstock::TokenId& id : chunk.ids) {
      id += by_;
    }
    return chunk;
  }

 private:
  const penstock::TokenId by_;
};

// Turns each batch's tokens round.
class Reverse final : public penstock::BatchStage {
 public:
  explicit Reverse(const StageConfig&) {}
  // Returns another object, which has only what is the stage's business.
  Batch process(Batch batch) override {
    Batch turned;
    turned.index = batch.index;
    turned.batch_size = batch.batch_size;
    turned.sequence_length = batch.sequence_length;
    turned.row_length = batch.row_length;
    turned.tokens.assign(batch.tokens.rbegin(), batch.tokens.rend());
    turned.cu_seqlens = std::move(batch.cu_seqlens);
    turned.num_rows = batch.num_rows;
    turned.num_tokens = batch.num_tokens;
    return turned;
  }
  std::string why_not_resumable() const override { return ""; }
};

// Adds up the tokens that are no padding.
class Sum final : public penstock::Sink {
 public:
  explicit Sum(const StageConfig&) {}
  void consume(std::shared_ptr<const Batch> batch, penstock::Completion done) override {
    for (const penstock::TokenId id : batch->tokens) {
      sum_ += id;
    }
    done.done();
  }
  std::vector<penstock::Result> results() const override { return {{"sum", sum_}}; }

 private:
  std::int64_t sum_ = 0;
};

// The same on the host's device.
class DeviceSum final : public penstock::gpu::DeviceStage {
 public:
  explicit DeviceSum(std::int64_t factor) : factor_(factor) {}
  void enqueue(const penstock::gpu::DeviceBatch& batch, penstock::gpu::DeviceStream) override {
    for (std::int64_t cell = 0; cell < batch.shape.cells(); ++cell) {
      sum_ += factor_ * batch.tokens[cell];
    }
  }
  std::vector<penstock::Result> results() override { return {{"sum", sum_}}; }

 private:
  const std::int64_t factor_;
  std::int64_t sum_ = 0;
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_source<Staircase>(
      "staircase", "Gives longer and longer texts.", {Option::integer("chunks", "How many.")});
  registry.add_transform<MinLength>("min_length",
                                    "Drops short texts.",
                                    {Option::bytes("min_bytes", "The least length.").at_least(0)});
  registry.add_transform<Bytes>("bytes", "A token for each byte.", {});
  registry.add_transform<Shift>(
      "shift",
      "Adds a number to every token.",
      {Option::integer("by", "Is added.").in_range(0, 1000).or_else(std::int64_t{1})},
      penstock::Ordering::kInOrder);
  registry.add_batch_stage<Reverse>("reverse", "Turns batches round.", {});
  registry.add_sink<Sum>("sum", "Adds up tokens.", {});
  penstock::gpu::add_device_stage(
      registry,
      {"device_sum",
       "Adds up tokens on the device.",
       {Option::integer("factor", "Multiplies the sum.").or_else(std::int64_t{1})},
       [](const StageConfig& config, const penstock::gpu::DeviceStageContext&) {
         return std::make_unique<DeviceSum>(config.integer("factor"));
       },
       {}});
}
