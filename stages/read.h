#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Registers the source `read`: reads shards, decompresses them and cuts them into ByteChunks at
// record ends.
//
// A chunk is the smallest number of whole records whose bytes reach `chunk_size`, or what is left
// at the end of the shard. Records longer than `max_document` are left out, add no bytes, and are
// among the chunk's rejects; a chunk also ends with its 64th of them. So where a chunk is cut
// depends on the shard's text and the options alone: not on the compression, nor on how the bytes
// come in.
//
// Where a shard is damaged, what came before is delivered up to the last whole record; the record
// at which it stopped is one reject and the shard ends there.
void register_read(StageRegistry& registry);

}  // namespace penstock
