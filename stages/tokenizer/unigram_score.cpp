#include "stages/tokenizer/unigram_score.h"

#include <cmath>

namespace penstock {

float UnigramScore::exact(const TokenId* ids, std::size_t size) {
  float score = score_;
  for (std::size_t i = size_; i < size; ++i) {
    score = lattice_.add_score(score, ids[i]);
  }
  set(score, size);
  return score;
}

void UnigramScore::set(float score, std::size_t size) {
  score_ = score;
  size_ = size;
  bound_ = kSlack + step_of(std::abs(double{score}));
}

}  // namespace penstock
