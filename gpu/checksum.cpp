#include "gpu/checksum.h"

#include <stdexcept>
#include <string>

#include "gpu/stream_checksum.h"

namespace penstock::gpu {

void Checksum::hand_over(const Batch& batch) {
  sent_ += stream_checksum(batch.tokens, cells_sent_);
  cells_sent_ += batch.tokens.size();
}

std::vector<Result> Checksum::results() {
  const Arrived here = arrived();
  if (sent_ != here.checksum || cells_sent_ != here.cells) {
    throw std::runtime_error("what arrived on the device is not what was sent: checksum " +
                             checksum_text(here.checksum) + " of " + std::to_string(here.cells) +
                             " tokens, sent " + checksum_text(sent_) + " of " +
                             std::to_string(cells_sent_));
  }
  return {{"batches", here.batches},
          {"tokens", here.tokens},
          {"checksum", checksum_text(here.checksum)},
          {"verified", std::string("every token arrived once, whole and in order")}};
}

}  // namespace penstock::gpu
