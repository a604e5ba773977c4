#include "gpu/cuda/cuda_lm_score.h"

#include <algorithm>
#include <cfloat>
#include <cstring>
#include <stdexcept>
#include <string>

#include "gpu/cuda/check.h"

namespace penstock::gpu {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <typename T>
void upload(const std::vector<T>& from, const DeviceArray<T>& to, const Stream& stream) {
  check(cudaMemcpyAsync(
            to.get(), from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, stream.get()),
        "cudaMemcpyAsync");
}

// A temperature near zero is as good as one at which nothing but the highest logit has a mass.
float inverse(double temperature) {
  return static_cast<float>(std::min(1 / temperature, double{FLT_MAX}));
}

cudaStream_t cuda_stream(DeviceStream stream) {
  return static_cast<cudaStream_t>(stream.handle);
}

}  // namespace

LmSampling lm_sampling(const TokenSampling& sampling, std::int64_t vocabulary) {
  return {.inverse_temperature = inverse(sampling.temperature),
          .top_k = sampling.top_k < vocabulary ? sampling.top_k : 0,
          .top_p = sampling.top_p,
          .seed = sampling.seed};
}

CudaLmScore::CudaLmScore(const LmScoreOptions& options,
                         const LmWeights& weights,
                         const BatchShape& shape,
                         std::int64_t max_reports_in_flight)
    : options_(options),
      shape_(shape),
      vocabulary_(weights.vocabulary),
      width_(weights.width),
      window_(weights.window),
      tile_(std::min(options.tile, shape.positions())),
      logits_stride_(round_up(vocabulary_, kLmLogitsAlignment)),
      logits_(tile_ * logits_stride_, "the logits of lm_score", "tile"),
      embedding_(vocabulary_ * width_, "the embedding of lm_score", "width"),
      projection_(vocabulary_ * width_, "the projection of lm_score", "width"),
      mix_(window_ * width_, "the mix of lm_score", "width"),
      context_(shape.positions() * width_, "the context of lm_score", "width or batch_size"),
      places_(shape.positions(), "the places of lm_score", "batch_size or sequence_length"),
      losses_(shape.positions(), "the losses of lm_score", "batch_size or sequence_length"),
      highest_logits_(
          shape.positions(), "the highest logits of lm_score", "batch_size or sequence_length"),
      highest_ids_(
          shape.positions(), "the predictions of lm_score", "batch_size or sequence_length"),
      samples_(shape.positions(), "the samples of lm_score", "batch_size or sequence_length"),
      sums_(shape.positions(), "the sums of lm_score", "batch_size or sequence_length"),
      found_(static_cast<std::int64_t>(sizeof(LmFound)) +
                 shape.positions() * static_cast<std::int64_t>(sizeof(LmSegmentScore)),
             "the figures of lm_score",
             "batch_size or sequence_length"),
      reports_(found_.bytes(),
               static_cast<std::size_t>(max_reports_in_flight),
               "the reports of lm_score"),
      last_report_(found_.bytes(), 1, "the results of lm_score") {
  const Stream stream;
  upload(weights.embedding, embedding_, stream);
  upload(weights.projection, projection_, stream);
  upload(weights.mix, mix_, stream);
  fill_with_minus_infinity(logits_.get(), tile_ * logits_stride_, stream.get());
  warm_up(stream);
}

void CudaLmScore::warm_up(const Stream& stream) {
  const std::string option = "batch_size or sequence_length";
  const DeviceArray<TokenId> tokens(shape_.cells(), "a first batch", option);
  const DeviceArray<std::int32_t> cu_seqlens(2, "a first batch", option);
  const DeviceArray<std::int32_t> row_tokens(shape_.batch_size, "a first batch", option);
  const std::vector<std::int32_t> boundaries = {0, static_cast<std::int32_t>(shape_.positions())};
  const std::vector<std::int32_t> full_rows(static_cast<std::size_t>(shape_.batch_size),
                                            static_cast<std::int32_t>(shape_.row_length));
  check(cudaMemsetAsync(tokens.get(), 0, tokens.bytes(), stream.get()), "cudaMemsetAsync");
  upload(boundaries, cu_seqlens, stream);
  upload(full_rows, row_tokens, stream);
  forget(stream);
  enqueue({0, shape_, shape_.cells(), tokens.get(), cu_seqlens.get(), 1, row_tokens.get()},
          {stream.get()});
  forget(stream);
  stream.synchronize();
}

void CudaLmScore::forget(const Stream& stream) {
  check(cudaMemsetAsync(found_.get(), 0, found_.bytes(), stream.get()), "cudaMemsetAsync");
  num_segments_ = 0;
  stream_ = nullptr;
}

void CudaLmScore::enqueue(const DeviceBatch& batch, DeviceStream stream) {
  begin(batch, stream);
  const LmStretch whole = {0, shape_.positions()};
  add_context(batch, weights(), positions(), whole, stream_);
  for (std::int64_t first = 0; first < whole.count; first += tile_) {
    score_with_context(batch, {first, std::min(tile_, whole.count - first)});
  }
  end(batch, stream);
}

void CudaLmScore::begin(const DeviceBatch& batch, DeviceStream stream) {
  if (batch.shape.positions() != shape_.positions() ||
      batch.shape.sequence_length != shape_.sequence_length) {
    throw std::logic_error("lm_score was made for batches of another shape");
  }
  stream_ = cuda_stream(stream);
  find_places(batch, vocabulary_, places_.get(), found(), stream_);
}

void CudaLmScore::score(const DeviceBatch& batch,
                        std::int64_t first,
                        std::int64_t count,
                        DeviceStream stream) {
  if (first < 0 || count < 1 || count > tile_ || first + count > shape_.positions()) {
    throw std::logic_error("lm_score cannot score positions [" + std::to_string(first) + ", " +
                           std::to_string(first + count) + ") at once");
  }
  stream_ = cuda_stream(stream);
  add_context(batch, weights(), positions(), {first, count}, stream_);
  score_with_context(batch, {first, count});
}

void CudaLmScore::score_with_context(const DeviceBatch& batch, LmStretch stretch) {
  blas_.multiply({.rows = stretch.count,
                  .columns = vocabulary_,
                  .depth = width_,
                  .left = context_.get() + stretch.first * width_,
                  .right = projection_.get(),
                  .product = logits_.get(),
                  .product_stride = logits_stride_},
                 stream_);
  const LmLogits logits = {logits_.get(), logits_stride_};
  score_logits(logits, positions(), stretch, found(), stream_);
  if (options_.temperature > 0) {
    const LmSampling sampling = lm_sampling(options_, vocabulary_);
    sample_logits(logits, positions(), sampling, batch.first_position(), stretch, stream_);
  }
}

void CudaLmScore::end(const DeviceBatch& batch, DeviceStream stream) {
  stream_ = cuda_stream(stream);
  sum_segments(batch, positions(), sums_.get(), segment_scores(), stream_);
  add_to_totals(sums_.get(), batch.num_segments, found(), stream_);
  num_segments_ = batch.num_segments;
}

void CudaLmScore::enqueue_report(DeviceStream stream) {
  copy_found(reports_, cuda_stream(stream));
}

std::optional<Report> CudaLmScore::next_report() {
  const std::optional<std::vector<std::byte>> bytes = reports_.next();
  if (!bytes) {
    return std::nullopt;
  }
  return report_of(*bytes);
}

std::vector<Result> CudaLmScore::results() {
  if (stream_ == nullptr) {
    return lm_score_figures({}, {}, {});  // there was no batch
  }
  copy_found(last_report_, stream_);
  last_report_.wait();
  reports_.wait();
  return report_of(last_report_.next().value()).figures;
}

void CudaLmScore::copy_found(Readback& readback, cudaStream_t stream) const {
  const auto segments = static_cast<std::size_t>(num_segments_);
  readback.enqueue(found_.get(), sizeof(LmFound) + segments * sizeof(LmSegmentScore), stream);
}

Report CudaLmScore::report_of(const std::vector<std::byte>& bytes) const {
  LmFound found;
  std::memcpy(&found, bytes.data(), sizeof found);
  if (found.num_unknown > 0) {
    throw unknown_token_ids(found.num_unknown, vocabulary_);
  }
  if (found.num_not_finite > 0) {
    throw std::runtime_error("the logits of " + std::to_string(found.num_not_finite) +
                             " positions are not finite: lm_score's weights are too large");
  }
  std::vector<LmSegmentScore> scores((bytes.size() - sizeof found) / sizeof(LmSegmentScore));
  std::memcpy(scores.data(), bytes.data() + sizeof found, scores.size() * sizeof(LmSegmentScore));
  return {found.totals.num_batches, lm_score_figures(found.totals, found.last_batch, scores)};
}

LmDeviceWeights CudaLmScore::weights() const {
  return {vocabulary_, width_, window_, embedding_.get(), mix_.get()};
}

LmPositions CudaLmScore::positions() const {
  return {places_.get(),
          context_.get(),
          losses_.get(),
          highest_logits_.get(),
          highest_ids_.get(),
          samples_.get()};
}

LmFound* CudaLmScore::found() const {
  return reinterpret_cast<LmFound*>(found_.get());
}

LmSegmentScore* CudaLmScore::segment_scores() const {
  return reinterpret_cast<LmSegmentScore*>(found_.get() + sizeof(LmFound));
}

std::unique_ptr<DeviceStage> make_cuda_lm_score(const StageConfig& config,
                                                const DeviceStageContext& context) {
  const LmScoreOptions options = read_lm_score_options(config);
  return std::make_unique<CudaLmScore>(
      options, load_lm_weights(options, config, context), context.shape, context.max_in_flight);
}

}  // namespace penstock::gpu
