#include "stages/content_fingerprint.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include <zlib.h>

namespace penstock {
namespace {

constexpr std::size_t kMostEntries = 64;

uLong add_crc32(uLong checksum, std::string_view bytes) {
  return crc32(
      checksum, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
}

std::string hex(uLong checksum) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) {
    text += kDigits[checksum >> shift & 15];
  }
  return text;
}

std::string describe(const Shard& shard) {
  const std::string& path = *shard.name;
  const std::string name = path.substr(path.rfind('/') + 1);
  return "'" + name + "' of " + (shard.size ? std::to_string(*shard.size) : "unknown") + " bytes";
}

}  // namespace

std::string describe_content(std::string_view bytes) {
  return std::to_string(bytes.size()) + " bytes with CRC-32 " + hex(add_crc32(0, bytes));
}

void add_shards(const std::vector<Shard>& shards,
                const std::string& label,
                StreamFingerprint& fingerprint) {
  fingerprint[label + ".shards"] = std::to_string(shards.size());
  const std::size_t stretch = (shards.size() + kMostEntries - 1) / kMostEntries;
  for (std::size_t begin = 0; begin < shards.size(); begin += stretch) {
    std::string key = label + ".shards[" + std::to_string(begin);
    if (stretch == 1) {
      fingerprint[key + "]"] = describe(shards[begin]);
      continue;
    }
    const std::size_t end = std::min(begin + stretch, shards.size());
    uLong checksum = 0;
    for (std::size_t i = begin; i < end; ++i) {
      checksum = add_crc32(checksum, describe(shards[i]) + "\n");
    }
    key += " to " + std::to_string(end - 1) + "]";
    fingerprint[key] = "files with the checksum " + hex(checksum);
  }
}

}  // namespace penstock
