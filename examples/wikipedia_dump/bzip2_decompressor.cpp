#include "bzip2_decompressor.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <string>

#include <bzlib.h>

namespace {

using penstock::ShardError;

class Bzip2Decompressor final : public penstock::Decompressor {
 public:
  Bzip2Decompressor() { begin_stream(); }
  ~Bzip2Decompressor() override { BZ2_bzDecompressEnd(&stream_); }

  Step step(std::string_view input, std::span<char> output) override {
    if (is_between_streams_ && !input.empty()) {
      BZ2_bzDecompressEnd(&stream_);
      begin_stream();
    }
    if (is_between_streams_) {
      return {};
    }
    constexpr std::size_t kMost = std::size_t{1} << 30;  // bzip2 counts in 32 bits
    stream_.next_in = const_cast<char*>(input.data());   // which it only reads
    stream_.avail_in = static_cast<unsigned>(std::min(input.size(), kMost));
    stream_.next_out = output.data();
    stream_.avail_out = static_cast<unsigned>(std::min(output.size(), kMost));
    const int result = BZ2_bzDecompress(&stream_);
    if (result == BZ_MEM_ERROR) {
      throw std::bad_alloc();
    }
    if (result != BZ_OK && result != BZ_STREAM_END) {
      throw ShardError("damaged bzip2 data behind compressed byte " + std::to_string(consumed_),
                       consumed_);
    }
    is_between_streams_ = result == BZ_STREAM_END;
    const auto consumed = static_cast<std::size_t>(stream_.next_in - input.data());
    consumed_ += static_cast<std::int64_t>(consumed);
    return {consumed, static_cast<std::size_t>(stream_.next_out - output.data())};
  }

  void finish() const override {
    if (!is_between_streams_) {
      throw ShardError("the last bzip2 stream is not complete", consumed_);
    }
  }

 private:
  void begin_stream() {
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) {
      throw std::bad_alloc();
    }
    is_between_streams_ = false;
  }

  bz_stream stream_{};
  bool is_between_streams_ = false;
  std::int64_t consumed_ = 0;
};

}  // namespace

std::unique_ptr<penstock::Decompressor> make_bzip2_decompressor() {
  return std::make_unique<Bzip2Decompressor>();
}
