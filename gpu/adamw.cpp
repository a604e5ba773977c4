#include "gpu/adamw.h"

#include <cmath>
#include <numbers>

namespace penstock::gpu {

double learning_rate_at(const AdamWOptions& options, std::int64_t step) {
  if (step <= options.warmup_steps) {
    return options.learning_rate * static_cast<double>(step) /
           static_cast<double>(options.warmup_steps);
  }
  if (options.decay_steps == 0) {
    return options.learning_rate;
  }
  if (step >= options.decay_steps) {
    return options.final_learning_rate;
  }
  const double progress = static_cast<double>(step - options.warmup_steps) /
                          static_cast<double>(options.decay_steps - options.warmup_steps);
  return options.final_learning_rate + (options.learning_rate - options.final_learning_rate) *
                                           (1 + std::cos(std::numbers::pi * progress)) / 2;
}

AdamWStep adamw_step(const AdamWOptions& options, std::int64_t step) {
  const auto t = static_cast<double>(step);
  return {static_cast<float>(learning_rate_at(options, step)),
          static_cast<float>(1 / (1 - std::pow(options.beta1, t))),
          static_cast<float>(1 / (1 - std::pow(options.beta2, t)))};
}

}  // namespace penstock::gpu
