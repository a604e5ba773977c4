#include "gpu/host/sample_token.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

#include "gpu/philox.h"

namespace penstock::gpu {
namespace {

struct Candidate {
  TokenId id = 0;
  float logit = 0;
  std::uint64_t mass = 0;
};

std::uint64_t mass_of(const std::vector<Candidate>& candidates) {
  std::uint64_t sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.mass;
  }
  return sum;
}

// The lowest logit that top_k keeps.
float lowest_of_top_k(std::span<const float> logits, std::int64_t top_k) {
  if (top_k == 0 || top_k >= std::ssize(logits)) {
    return -std::numeric_limits<float>::infinity();
  }
  std::vector<float> descending(logits.begin(), logits.end());
  const auto kth = descending.begin() + (top_k - 1);
  std::nth_element(descending.begin(), kth, descending.end(), std::greater<>());
  return *kth;
}

// The lowest logit that top_p keeps.
float lowest_of_top_p(std::vector<Candidate> candidates, double top_p) {
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit;
  });
  const auto wanted =
      static_cast<std::uint64_t>(std::ceil(top_p * static_cast<double>(mass_of(candidates))));
  std::size_t last = 0;
  for (std::uint64_t sum = candidates[0].mass; sum < wanted; sum += candidates[last].mass) {
    ++last;
  }
  return candidates[last].logit;
}

// The ids with at least this logit, in order.
std::vector<Candidate> candidates_from(std::span<const float> logits,
                                       float lowest,
                                       double temperature) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<Candidate> candidates;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] >= lowest) {
      const double scaled = (static_cast<double>(logits[id]) - highest) / temperature;
      candidates.push_back({static_cast<TokenId>(id),
                            logits[id],
                            static_cast<std::uint64_t>(std::ldexp(std::exp(scaled), 32))});
    }
  }
  return candidates;
}

}  // namespace

TokenId most_likely_token(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

TokenId sample_token(std::span<const float> logits,
                     const TokenSampling& sampling,
                     std::uint64_t random) {
  if (sampling.temperature == 0) {
    return most_likely_token(logits);
  }
  std::vector<Candidate> kept =
      candidates_from(logits, lowest_of_top_k(logits, sampling.top_k), sampling.temperature);
  if (sampling.top_p < 1) {
    const float lowest = lowest_of_top_p(kept, sampling.top_p);
    std::erase_if(kept, [=](const Candidate& candidate) { return candidate.logit < lowest; });
  }
  const std::uint64_t place = uniform_below(random, mass_of(kept));
  std::size_t chosen = 0;
  for (std::uint64_t sum = kept[0].mass; sum <= place; sum += kept[chosen].mass) {
    ++chosen;
  }
  return kept[chosen].id;
}

}  // namespace penstock::gpu
