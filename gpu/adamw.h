#pragma once

#include <cstdint>

namespace penstock::gpu {

// The optimiser AdamW with a learning rate that rises and falls and a limit for the gradient's
// norm. Loshchilov and Hutter 2019, "Decoupled weight decay regularization".
//
// Step t = 1, 2, ... takes the gradient g of the mean loss of its scored positions, scales it by
// min(1, gradient_clip / (norm(g) + 1e-6)), and does for every parameter p
//
//   m = beta1 * m + (1 - beta1) * g
//   v = beta2 * v + (1 - beta2) * g^2
//   p = p - rate * weight_decay * p                      where p belongs to a matrix
//   p = p - rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)
//
// The rate is learning_rate * t / warmup_steps for t <= warmup_steps. From there it falls like half
// a wave of the cosine to final_learning_rate at decay_steps, and stays there; with decay_steps 0
// it stays at learning_rate. A step with no scored position changes nothing.
struct AdamWOptions {
  double learning_rate = 6e-4;
  std::int64_t warmup_steps = 100;
  std::int64_t decay_steps = 0;  // 0, or more than warmup_steps
  double final_learning_rate = 6e-5;
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double gradient_clip = 1;  // 0: no limit
};

double learning_rate_at(const AdamWOptions& options, std::int64_t step);

// What is the same for every parameter in one step.
struct AdamWStep {
  float learning_rate = 0;
  float correction1 = 0;  // 1 / (1 - beta1^t)
  float correction2 = 0;  // 1 / (1 - beta2^t)
};
AdamWStep adamw_step(const AdamWOptions& options, std::int64_t step);

}  // namespace penstock::gpu
