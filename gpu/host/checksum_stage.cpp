#include "gpu/host/checksum_stage.h"

#include <iomanip>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>

#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

std::string hexadecimal(std::uint64_t value) {
  std::ostringstream text;
  text << "0x" << std::hex << std::setw(16) << std::setfill('0') << value;
  return text.str();
}

}  // namespace

void ChecksumStage::hand_over(const Batch& batch) {
  sent_ += stream_checksum(batch.tokens, cells_sent_);
  cells_sent_ += batch.tokens.size();
}

void ChecksumStage::enqueue(const DeviceBatch& batch) {
  const auto cells = static_cast<std::size_t>(batch.batch_size * batch.row_length);
  arrived_ += stream_checksum(std::span(batch.tokens, cells), cells_arrived_);
  cells_arrived_ += cells;
  tokens_arrived_ += batch.num_tokens;
  ++batches_arrived_;
}

std::vector<Result> ChecksumStage::results() const {
  if (sent_ != arrived_ || cells_sent_ != cells_arrived_) {
    throw std::runtime_error("what arrived on the device is not what was sent: checksum " +
                             hexadecimal(arrived_) + " of " + std::to_string(cells_arrived_) +
                             " tokens, sent " + hexadecimal(sent_) + " of " +
                             std::to_string(cells_sent_));
  }
  return {{"batches", batches_arrived_},
          {"tokens", tokens_arrived_},
          {"checksum", hexadecimal(arrived_)},
          {"verified", std::string("every token arrived once, whole and in order")}};
}

}  // namespace penstock::gpu
