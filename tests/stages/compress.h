#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include <zlib.h>
#include <zstd.h>

namespace penstock::testing {

// One zstd frame with a checksum.
inline std::string zstd(std::string_view text) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string compressed(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size =
      ZSTD_compress2(context, compressed.data(), compressed.size(), text.data(), text.size());
  ZSTD_freeCCtx(context);
  if (ZSTD_isError(size) != 0) {
    throw std::runtime_error(ZSTD_getErrorName(size));
  }
  compressed.resize(size);
  return compressed;
}

// A frame for every `frame_size` bytes.
inline std::string zstd_frames(std::string_view text, std::size_t frame_size) {
  std::string compressed;
  for (std::size_t at = 0; at < text.size(); at += frame_size) {
    compressed += zstd(text.substr(at, frame_size));
  }
  return compressed;
}

// One frame of `prefix`, `count` times `byte`, and `suffix`, without ever holding that text.
inline std::string zstd_run(std::string_view prefix,
                            char byte,
                            std::int64_t count,
                            std::string_view suffix) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, -5);
  std::string compressed;
  const auto feed = [&](std::string_view text, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    std::size_t left = 0;
    do {
      char piece[4096];
      ZSTD_outBuffer out{piece, sizeof(piece), 0};
      left = ZSTD_compressStream2(context, &out, &in, directive);
      compressed.append(piece, out.pos);
    } while (directive == ZSTD_e_end ? left != 0 : in.pos < in.size);
  };
  feed(prefix, ZSTD_e_continue);
  const std::string block(std::size_t{1} << 20, byte);
  for (std::int64_t done = 0; done < count; done += std::ssize(block)) {
    const auto rest = static_cast<std::size_t>(count - done);
    feed(std::string_view(block).substr(0, rest), ZSTD_e_continue);
  }
  feed(suffix, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  return compressed;
}

// One gzip member.
inline std::string gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string compressed(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_out = static_cast<uInt>(compressed.size());
  const int code = deflate(&stream, Z_FINISH);
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) {
    throw std::runtime_error("deflate failed");
  }
  return compressed;
}

}  // namespace penstock::testing
