#include "apps/keep_rows.h"

namespace penstock {

void KeepRows::consume(std::shared_ptr<const Batch> batch, Completion done) {
  if (rows_wanted_ > 0) {
    rows_wanted_ -= batch->num_rows;
    kept_.push_back(std::move(batch));
  }
  if (rows_wanted_ <= 0) {
    stop_.request_stop();
  }
  done.done();
}

}  // namespace penstock
