#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/figures.h"

namespace penstock {

// Figures as a sink told them.
struct ToldFigures {
  std::int64_t num_batches = 0;
  std::int64_t time_ns = 0;  // see now_ns()
  std::vector<Result> figures;
};

// Keeps what the first sink that tells figures has told until somebody takes it. Any thread.
class FiguresInbox final : public FiguresListener {
 public:
  void add(std::string_view sink,
           std::int64_t num_batches,
           const std::vector<Result>& figures) noexcept override;

  std::vector<ToldFigures> take();

 private:
  std::mutex mutex_;
  // Protected by mutex_.
  std::string sink_;
  std::vector<ToldFigures> waiting_;
};

}  // namespace penstock
