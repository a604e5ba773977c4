#include "apps/watched_assembler.h"

namespace penstock {

void WatchedAssembler::add(TokenChunk chunk, std::vector<Batch>& full) {
  const SampledChunk packed{
      chunk.position, chunk.num_records, /*text_bytes=*/0, std::ssize(chunk.ids)};
  assembler_->add(std::move(chunk), full);
  watch_(packed);
}

}  // namespace penstock
