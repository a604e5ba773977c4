#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "pipeline/result.h"

namespace penstock {

// Hears of the figures that sinks tell while a run goes on, such as what training has come to. Any
// thread, for one sink in order. Must not keep the caller: it may be what feeds a device.
class FiguresListener {
 public:
  FiguresListener() = default;
  FiguresListener(const FiguresListener&) = delete;
  FiguresListener& operator=(const FiguresListener&) = delete;
  virtual ~FiguresListener() = default;

  // `sink` is its row of Metrics; `figures` are those after `num_batches` from the first of the
  // run.
  virtual void add(std::string_view sink,
                   std::int64_t num_batches,
                   const std::vector<Result>& figures) noexcept = 0;
};

// Those who listen. Any thread; a listener is kept as long as the others.
class FiguresListeners {
 public:
  // It hears of what is passed on from here on.
  void add(std::shared_ptr<FiguresListener> listener);
  // To all of them, in the order in which they were added.
  void pass_on(std::string_view sink,
               std::int64_t num_batches,
               const std::vector<Result>& figures) const noexcept;

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<FiguresListener>> listeners_;  // protected by mutex_
};

}  // namespace penstock
