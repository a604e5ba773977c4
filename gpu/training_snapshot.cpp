#include "gpu/training_snapshot.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "gpu/safetensors.h"
#include "gpu/transformer_weights.h"

namespace penstock::gpu {
namespace {

constexpr const char* kFirstMoment = "first_moment.";
constexpr const char* kSecondMoment = "second_moment.";
constexpr const char* kGradient = "gradient.";
constexpr const char* kGradientScored = "gradient_scored";
constexpr const char* kNumBatches = "num_batches";
constexpr const char* kNumTokens = "num_tokens";
constexpr const char* kAccumulate = "accumulate";

std::int64_t read_count(const std::string& path,
                        const SafetensorsReader& file,
                        const std::string& key) {
  const std::string text = file.metadata(key);
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || count < 0) {
    throw std::runtime_error("'" + path + "': its metadata has no number as " + key +
                             "; it is no state of the optimiser of lm_train");
  }
  return count;
}

bool is_negative(float element) {
  return element < 0;
}

}  // namespace

void write_optimizer_state(const TrainingSnapshot& snapshot, const std::string& path) {
  const TransformerLayout layout = transformer_layout(snapshot.shape, 1);
  std::vector<SafetensorsTensor> tensors;
  append_tensors(layout, kFirstMoment, snapshot.first_moment, tensors);
  append_tensors(layout, kSecondMoment, snapshot.second_moment, tensors);
  if (snapshot.gradient_scored > 0) {
    append_tensors(layout, kGradient, snapshot.gradient, tensors);
  }
  write_safetensors(path,
                    tensors,
                    {{kGradientScored, std::to_string(snapshot.gradient_scored)},
                     {kNumBatches, std::to_string(snapshot.num_batches)},
                     {kNumTokens, std::to_string(snapshot.num_tokens)},
                     {kAccumulate, std::to_string(snapshot.accumulate)}});
}

void read_optimizer_state(const std::string& path, TrainingSnapshot& snapshot) {
  const TransformerLayout layout = transformer_layout(snapshot.shape, 1);
  SafetensorsReader file(path);
  snapshot.gradient_scored = read_count(path, file, kGradientScored);
  snapshot.num_batches = read_count(path, file, kNumBatches);
  snapshot.num_tokens = read_count(path, file, kNumTokens);
  snapshot.accumulate = read_count(path, file, kAccumulate);
  snapshot.first_moment = read_tensors(layout, kFirstMoment, file);
  snapshot.second_moment = read_tensors(layout, kSecondMoment, file);
  if (std::any_of(snapshot.second_moment.begin(), snapshot.second_moment.end(), is_negative)) {
    throw std::runtime_error("'" + path + "': a second moment, the mean of a square, is negative");
  }
  snapshot.gradient.assign(snapshot.first_moment.size(), 0.0F);
  if (snapshot.gradient_scored > 0) {
    snapshot.gradient = read_tensors(layout, kGradient, file);
  }
}

}  // namespace penstock::gpu
