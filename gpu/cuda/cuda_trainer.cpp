#include "gpu/cuda/cuda_trainer.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_generator.h"
#include "gpu/lm_train.h"
#include "gpu/training_memory.h"

namespace penstock::gpu {
namespace {

constexpr const char* kModel = "the parameters of lm_train";
constexpr const char* kModelOption = "width or layers";
constexpr const char* kBatch = "the positions of a batch";
constexpr const char* kBatchOption = "batch_size or sequence_length";

cudaStream_t cuda_stream(DeviceStream stream) {
  return static_cast<cudaStream_t>(stream.handle);
}

template <typename T>
void clear(const DeviceArray<T>& array, const Stream& stream) {
  check(cudaMemsetAsync(array.get(), 0, array.bytes(), stream.get()), "cudaMemsetAsync");
}

template <typename T>
void copy(const std::vector<T>& from, const DeviceArray<T>& to, const Stream& stream) {
  check(cudaMemcpyAsync(
            to.get(), from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, stream.get()),
        "cudaMemcpyAsync");
}

struct DeviceMemory {
  std::int64_t free = 0;
  std::int64_t total = 0;
};
DeviceMemory device_memory() {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  return {static_cast<std::int64_t>(free_bytes), static_cast<std::int64_t>(total_bytes)};
}

}  // namespace

CudaTrainer::CudaTrainer(const TransformerShape& shape,
                         const AdamWOptions& optimizer,
                         const std::vector<float>& parameters,
                         const BatchShape& batch,
                         std::int64_t tile,
                         std::int64_t max_in_flight)
    : shape_(shape),
      optimizer_(optimizer),
      layout_(transformer_layout(shape, kDeviceRowStep)),
      num_positions_(batch.positions()),
      parameters_(layout_.size, kModel, kModelOption),
      rounded_(layout_.size, kModel, kModelOption),
      gradient_(layout_.size, kModel, kModelOption),
      first_moment_(layout_.size, kModel, kModelOption),
      second_moment_(layout_.size, kModel, kModelOption),
      partial_squares_(kSquarePartialSums, kModel, kModelOption),
      state_(1, kModel, kModelOption),
      tokens_(num_positions_, kBatch, kBatchOption),
      targets_(num_positions_, kBatch, kBatchOption),
      begins_(num_positions_, kBatch, kBatchOption),
      ends_(num_positions_, kBatch, kBatchOption),
      cu_seqlens_(num_positions_ + 1, kBatch, kBatchOption),
      num_segments_(1, kBatch, kBatchOption),
      transformer_(shape, layout_, num_positions_, tile),
      totals_(sizeof(TrainingTotals),
              static_cast<std::size_t>(max_in_flight),
              "the totals of lm_train") {
  const Stream stream;
  upload(parameters, stream);
  warm_up(batch, stream);
  gradient_graph_ = std::make_unique<Graph>(
      stream, [this](cudaStream_t capturing) { enqueue_batch(false, capturing); });
  step_graph_ = std::make_unique<Graph>(
      stream, [this](cudaStream_t capturing) { enqueue_batch(true, capturing); });
  evaluation_graph_ = std::make_unique<Graph>(stream, [this](cudaStream_t capturing) {
    transformer_.evaluate(this->parameters(), positions(), state_.get(), capturing);
  });
  stream.synchronize();
}

void CudaTrainer::upload(const std::vector<float>& parameters, const Stream& stream) {
  copy(in_layout(parameters, transformer_layout(shape_, 1), layout_), parameters_, stream);
  copy(std::vector<TrainingState>(1), state_, stream);
  clear(gradient_, stream);
  clear(first_moment_, stream);
  clear(second_moment_, stream);
  round_to_bf16(parameters_.get(), layout_.size, rounded_.get(), stream.get());
  stream.synchronize();
}

void CudaTrainer::warm_up(const BatchShape& batch, const Stream& stream) {
  const DeviceArray<TokenId> tokens(batch.cells(), kBatch, kBatchOption);
  const DeviceArray<std::int32_t> row_tokens(batch.batch_size, kBatch, kBatchOption);
  const DeviceArray<std::int32_t> cu_seqlens(batch.batch_size + 1, kBatch, kBatchOption);
  std::vector<std::int32_t> boundaries;
  for (std::int64_t row = 0; row <= batch.batch_size; ++row) {
    boundaries.push_back(static_cast<std::int32_t>(row * batch.sequence_length));
  }
  clear(tokens, stream);
  clear(row_tokens, stream);
  copy(boundaries, cu_seqlens, stream);
  const DeviceBatch padding = {
      0, batch, 0, tokens.get(), cu_seqlens.get(), batch.batch_size, row_tokens.get()};
  find_positions(padding, shape_.vocabulary, {}, positions(), state_.get(), stream.get());
  transformer_.evaluate(parameters(), positions(), state_.get(), stream.get());
  enqueue_batch(true, stream.get());
  copy(std::vector<TrainingState>(1), state_, stream);
  stream.synchronize();
}

void CudaTrainer::enqueue_batch(bool takes_step, cudaStream_t stream) {
  transformer_.add_gradient(parameters(), positions(), state_.get(), stream);
  if (takes_step) {
    take_step(parameters(), optimizer_, state_.get(), stream);
  }
  finish_batch(state_.get(), stream);
}

void CudaTrainer::train(const DeviceBatch& batch,
                        const std::optional<AdamWStep>& step,
                        DeviceStream stream) {
  find_positions(batch,
                 shape_.vocabulary,
                 step.value_or(AdamWStep()),
                 positions(),
                 state_.get(),
                 cuda_stream(stream));
  (step ? step_graph_ : gradient_graph_)->launch(cuda_stream(stream));
}

void CudaTrainer::enqueue_totals(DeviceStream stream) {
  totals_.enqueue(reinterpret_cast<const std::byte*>(&state_.get()->totals),
                  sizeof(TrainingTotals),
                  cuda_stream(stream));
}

void CudaTrainer::evaluate(const DeviceBatch& batch, DeviceStream stream) {
  find_positions(batch, shape_.vocabulary, {}, positions(), state_.get(), cuda_stream(stream));
  evaluation_graph_->launch(cuda_stream(stream));
}

std::optional<TrainingTotals> CudaTrainer::next_totals() {
  const std::optional<std::vector<std::byte>> bytes = totals_.next();
  if (!bytes) {
    return std::nullopt;
  }
  TrainingTotals totals;
  std::memcpy(&totals, bytes->data(), sizeof totals);
  return totals;
}

std::vector<float> CudaTrainer::read_parameters() {
  const Stream stream;
  std::vector<float> parameters(static_cast<std::size_t>(layout_.size));
  check(cudaMemcpyAsync(parameters.data(),
                        parameters_.get(),
                        parameters_.bytes(),
                        cudaMemcpyDeviceToHost,
                        stream.get()),
        "cudaMemcpyAsync");
  stream.synchronize();
  return in_layout(parameters, layout_, transformer_layout(shape_, 1));
}

void CudaTrainer::load(const TrainingSnapshot& snapshot) {
  const Stream stream;
  const TransformerLayout packed = transformer_layout(shape_, 1);
  upload(snapshot.parameters, stream);
  // Each copy is done before the memory that it is from goes.
  for (const auto& [from, to] : {std::pair(&snapshot.first_moment, &first_moment_),
                                 std::pair(&snapshot.second_moment, &second_moment_),
                                 std::pair(&snapshot.gradient, &gradient_)}) {
    copy(in_layout(*from, packed, layout_), *to, stream);
    stream.synchronize();
  }
  std::vector<TrainingState> state(1);
  state[0].totals.num_batches = snapshot.num_batches;
  state[0].totals.num_tokens = snapshot.num_tokens;
  state[0].gradient_scored = snapshot.gradient_scored;
  copy(state, state_, stream);
  stream.synchronize();
}

std::unique_ptr<Generator> CudaTrainer::make_generator(const GeneratorOptions& options) {
  return std::make_unique<CudaGenerator>(shape_, parameters(), options);
}

void CudaTrainer::reserve_snapshot() {
  snapshot_ = std::make_shared<SnapshotMemory>(layout_.size);
}

std::unique_ptr<PendingSnapshot> CudaTrainer::enqueue_snapshot(DeviceStream stream) {
  if (!snapshot_) {
    throw std::logic_error("no memory was reserved for a snapshot");
  }
  if (snapshot_.use_count() > 1) {
    return nullptr;
  }
  return enqueue_to(snapshot_, shape_, layout_, parameters(), state_.get(), cuda_stream(stream));
}

std::optional<std::int64_t> CudaTrainer::memory_bytes() const {
  const DeviceMemory memory = device_memory();
  return memory.total - memory.free;
}

DevicePositions CudaTrainer::positions() const {
  return {num_positions_,
          tokens_.get(),
          targets_.get(),
          begins_.get(),
          ends_.get(),
          cu_seqlens_.get(),
          num_segments_.get()};
}

DeviceParameters CudaTrainer::parameters() const {
  return {layout_.size,
          layout_.num_decaying,
          parameters_.get(),
          rounded_.get(),
          gradient_.get(),
          first_moment_.get(),
          second_moment_.get(),
          partial_squares_.get()};
}

namespace {

void check_shape(const TransformerShape& shape, const StageConfig& config) {
  if (shape.head_width() != kAttentionHeadWidth) {
    throw config.error(
        "heads",
        std::to_string(shape.heads) + " heads of a width of " + std::to_string(shape.width) +
            " have " + std::to_string(shape.head_width()) +
            " elements each, and CUDA's attention takes " + std::to_string(kAttentionHeadWidth) +
            "; give " +
            std::to_string(std::max<std::int64_t>(1, shape.width / kAttentionHeadWidth)) +
            " heads, or kind: cpu");
  }
  if (shape.width > kMaxDeviceWidth) {
    throw config.error("width",
                       "got " + std::to_string(shape.width) + ", and on CUDA at most " +
                           std::to_string(kMaxDeviceWidth) + " can be trained");
  }
}

void check_memory(const LmTrainOptions& options, const DeviceStageContext& context) {
  const TransformerLayout layout = transformer_layout(options.shape, kDeviceRowStep);
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  constexpr auto kBf16 = static_cast<std::int64_t>(sizeof(Bf16));
  // Parameters, gradient and two moments, also of a checkpoint, and the rounded parameters.
  const std::int64_t for_parameter = kFloat * (context.makes_checkpoints ? 8 : 4) + kBf16;
  const std::int64_t logits = std::min(options.tile, context.shape.positions());
  check_training_memory(
      {for_parameter * layout.size + kBf16 * logits * layout.vocabulary_rows,
       CudaTransformer::bytes_per_position(options.shape) * context.shape.sequence_length},
      device_memory().free,
      context.shape.batch_size,
      "on the GPU",
      "");
}

}  // namespace

std::unique_ptr<DeviceStage> make_cuda_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context) {
  const auto [options, parameters] = begin_lm_train(config, context);
  check_shape(options.shape, config);
  check_memory(options, context);
  auto trainer = std::make_unique<CudaTrainer>(options.shape,
                                               options.optimizer,
                                               parameters,
                                               context.shape,
                                               options.tile,
                                               context.max_in_flight + 1);
  return make_lm_train(options, std::move(trainer), config, context);
}

}  // namespace penstock::gpu
