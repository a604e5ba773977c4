#include "gpu/host/host_trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "gpu/host/host_generator.h"

namespace penstock::gpu {
namespace {

constexpr std::int64_t kBlock = 65'536;  // elements that are worked on by one thread at a time

class ArrivedSnapshot final : public PendingSnapshot {
 public:
  explicit ArrivedSnapshot(TrainingSnapshot snapshot) : snapshot_(std::move(snapshot)) {}
  TrainingSnapshot wait() override { return std::move(snapshot_); }

 private:
  TrainingSnapshot snapshot_;
};

}  // namespace

HostTrainer::HostTrainer(const TransformerShape& shape,
                         const AdamWOptions& optimizer,
                         std::vector<float> parameters,
                         std::int64_t num_positions,
                         std::int64_t tile,
                         int threads)
    : shape_(shape),
      optimizer_(optimizer),
      layout_(transformer_layout(shape, 1)),
      threads_(threads),
      parallel_(threads),
      transformer_(shape, layout_, num_positions, tile, threads),
      parameters_(std::move(parameters)),
      gradient_(parameters_.size()),
      first_moment_(parameters_.size()),
      second_moment_(parameters_.size()) {}

void HostTrainer::train(const DeviceBatch& batch,
                        const std::optional<AdamWStep>& step,
                        DeviceStream) {
  const PackedPositions positions = packed_positions(batch, shape_.vocabulary);
  const BatchLoss loss = transformer_.add_gradient(parameters_, positions, gradient_);
  gradient_scored_ += positions.num_scored;
  totals_.num_tokens += positions.num_tokens;
  totals_.num_scored += positions.num_scored;
  totals_.num_correct += loss.num_correct;
  totals_.loss_sum += loss.loss_sum;
  totals_.num_unknown += positions.num_unknown;
  if (loss.first_not_finite >= 0) {
    note_bad(loss.first_not_finite);
  }
  if (step && gradient_scored_ > 0) {
    update(*step);
  }
  ++totals_.num_batches;
  totals_.nanoseconds =
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void HostTrainer::evaluate(const DeviceBatch& batch, DeviceStream) {
  const PackedPositions positions = packed_positions(batch, shape_.vocabulary);
  totals_.evaluated_loss_sum += transformer_.evaluate(parameters_, positions).loss_sum;
  totals_.num_evaluated += positions.num_scored;
}

void HostTrainer::enqueue_totals(DeviceStream) {
  arrived_.push_back(totals_);
}

std::unique_ptr<Generator> HostTrainer::make_generator(const GeneratorOptions& options) {
  return std::make_unique<HostGenerator>(shape_, parameters_, options, threads_);
}

void HostTrainer::load(const TrainingSnapshot& snapshot) {
  // In place: generators refer to them.
  std::copy(snapshot.parameters.begin(), snapshot.parameters.end(), parameters_.begin());
  first_moment_ = snapshot.first_moment;
  second_moment_ = snapshot.second_moment;
  gradient_ = snapshot.gradient;
  gradient_scored_ = snapshot.gradient_scored;
  totals_.num_batches = snapshot.num_batches;
  totals_.num_tokens = snapshot.num_tokens;
}

std::unique_ptr<PendingSnapshot> HostTrainer::enqueue_snapshot(DeviceStream) {
  return std::make_unique<ArrivedSnapshot>(TrainingSnapshot{shape_,
                                                            parameters_,
                                                            first_moment_,
                                                            second_moment_,
                                                            gradient_,
                                                            gradient_scored_,
                                                            totals_.num_batches,
                                                            totals_.num_tokens,
                                                            totals_.bad_batch});
}

std::optional<TrainingTotals> HostTrainer::next_totals() {
  if (arrived_.empty()) {
    return std::nullopt;
  }
  const TrainingTotals totals = arrived_.front();
  arrived_.pop_front();
  return totals;
}

double HostTrainer::gradient_norm() const {
  std::vector<double> squares((gradient_.size() + kBlock - 1) / kBlock);
  parallel_.run(std::ssize(gradient_), kBlock, [&](std::int64_t begin, std::int64_t end) {
    double sum = 0;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      sum += static_cast<double>(gradient_[i]) * gradient_[i];
    }
    squares[static_cast<std::size_t>(begin / kBlock)] = sum;
  });
  return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
}

void HostTrainer::note_bad(std::int64_t position) {
  if (totals_.bad_batch < 0) {
    totals_.bad_batch = totals_.num_batches;
    totals_.bad_position = position;
  }
}

void HostTrainer::update(const AdamWStep& step) {
  const double norm = gradient_norm() / static_cast<double>(gradient_scored_);
  totals_.gradient_norm = norm;
  if (!std::isfinite(norm)) {
    note_bad(-1);
  }
  if (totals_.bad_batch >= 0) {
    return;
  }
  const double clip =
      optimizer_.gradient_clip > 0 ? std::min(1.0, optimizer_.gradient_clip / (norm + 1e-6)) : 1.0;
  const auto scale = static_cast<float>(clip / static_cast<double>(gradient_scored_));
  const auto beta1 = static_cast<float>(optimizer_.beta1);
  const auto beta2 = static_cast<float>(optimizer_.beta2);
  const auto epsilon = static_cast<float>(optimizer_.epsilon);
  const auto decay = static_cast<float>(optimizer_.weight_decay);
  parallel_.run(layout_.size, kBlock, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t element = begin; element < end; ++element) {
      const auto i = static_cast<std::size_t>(element);
      const float gradient = scale * gradient_[i];
      float& first = first_moment_[i];
      float& second = second_moment_[i];
      first = beta1 * first + (1 - beta1) * gradient;
      second = beta2 * second + (1 - beta2) * gradient * gradient;
      const float kept = element < layout_.num_decaying ? 1 - step.learning_rate * decay : 1;
      parameters_[i] = kept * parameters_[i] - step.learning_rate * first * step.correction1 /
                                                   (std::sqrt(second * step.correction2) + epsilon);
      gradient_[i] = 0;
    }
  });
  gradient_scored_ = 0;
}

}  // namespace penstock::gpu
