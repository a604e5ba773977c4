#include "stages/tokenizer/unigram_score.h"

#include <cmath>

namespace penstock {

void UnigramScore::add_unknown(std::size_t first, std::size_t num_ids, std::size_t num_characters) {
  if (!unknown_.empty() && unknown_.back().first + unknown_.back().num_ids == first) {
    unknown_.back().num_ids += num_ids;
    unknown_.back().num_characters += num_characters;
  } else {
    unknown_.push_back({first, num_ids, num_characters});
  }
  num_unknown_ += num_characters;
}

float UnigramScore::exact(const TokenId* ids, std::size_t size) {
  float score = score_;
  std::size_t i = size_;
  for (const Unknown& unknown : unknown_) {
    for (; i < unknown.first; ++i) {
      score = lattice_.add_score(score, ids[i]);
    }
    for (std::size_t character = 0; character < unknown.num_characters; ++character) {
      score = lattice_.add_score(score, lattice_.unknown_id());
    }
    i += unknown.num_ids;
  }
  for (; i < size; ++i) {
    score = lattice_.add_score(score, ids[i]);
  }
  set(score, size);
  return score;
}

void UnigramScore::set(float score, std::size_t size) {
  score_ = score;
  size_ = size;
  unknown_.clear();
  num_unknown_ = 0;
  bound_ = kSlack + step_of(std::abs(double{score}));
}

}  // namespace penstock
