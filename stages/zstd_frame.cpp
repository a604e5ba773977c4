#include "stages/zstd_frame.h"

#include <zstd.h>

namespace penstock {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x28\xb5\x2f\xfd"sv;

}  // namespace

bool can_begin_zstd_frame(std::string_view bytes) {
  constexpr std::string_view kSkippableTail = "\x2a\x4d\x18"sv;
  const std::string_view magic = bytes.substr(0, kMagic.size());
  if (magic == kMagic.substr(0, magic.size())) {
    return true;
  }
  const std::string_view tail = magic.substr(1);
  return (static_cast<unsigned char>(magic[0]) & 0xf0) == 0x50 &&
         tail == kSkippableTail.substr(0, tail.size());
}

std::optional<std::uint64_t> zstd_window_size(std::string_view header) {
  if (header.size() < 6) {
    return std::nullopt;
  }
  const bool is_single_segment = (static_cast<unsigned char>(header[4]) & 0x20) != 0;
  if (is_single_segment) {
    return ZSTD_getFrameContentSize(header.data(), header.size());
  }
  const auto descriptor = static_cast<unsigned char>(header[5]);
  const std::uint64_t base = std::uint64_t{1} << (10 + (descriptor >> 3));
  return base + base / 8 * (descriptor & 7);
}

}  // namespace penstock
