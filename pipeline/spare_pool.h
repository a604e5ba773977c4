#pragma once

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace penstock {

// Keeps what is over for what is to come. What was kept last is taken first: it is most likely
// still in a cache. Any thread.
template <typename T>
class SparePool {
 public:
  // At most `most` are kept; more are destroyed.
  explicit SparePool(std::size_t most) : most_(most) { idle_.reserve(most); }

  // T() where there is none.
  T take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) {
      return T();
    }
    T last = std::move(idle_.back());
    idle_.pop_back();
    return last;
  }

  void keep(T spare) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < most_) {
      idle_.push_back(std::move(spare));
    }
  }

 private:
  const std::size_t most_;
  std::mutex mutex_;
  std::vector<T> idle_;  // protected by mutex_
};

}  // namespace penstock
