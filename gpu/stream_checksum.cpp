#include "gpu/stream_checksum.h"

#include <iomanip>
#include <sstream>

namespace penstock::gpu {

std::uint64_t stream_checksum(std::span<const TokenId> tokens, std::uint64_t first_position) {
  std::uint64_t sum = 0;
  std::uint64_t position = first_position;
  for (const TokenId token : tokens) {
    sum += stream_checksum_term(token, position);
    ++position;
  }
  return sum;
}

std::string checksum_text(std::uint64_t checksum) {
  std::ostringstream text;
  text << "0x" << std::hex << std::setw(16) << std::setfill('0') << checksum;
  return text.str();
}

}  // namespace penstock::gpu
