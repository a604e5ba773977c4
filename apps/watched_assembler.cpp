#include "apps/watched_assembler.h"

namespace penstock {

void WatchedAssembler::add(const TokenChunk& chunk, std::vector<Batch>& full) {
  assembler_->add(chunk, full);
  watch_({chunk.position, chunk.num_records, /*text_bytes=*/0, std::ssize(chunk.ids)});
}

}  // namespace penstock
