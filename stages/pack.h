#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "pipeline/assembler.h"
#include "pipeline/batch.h"
#include "pipeline/chunk.h"
#include "pipeline/stage_config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// Concatenates documents and cuts the stream into rows. Row r begins with token r *
// sequence_length, with shifted targets too: there a row has one token more, its last target, which
// is repeated as the first token of the next row. A row begins only with a token that no row before
// holds, the repeated one apart. At the end of the stream what does not fill a batch is padded, or
// dropped with drop_last.
class Packer final : public BatchAssembler {
 public:
  // Throws ConfigError.
  Packer(const StageConfig& config, const StreamInfo& stream);

  void add(const TokenChunk& chunk, std::vector<Batch>& full) override;
  void reuse(Batch batch) override;
  void finish(std::vector<Batch>& full) override;
  TokenAccount account() const override { return account_; }
  bool can_resume() const override { return true; }
  void go_on_from(std::int64_t next_batch, const TokenAccount& account) override;

  BatchShape shape() const { return {batch_size_, sequence_length_, row_length_}; }

 private:
  // Neighbouring tokens of one document. `origin` is the segment that they would make; only its
  // begin and end are not set.
  struct Run {
    std::span<const TokenId> ids;
    Segment origin;
  };

  // The token that begins the next row, if there will be one: the last target of the row before.
  struct Overlap {
    TokenId id;
    Segment origin;
  };

  void check_used(std::int64_t tokens) const;
  void pass_over_used(Run& run, std::int64_t begin);
  void append(Run run, std::vector<Batch>& full);
  void place(Run run, std::vector<Batch>& full);
  void place_inputs(Run& run);
  void place_last_target(TokenId id);
  Batch take_spent();
  void start_batch();
  void deliver(std::vector<Batch>& full);

  const std::int64_t batch_size_;
  const std::int64_t sequence_length_;
  const std::int64_t row_length_;
  const bool drop_last_;
  const TokenId pad_id_;

  Batch batch_;                    // being filled: only `tokens` and `index` are kept up to date
  std::vector<Segment> segments_;  // of it; here so that the batch's are allocated once
  std::vector<std::int32_t> cu_seqlens_;  // likewise
  std::vector<Batch> spent_;              // for batches to come
  std::optional<Overlap> overlap_;
  // Of the next chunk's tokens, those that an earlier run put into batches; none but at the start.
  std::int64_t used_before_ = 0;
  TokenAccount account_;
};

void register_pack(StageRegistry& registry);

}  // namespace penstock
