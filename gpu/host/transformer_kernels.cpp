#include "gpu/host/transformer_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>

#include "gpu/host/matrix_product.h"

namespace penstock::gpu {
namespace {

constexpr float kNormEpsilon = 1e-5F;
// Of blocks that are worked on in parallel.
constexpr std::int64_t kRows = 64;
constexpr std::int64_t kColumns = 64;
constexpr std::int64_t kElements = 16'384;
// Queries whose scores exist at the same time.
constexpr std::int64_t kQueries = 64;

std::int64_t rows_of(std::span<const float> values, std::int64_t width) {
  return std::ssize(values) / width;
}

struct GeluParts {
  float tanh = 0;
  float slope = 0;  // of tanh's argument
};

GeluParts gelu_parts(float x) {
  constexpr float kScale = 0.7978845608F;  // sqrt(2 / pi)
  constexpr float kCubic = 0.044715F;
  const float argument = kScale * (x + kCubic * x * x * x);
  return {1 - 2 / (std::exp(2 * argument) + 1), kScale * (1 + 3 * kCubic * x * x)};
}

// One head of one segment.
struct Head {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  std::int64_t index = 0;
};

// Element 0 of queries, keys and values of the head's first position in [positions, 3 * width].
template <typename T>
struct HeadParts {
  HeadParts(T* projected, const Attention& attention, const Head& head)
      : stride(3 * attention.width()),
        queries(projected + head.begin * stride + head.index * attention.head_width),
        keys(queries + attention.width()),
        values(keys + attention.width()) {}

  std::int64_t stride;
  T* queries;
  T* keys;
  T* values;
};

void for_each_head(const ParallelBlocks& parallel,
                   const Attention& attention,
                   const std::function<void(const Head&)>& work) {
  const std::int64_t count = std::ssize(attention.segments) * attention.heads;
  parallel.run(count, 1, [&](std::int64_t i, std::int64_t) {
    const auto& [begin, end] = attention.segments[static_cast<std::size_t>(i / attention.heads)];
    work({begin, end - begin, i % attention.heads});
  });
}

// Scores of `count` queries from `first` on with all keys up to the last of these queries.
void score(const HeadParts<const float>& parts,
           std::int64_t head_width,
           std::int64_t first,
           std::int64_t count,
           float* scores) {
  multiply(count,
           first + count,
           head_width,
           {parts.queries + first * parts.stride, parts.stride},
           {parts.keys, parts.stride, true},
           {scores, first + count});
}

float softmax_scale(const Attention& attention) {
  return 1 / std::sqrt(static_cast<float>(attention.head_width));
}

void attend_head(const Attention& attention,
                 const Head& head,
                 const float* projected,
                 float* output,
                 float* log_sums) {
  const HeadParts<const float> parts(projected, attention, head);
  const std::int64_t width = attention.width();
  const float scale = softmax_scale(attention);
  std::vector<float> scores(
      static_cast<std::size_t>(std::min(kQueries, head.length) * head.length));
  for (std::int64_t first = 0; first < head.length; first += kQueries) {
    const std::int64_t count = std::min(kQueries, head.length - first);
    const std::int64_t num_keys = first + count;
    score(parts, attention.head_width, first, count, scores.data());
    for (std::int64_t i = 0; i < count; ++i) {
      float* row = scores.data() + i * num_keys;
      const std::int64_t num_seen = first + i + 1;
      const float highest = *std::max_element(row, row + num_seen);
      float sum = 0;
      for (std::int64_t j = 0; j < num_seen; ++j) {
        row[j] = std::exp(scale * (row[j] - highest));
        sum += row[j];
      }
      for (std::int64_t j = 0; j < num_seen; ++j) {
        row[j] /= sum;
      }
      std::fill(row + num_seen, row + num_keys, 0.0F);
      log_sums[head.index * attention.positions + head.begin + first + i] =
          scale * highest + std::log(sum);
    }
    multiply(count,
             attention.head_width,
             num_keys,
             {scores.data(), num_keys},
             {parts.values, parts.stride},
             {output + (head.begin + first) * width + head.index * attention.head_width, width});
  }
}

// `d_projected` of the head is zero before.
void attend_head_backward(const Attention& attention,
                          const Head& head,
                          const float* projected,
                          const float* output,
                          const float* log_sums,
                          const float* d_output,
                          float* d_projected) {
  const HeadParts<const float> parts(projected, attention, head);
  const HeadParts<float> gradients(d_projected, attention, head);
  const std::int64_t width = attention.width();
  const std::int64_t head_width = attention.head_width;
  const float scale = softmax_scale(attention);
  const auto size = static_cast<std::size_t>(std::min(kQueries, head.length) * head.length);
  std::vector<float> probabilities(size);
  std::vector<float> d_scores(size);
  for (std::int64_t first = 0; first < head.length; first += kQueries) {
    const std::int64_t count = std::min(kQueries, head.length - first);
    const std::int64_t num_keys = first + count;
    const std::int64_t offset = (head.begin + first) * width + head.index * head_width;
    const Factor d_rows = {d_output + offset, width};
    score(parts, head_width, first, count, probabilities.data());
    multiply(count,
             num_keys,
             head_width,
             d_rows,
             {parts.values, parts.stride, true},
             {d_scores.data(), num_keys});
    for (std::int64_t i = 0; i < count; ++i) {
      float* p = probabilities.data() + i * num_keys;
      float* d = d_scores.data() + i * num_keys;
      const float* row = output + offset + i * width;
      const float* d_row = d_output + offset + i * width;
      float mean = 0;  // of d, weighted with the probabilities
      for (std::int64_t k = 0; k < head_width; ++k) {
        mean += row[k] * d_row[k];
      }
      const float log_sum = log_sums[head.index * attention.positions + head.begin + first + i];
      const std::int64_t num_seen = first + i + 1;
      for (std::int64_t j = 0; j < num_seen; ++j) {
        p[j] = std::exp(scale * p[j] - log_sum);
        d[j] = scale * p[j] * (d[j] - mean);
      }
      std::fill(p + num_seen, p + num_keys, 0.0F);
      std::fill(d + num_seen, d + num_keys, 0.0F);
    }
    multiply(count,
             head_width,
             num_keys,
             {d_scores.data(), num_keys},
             {parts.keys, parts.stride},
             {gradients.queries + first * gradients.stride, gradients.stride});
    multiply(num_keys,
             head_width,
             count,
             {d_scores.data(), num_keys, true},
             {parts.queries + first * parts.stride, parts.stride},
             {gradients.keys, gradients.stride, true});
    multiply(num_keys,
             head_width,
             count,
             {probabilities.data(), num_keys, true},
             d_rows,
             {gradients.values, gradients.stride, true});
  }
}

}  // namespace

void layer_norm(const ParallelBlocks& parallel,
                std::span<const float> input,
                const Norm& norm,
                std::int64_t width,
                std::span<float> output,
                NormStatistics& statistics) {
  const std::int64_t rows = rows_of(input, width);
  statistics.mean.resize(static_cast<std::size_t>(rows));
  statistics.inverse_deviation.resize(static_cast<std::size_t>(rows));
  parallel.run(rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = input.data() + row * width;
      float* y = output.data() + row * width;
      float sum = 0;
      for (std::int64_t i = 0; i < width; ++i) {
        sum += x[i];
      }
      const float mean = sum / static_cast<float>(width);
      float squares = 0;
      for (std::int64_t i = 0; i < width; ++i) {
        squares += (x[i] - mean) * (x[i] - mean);
      }
      const float inverse = 1 / std::sqrt(squares / static_cast<float>(width) + kNormEpsilon);
      for (std::int64_t i = 0; i < width; ++i) {
        y[i] = (x[i] - mean) * inverse * norm.weight[i] + norm.bias[i];
      }
      statistics.mean[static_cast<std::size_t>(row)] = mean;
      statistics.inverse_deviation[static_cast<std::size_t>(row)] = inverse;
    }
  });
}

void layer_norm_backward(const ParallelBlocks& parallel,
                         std::span<const float> input,
                         const Norm& norm,
                         std::int64_t width,
                         const NormStatistics& statistics,
                         std::span<const float> d_output,
                         std::span<float> d_input,
                         const NormGradient& d_norm) {
  const std::int64_t rows = rows_of(input, width);
  parallel.run(rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = input.data() + row * width;
      const float* dy = d_output.data() + row * width;
      float* dx = d_input.data() + row * width;
      const float mean = statistics.mean[static_cast<std::size_t>(row)];
      const float inverse = statistics.inverse_deviation[static_cast<std::size_t>(row)];
      float sum = 0;
      float product_sum = 0;
      for (std::int64_t i = 0; i < width; ++i) {
        const float d = dy[i] * norm.weight[i];
        sum += d;
        product_sum += d * (x[i] - mean) * inverse;
      }
      sum /= static_cast<float>(width);
      product_sum /= static_cast<float>(width);
      for (std::int64_t i = 0; i < width; ++i) {
        const float normal = (x[i] - mean) * inverse;
        dx[i] += inverse * (dy[i] * norm.weight[i] - sum - normal * product_sum);
      }
    }
  });
  parallel.run(width, kColumns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* x = input.data() + row * width;
      const float* dy = d_output.data() + row * width;
      const float mean = statistics.mean[static_cast<std::size_t>(row)];
      const float inverse = statistics.inverse_deviation[static_cast<std::size_t>(row)];
      for (std::int64_t i = begin; i < end; ++i) {
        d_norm.weight[i] += dy[i] * (x[i] - mean) * inverse;
        d_norm.bias[i] += dy[i];
      }
    }
  });
}

void gelu(const ParallelBlocks& parallel, std::span<const float> input, std::span<float> output) {
  parallel.run(std::ssize(input), kElements, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      output[i] = input[i] / 2 * (1 + gelu_parts(input[i]).tanh);
    }
  });
}

void gelu_backward(const ParallelBlocks& parallel,
                   std::span<const float> input,
                   std::span<float> gradient) {
  parallel.run(std::ssize(input), kElements, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const auto [tanh, slope] = gelu_parts(input[i]);
      gradient[i] *= (1 + tanh + input[i] * (1 - tanh * tanh) * slope) / 2;
    }
  });
}

void fill_rows(const ParallelBlocks& parallel,
               std::span<const float> bias,
               std::span<float> values) {
  const std::int64_t width = std::ssize(bias);
  parallel.run(rows_of(values, width), kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::copy(bias.begin(), bias.end(), values.begin() + row * width);
    }
  });
}

void fill_rows(const ParallelBlocks& parallel,
               std::span<const float> bias,
               std::span<const float> more,
               std::span<float> values) {
  const std::int64_t width = std::ssize(bias);
  parallel.run(rows_of(values, width), kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t i = 0; i < width; ++i) {
        const auto at = static_cast<std::size_t>(row * width + i);
        values[at] = more[at] + bias[static_cast<std::size_t>(i)];
      }
    }
  });
}

void add_row_sums(const ParallelBlocks& parallel,
                  std::span<const float> values,
                  std::span<float> sums) {
  const std::int64_t width = std::ssize(sums);
  const std::int64_t rows = rows_of(values, width);
  parallel.run(width, kColumns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = begin; i < end; ++i) {
        sums[static_cast<std::size_t>(i)] += values[static_cast<std::size_t>(row * width + i)];
      }
    }
  });
}

void attend(const ParallelBlocks& parallel,
            const Attention& attention,
            std::span<const float> projected,
            std::span<float> output,
            std::span<float> log_sums) {
  for_each_head(parallel, attention, [&](const Head& head) {
    attend_head(attention, head, projected.data(), output.data(), log_sums.data());
  });
}

void attend_backward(const ParallelBlocks& parallel,
                     const Attention& attention,
                     std::span<const float> projected,
                     std::span<const float> output,
                     std::span<const float> log_sums,
                     std::span<const float> d_output,
                     std::span<float> d_projected) {
  std::fill(d_projected.begin(), d_projected.end(), 0.0F);
  for_each_head(parallel, attention, [&](const Head& head) {
    attend_head_backward(attention,
                         head,
                         projected.data(),
                         output.data(),
                         log_sums.data(),
                         d_output.data(),
                         d_projected.data());
  });
}

Prediction predict(std::span<const float> logits, std::int64_t target) {
  const auto highest = std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (const float logit : logits) {
    sum += std::exp(logit - *highest);
  }
  return {*highest + std::log(sum) - logits[static_cast<std::size_t>(target)],
          highest - logits.begin() == target};
}

Prediction predict_backward(std::span<float> logits, std::int64_t target) {
  const auto place = std::max_element(logits.begin(), logits.end());
  const float highest = *place;
  const float target_logit = logits[static_cast<std::size_t>(target)];
  float sum = 0;
  for (float& logit : logits) {
    logit = std::exp(logit - highest);
    sum += logit;
  }
  const float inverse = 1 / sum;
  for (float& logit : logits) {
    logit *= inverse;
  }
  logits[static_cast<std::size_t>(target)] -= 1;
  return {highest + std::log(sum) - target_logit, place - logits.begin() == target};
}

}  // namespace penstock::gpu
