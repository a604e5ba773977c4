#include "stages/pack.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace penstock {
namespace {

// Batch::cu_seqlens counts in it.
constexpr std::int64_t kMaxCells = std::numeric_limits<std::int32_t>::max();

// Of memory that waits to be used again; but one batch in any case.
constexpr std::int64_t kMostSpentBytes = std::int64_t{8} << 20;

// More is a slip. Their product needs a bound of its own, but does not overflow.
constexpr std::int64_t kMaxBatchSize = std::int64_t{1} << 20;
constexpr std::int64_t kMaxSequenceLength = std::int64_t{1} << 24;

std::int64_t checked_sequence_length(const StageConfig& config) {
  const std::int64_t batch_size = config.integer("batch_size");
  const std::int64_t sequence_length = config.integer("sequence_length");
  // One more than sequence_length is the longest row.
  if (batch_size > kMaxCells / (sequence_length + 1)) {
    throw config.error(config.is_set("batch_size") ? "batch_size" : "sequence_length",
                       "a batch of " + std::to_string(batch_size) + " rows of " +
                           std::to_string(sequence_length) +
                           " tokens is too large: expected at most " + std::to_string(kMaxCells) +
                           " tokens in a batch");
  }
  return sequence_length;
}

TokenId choose_pad_id(const StageConfig& config, const StreamInfo& stream) {
  const std::int64_t pad_id = config.integer("pad_id");
  if (pad_id < 0) {
    return stream.pad_id.value_or(stream.eos_id.value_or(0));
  }
  if (stream.vocabulary_size && pad_id >= *stream.vocabulary_size) {
    throw config.error("pad_id",
                       "got " + std::to_string(pad_id) +
                           ", expected an id of the vocabulary: at most " +
                           std::to_string(*stream.vocabulary_size - 1));
  }
  return static_cast<TokenId>(pad_id);
}

std::vector<Option> options() {
  return {
      Option::integer("batch_size", "Rows in a batch.")
          .in_range(1, kMaxBatchSize)
          .or_else(std::int64_t{8}),
      Option::integer("sequence_length", "Model input positions in a row.")
          .in_range(2, kMaxSequenceLength)
          .or_else(std::int64_t{1024}),
      Option::boolean("shifted_targets",
                      "Whether a row has sequence_length + 1 tokens, the last of which begins the "
                      "next row as well, so that every token but the first is a prediction target.")
          .or_else(false),
      Option::boolean("drop_last",
                      "What becomes of the end of the stream where it does not fill a batch: true "
                      "drops (and counts) these tokens, false pads the batch.")
          .or_else(false),
      Option::integer("pad_id",
                      "Token id to pad with. -1 takes the model's pad id, else its end-of-text id, "
                      "else 0.")
          .in_range(-1, std::numeric_limits<TokenId>::max())
          .or_else(std::int64_t{-1}),
  };
}

}  // namespace

Packer::Packer(const StageConfig& config, const StreamInfo& stream)
    : batch_size_(config.integer("batch_size")),
      sequence_length_(checked_sequence_length(config)),
      row_length_(sequence_length_ + (config.boolean("shifted_targets") ? 1 : 0)),
      drop_last_(config.boolean("drop_last")),
      pad_id_(choose_pad_id(config, stream)) {}

void Packer::add(const TokenChunk& chunk, std::vector<Batch>& full) {
  const std::span<const TokenId> ids = chunk.ids;
  std::int64_t begin = 0;
  for (const TokenDocument& document : chunk.documents) {
    if (document.end < begin || document.end > std::ssize(ids)) {
      throw std::logic_error("the document ends of a token chunk are out of order");
    }
    Segment origin;
    origin.shard = chunk.position.shard;
    origin.record = document.record;
    origin.byte_offset = document.byte_offset;
    Run run{ids.subspan(static_cast<std::size_t>(begin),
                        static_cast<std::size_t>(document.end - begin)),
            std::move(origin)};
    if (begin < used_before_) {
      pass_over_used(run, begin);
    }
    append(std::move(run), full);
    begin = document.end;
  }
  if (begin != std::ssize(ids)) {
    throw std::logic_error("a token chunk has tokens that belong to no document");
  }
  check_used(begin);
  account_.in += begin;
  used_before_ = 0;
}

void Packer::go_on_from(std::int64_t next_batch, const TokenAccount& account) {
  batch_.index = next_batch;
  account_ = account;
  used_before_ = account.out - account.in;
}

void Packer::check_used(std::int64_t tokens) const {
  if (tokens < used_before_) {
    throw std::runtime_error("cannot go on with batch " + std::to_string(batch_.index) + ": " +
                             std::to_string(used_before_) +
                             " tokens of the chunk that comes next were in batches before, but it "
                             "has " +
                             std::to_string(tokens) + "; the input is not what it was");
  }
}

// Takes away what is in batches already of a document in the chunk that is read again; the document
// begins with its token `begin`. The last one that is in a batch also begins the next row where
// targets are shifted.
void Packer::pass_over_used(Run& run, std::int64_t begin) {
  const std::int64_t used = std::min(used_before_ - begin, std::ssize(run.ids));
  const bool is_last = begin + used == used_before_;
  const std::int64_t repeated = is_last && row_length_ > sequence_length_ ? 1 : 0;
  const std::int64_t passed = used - repeated;
  run.ids = run.ids.subspan(static_cast<std::size_t>(passed));
  run.origin.document_token += passed;
  if (repeated == 1 && run.ids.size() == 1) {
    overlap_ = Overlap{run.ids.front(), run.origin};
    run.ids = {};
  }
}

void Packer::finish(std::vector<Batch>& full) {
  check_used(0);
  if (!batch_.tokens.empty() && !drop_last_) {
    deliver(full);
  }
  account_.dropped = account_.in - account_.out;
}

void Packer::reuse(Batch batch) {
  batch.tokens.clear();
  batch.cu_seqlens.clear();
  batch.segments.clear();
  const std::int64_t kept = (std::ssize(spent_) + 1) * memory_bytes(batch);
  if (spent_.empty() || kept <= kMostSpentBytes) {
    spent_.push_back(std::move(batch));
  }
}

void Packer::append(Run run, std::vector<Batch>& full) {
  if (run.ids.empty()) {
    return;
  }
  if (overlap_) {
    const Overlap overlap = *std::exchange(overlap_, std::nullopt);
    place({std::span(&overlap.id, 1), overlap.origin}, full);
  }
  place(std::move(run), full);
}

void Packer::place(Run run, std::vector<Batch>& full) {
  const std::int64_t cells = batch_size_ * row_length_;
  while (!run.ids.empty()) {
    if (batch_.tokens.empty()) {
      start_batch();
    }
    if (std::ssize(batch_.tokens) % row_length_ < sequence_length_) {
      place_inputs(run);
    } else {
      place_last_target(run.ids.front());
      if (run.ids.size() == 1) {
        overlap_ = Overlap{run.ids.front(), run.origin};
        run.ids = {};
      }
    }
    if (std::ssize(batch_.tokens) == cells) {
      deliver(full);
    }
  }
}

// Moves the front of the run into what is free of the row's inputs.
void Packer::place_inputs(Run& run) {
  const std::int64_t begin = std::ssize(batch_.tokens);
  const std::int64_t row = begin / row_length_;
  const std::int64_t column = begin % row_length_;
  const std::int64_t length = std::min(std::ssize(run.ids), sequence_length_ - column);
  const auto front = run.ids.first(static_cast<std::size_t>(length));
  batch_.tokens.insert(batch_.tokens.end(), front.begin(), front.end());

  Segment& segment = segments_.emplace_back(run.origin);
  segment.begin = begin;
  segment.end = begin + length;
  cu_seqlens_.push_back(static_cast<std::int32_t>(row * sequence_length_ + column + length));

  run.ids = run.ids.subspan(front.size());
  run.origin.document_token += length;
}

// The token is no input of this row, so it belongs to the segment before it, whichever document it
// is of. It stays in its run: as the first token of the next row.
void Packer::place_last_target(TokenId id) {
  batch_.tokens.push_back(id);
  ++segments_.back().end;
}

Batch Packer::take_spent() {
  if (spent_.empty()) {
    return {};
  }
  Batch batch = std::move(spent_.back());
  spent_.pop_back();
  return batch;
}

void Packer::start_batch() {
  batch_.tokens.reserve(static_cast<std::size_t>(batch_size_ * row_length_));
  segments_.clear();
  cu_seqlens_.assign(1, 0);
}

// Pads the batch where it is not full, and hands it over.
void Packer::deliver(std::vector<Batch>& full) {
  const std::int64_t cells = batch_size_ * row_length_;
  const std::int64_t next_index = batch_.index + 1;
  Batch batch = std::exchange(batch_, take_spent());
  batch_.index = next_index;

  batch.batch_size = batch_size_;
  batch.sequence_length = sequence_length_;
  batch.row_length = row_length_;
  batch.num_tokens = std::ssize(batch.tokens);
  batch.num_rows = (batch.num_tokens + row_length_ - 1) / row_length_;
  batch.tokens.resize(static_cast<std::size_t>(cells), pad_id_);

  for (std::int64_t row = batch.num_rows - 1; row < batch_size_; ++row) {
    const auto row_end = static_cast<std::int32_t>((row + 1) * sequence_length_);
    if (cu_seqlens_.back() != row_end) {
      cu_seqlens_.push_back(row_end);
    }
  }
  batch.cu_seqlens.assign(cu_seqlens_.begin(), cu_seqlens_.end());
  batch.segments.assign(std::move_iterator(segments_.begin()), std::move_iterator(segments_.end()));

  const bool shifted = row_length_ > sequence_length_;
  const std::int64_t first_rows = batch.index == 0 ? 1 : 0;  // the stream's first repeats nothing
  const std::int64_t repeated = shifted ? batch.num_rows - first_rows : 0;
  account_.out += batch.num_tokens - repeated;
  account_.repeated += repeated;
  account_.padded += cells - batch.num_tokens;
  batch.account = account_;
  full.push_back(std::move(batch));
}

void register_pack(StageRegistry& registry) {
  registry.add({"pack",
                "Concatenates documents and cuts them into batches of rows of one length.",
                Payload::kTokens,
                Payload::kBatch,
                Ordering::kInOrder,
                options(),
                AssemblerFactory([](const StageConfig& config, const BuildContext& context) {
                  auto packer = std::make_unique<Packer>(config, context.stream);
                  context.stream.batch_shape = packer->shape();
                  return packer;
                })});
}

}  // namespace penstock
