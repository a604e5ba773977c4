#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/stream_position.h"
#include "stages/shard_list.h"

namespace penstock {

// "800123 bytes with CRC-32 0x0badcafe"
std::string describe_content(std::string_view bytes);

// Adds what tells these shards from others, as "label.shards": how many there are, their file names
// without folders, and their sizes. Takes a bounded number of entries, however many shards there
// are: of many shards, one for each stretch of the list.
void add_shards(const std::vector<Shard>& shards,
                const std::string& label,
                StreamFingerprint& fingerprint);

}  // namespace penstock
