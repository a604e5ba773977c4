#include "stages/decompressor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "pipeline/option.h"

namespace penstock {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd"sv;
constexpr std::string_view kGzipMagic = "\x1f\x8b"sv;

// "28 b5 2f fd", for messages; at most eight bytes.
std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes.substr(0, 8)) {
    const auto byte = static_cast<unsigned char>(c);
    text += text.empty() ? "" : " ";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Whether a zstd or skippable frame can begin with these bytes, of which there may be too few to
// be sure. RFC 8878, sections 3.1.1 and 3.1.2.
bool can_begin_zstd_frame(std::string_view bytes) {
  constexpr std::string_view kSkippableTail = "\x2a\x4d\x18"sv;
  const std::string_view magic = bytes.substr(0, kZstdMagic.size());
  if (magic == kZstdMagic.substr(0, magic.size())) {
    return true;
  }
  const std::string_view tail = magic.substr(1);
  return (static_cast<unsigned char>(magic[0]) & 0xf0) == 0x50 &&
         tail == kSkippableTail.substr(0, tail.size());
}

class PlainText final : public Decompressor {
 public:
  Step step(std::string_view input, std::span<char> output) override {
    const std::size_t size = std::min(input.size(), output.size());
    std::copy_n(input.data(), size, output.data());
    return {size, size};
  }
  void finish() const override {}
};

// What a zstd frame header asks for, in bytes. RFC 8878, section 3.1.1.1.
std::optional<std::uint64_t> window_size(std::string_view header) {
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

std::string format_size(std::uint64_t bytes) {
  return bytes <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
             ? format_bytes(static_cast<std::int64_t>(bytes))
             : std::to_string(bytes) + " bytes";
}

class Zstd final : public Decompressor {
 public:
  explicit Zstd(std::int64_t max_window) : max_window_(max_window), context_(ZSTD_createDCtx()) {
    if (!context_) {
      throw std::bad_alloc();
    }
    const int log = std::countr_zero(static_cast<std::uint64_t>(max_window));
    const std::size_t code = ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, log);
    if (ZSTD_isError(code) != 0) {
      throw std::logic_error("zstd window of " + format_bytes(max_window) + ": " +
                             ZSTD_getErrorName(code));
    }
  }

  Step step(std::string_view input, std::span<char> output) override {
    if (!held_.empty()) {
      return {0, give_held(output)};
    }
    if (header_.empty() && !input.empty() && !can_begin_zstd_frame(input)) {
      throw ShardError("what follows the last zstd frame, at compressed byte " +
                           std::to_string(consumed_) + ", is not a zstd frame (it begins with " +
                           hex(input.substr(0, 4)) + ")",
                       consumed_);
    }
    if (header_.empty() && may_be_small_frame(input)) {
      return decompress_with_room(kSmallFrameBytes, input, output);
    }
    // The text of a large block is not written to its end by a call that may go on to the next one:
    // an error takes along what the same call has written.
    if (is_output_pending_) {
      const Step step = decompress({}, output);
      if (step.produced > 0) {
        return step;
      }
    }
    return decompress_with_room(kLargestBlock - 1, input, output);
  }

  void finish() const override {
    if (!header_.empty()) {
      throw ShardError("cut short: the file ends inside " + frame());
    }
  }

  bool is_between_frames() const override { return header_.empty() && held_.empty(); }

  void pass_over(std::size_t size) override {
    consumed_ += static_cast<std::int64_t>(size);
    frame_begin_ = consumed_;
  }

 private:
  static constexpr std::size_t kLargestBlock = ZSTD_BLOCKSIZE_MAX;
  // Up to here a frame is given whole or, where its checksum is wrong, not at all.
  static constexpr std::size_t kSmallFrameBytes = std::size_t{128} << 10;

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };

  // Whether the input begins with a whole frame that is not known to be larger.
  static bool may_be_small_frame(std::string_view input) {
    const unsigned long long size = ZSTD_getFrameContentSize(input.data(), input.size());
    return (size <= kSmallFrameBytes || size == ZSTD_CONTENTSIZE_UNKNOWN) &&
           ZSTD_isError(ZSTD_findFrameCompressedSize(input.data(), input.size())) == 0;
  }

  std::size_t give_held(std::span<char> output) {
    const std::size_t size = std::min(held_.size(), output.size());
    std::copy_n(held_.data(), size, output.data());
    held_.remove_prefix(size);
    return size;
  }

  // What is lost with an error depends on how much libzstd may write in a call. So it is always the
  // same: where text ends that comes before damage must not depend on the caller's room.
  Step decompress_with_room(std::size_t room, std::string_view input, std::span<char> output) {
    if (output.size() >= room) {
      return decompress(input, output.first(room));
    }
    aside_.resize(kSmallFrameBytes);
    const Step step = decompress(input, std::span(aside_).first(room));
    held_ = {aside_.data(), step.produced};
    return {step.consumed, give_held(output)};
  }

  // One call of libzstd.
  Step decompress(std::string_view input, std::span<char> output) {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const std::size_t code = ZSTD_decompressStream(context_.get(), &out, &in);
    if (ZSTD_isError(code) != 0) {
      keep_header(input);
      throw_error(code);
    }
    // One call never goes beyond the end of a frame, at which it returns 0.
    consumed_ += static_cast<std::int64_t>(in.pos);
    if (code == 0) {
      header_.clear();
      frame_begin_ = consumed_;
    } else {
      keep_header(input.substr(0, in.pos));
    }
    is_output_pending_ = code != 0 && out.pos == out.size;
    return {in.pos, out.pos};
  }

  void keep_header(std::string_view input) {
    constexpr std::size_t kLongestHeader = 18;
    header_ += input.substr(0, kLongestHeader - header_.size());
  }

  std::string frame() const {
    const bool is_skippable = !header_.starts_with(kZstdMagic.substr(0, header_.size()));
    return (is_skippable ? "the skippable zstd frame at compressed byte "
                         : "the zstd frame at compressed byte ") +
           std::to_string(frame_begin_);
  }

  [[noreturn]] void throw_error(std::size_t code) const {
    switch (ZSTD_getErrorCode(code)) {
      case ZSTD_error_memory_allocation:
        throw std::bad_alloc();
      case ZSTD_error_frameParameter_windowTooLarge:
        throw ShardError(describe_window(), consumed_);
      case ZSTD_error_dictionary_wrong:
        throw ShardError(frame() + " was compressed with the dictionary of id " +
                             std::to_string(dictionary_id()) +
                             "; dictionaries are not supported: compress the shard without one",
                         consumed_);
      default:
        throw ShardError(frame() + " is damaged" +
                             (consumed_ > frame_begin_
                                  ? " at or behind compressed byte " + std::to_string(consumed_)
                                  : std::string()) +
                             ": " + ZSTD_getErrorName(code),
                         consumed_);
    }
  }

  unsigned dictionary_id() const {
    return ZSTD_getDictID_fromFrame(header_.data(), header_.size());
  }

  std::string describe_window() const {
    constexpr std::uint64_t kLargestWindow = std::uint64_t{1} << 31;  // that libzstd decodes
    const std::uint64_t window = window_size(header_).value_or(0);
    if (window > kLargestWindow) {
      return frame() + " is damaged: it claims a window of " + format_size(window) +
             ", and zstd has none above " + format_size(kLargestWindow);
    }
    return frame() + " needs a window of " + format_size(window) + ", more than max_window (" +
           format_bytes(max_window_) + "): set max_window to " + format_size(std::bit_ceil(window));
  }

  const std::int64_t max_window_;
  const std::unique_ptr<ZSTD_DCtx, Free> context_;
  std::int64_t consumed_ = 0;       // of the shard
  std::int64_t frame_begin_ = 0;    // of the frame that is under way or begins next
  std::string header_;              // the frame's first bytes; empty between frames
  bool is_output_pending_ = false;  // libzstd may have text for which there was no room
  std::vector<char> aside_;         // text for which the caller had too little room
  std::string_view held_;           // what of it is still to be given
};

class Gzip final : public Decompressor {
 public:
  Gzip() {
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&stream_, kGzipOnly + MAX_WBITS) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() override { inflateEnd(&stream_); }

  Step step(std::string_view input, std::span<char> output) override {
    if (input.empty() && state_ != State::kMember) {
      return {};
    }
    if (state_ == State::kBetween) {
      begin_member_or_padding(input);
    }
    return state_ == State::kPadding ? skip_padding(input) : inflate_some(input, output);
  }

  void finish() const override {
    if (state_ == State::kMember) {
      throw ShardError("cut short: the file ends inside " + member());
    }
  }

 private:
  enum class State { kMember, kBetween, kPadding };

  // Zero bytes up to the end of the file are what tapes and block devices pad with; as gzip does,
  // they are passed over. Anything else that is no member is an error: text may be lost there.
  void begin_member_or_padding(std::string_view input) {
    if (input[0] == '\0') {
      state_ = State::kPadding;
    } else if (input[0] == kGzipMagic[0]) {
      inflateReset(&stream_);
      member_begin_ = consumed_;
      state_ = State::kMember;
    } else {
      throw_trailing(input);
    }
  }

  Step skip_padding(std::string_view input) {
    const std::size_t zeros = std::min(input.find_first_not_of('\0'), input.size());
    consumed_ += static_cast<std::int64_t>(zeros);
    if (zeros < input.size()) {
      throw_trailing(input.substr(zeros));
    }
    return {zeros, 0};
  }

  Step inflate_some(std::string_view input, std::span<char> output) {
    constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
    const std::size_t in_size = std::min(input.size(), kMost);
    const std::size_t out_size = std::min(output.size(), kMost);
    // zlib does not write to its input; the pointer is not const for old compilers' sake.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(in_size);
    stream_.next_out = reinterpret_cast<Bytef*>(output.data());
    stream_.avail_out = static_cast<uInt>(out_size);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR) {
      throw std::bad_alloc();
    }
    const Step step{in_size - stream_.avail_in, out_size - stream_.avail_out};
    // Z_BUF_ERROR: no progress without more input.
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      throw ShardError(member() + " is damaged at or before compressed byte " +
                           std::to_string(consumed_ + static_cast<std::int64_t>(step.consumed)) +
                           ": " + (stream_.msg != nullptr ? stream_.msg : zError(code)),
                       consumed_);
    }
    consumed_ += static_cast<std::int64_t>(step.consumed);
    if (code == Z_STREAM_END) {
      state_ = State::kBetween;
    }
    return step;
  }

  [[noreturn]] void throw_trailing(std::string_view bytes) const {
    throw ShardError("what follows the last gzip member, at compressed byte " +
                         std::to_string(consumed_) + ", is not a gzip member (it begins with " +
                         hex(bytes.substr(0, 4)) + ")",
                     consumed_);
  }

  std::string member() const {
    return "the gzip member at compressed byte " + std::to_string(member_begin_);
  }

  z_stream stream_{};
  State state_ = State::kMember;
  std::int64_t consumed_ = 0;  // of the shard
  std::int64_t member_begin_ = 0;
};

// A format that is recognised only to say what to do about it.
struct ForeignFormat {
  std::string_view magic;
  std::string_view name;
  std::string_view command;  // unpacks FILE to standard output
};

constexpr std::array<ForeignFormat, 8> kForeignFormats = {{
    {"\xfd\x37\x7a\x58\x5a\x00"sv, "xz data", "xz -dc FILE"},
    {"\x04\x22\x4d\x18"sv, "lz4 data", "lz4 -dc FILE"},
    {"\x02\x21\x4c\x18"sv, "legacy lz4 data", "lz4 -dc FILE"},
    {"PK\x03\x04"sv, "a zip archive", "unzip -p FILE"},
    {"PK\x05\x06"sv, "an empty zip archive", "unzip -p FILE"},
    {"\x37\x7a\xbc\xaf\x27\x1c"sv, "a 7z archive", "7z x -so FILE"},
    {"LZIP\x01"sv, "lzip data", "lzip -dc FILE"},
    {"\x1f\x9d"sv, "data of the old 'compress' program", "gzip -dc FILE"},
}};

// "BZh", the level, and the magic number of a block or of the end of the stream.
bool is_bzip2(std::string_view bytes) {
  return bytes.size() >= 10 && bytes.starts_with("BZh") && bytes[3] >= '1' && bytes[3] <= '9' &&
         (bytes.substr(4, 6) == "\x31\x41\x59\x26\x53\x59"sv ||
          bytes.substr(4, 6) == "\x17\x72\x45\x38\x50\x90"sv);
}

// The frames of zstd 0.1 (0x1e) and 0.2 to 0.7 (0x22 to 0x27).
bool is_legacy_zstd(std::string_view bytes) {
  const bool is_version = bytes[0] == '\x1e' || (bytes[0] >= '\x22' && bytes[0] <= '\x27');
  return is_version && bytes.substr(1).starts_with(kZstdMagic.substr(1));
}

std::string describe_foreign(std::string_view name, std::string_view command) {
  return "this is " + std::string(name) + ", which cannot be read: convert it with '" +
         std::string(command) + " | zstd -o FILE.zst'";
}

void refuse_foreign_format(std::string_view bytes) {
  for (const ForeignFormat& format : kForeignFormats) {
    if (bytes.starts_with(format.magic)) {
      throw ShardError(describe_foreign(format.name, format.command));
    }
  }
  if (is_bzip2(bytes)) {
    throw ShardError(describe_foreign("bzip2 data", "bzip2 -dc FILE"));
  }
  if (is_legacy_zstd(bytes)) {
    throw ShardError(describe_foreign(
        "zstd data of a version before 0.8 (magic number " + hex(bytes.substr(0, 4)) + ")",
        "zstd -dc FILE"));
  }
  if (bytes.starts_with("version https://git-lfs")) {
    throw ShardError(
        "this is a Git LFS pointer, not the file that it stands for: run 'git lfs pull'");
  }
}

// Data of an unknown format has control characters among its first bytes; text has only those that
// lay it out.
void refuse_binary(std::string_view bytes) {
  const bool is_binary = std::any_of(bytes.begin(), bytes.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && "\t\n\r\f"sv.find(c) == std::string_view::npos;
  });
  if (is_binary) {
    throw ShardError("not text: begins with " + hex(bytes) + (bytes.size() > 8 ? " ..." : "") +
                     ", not a known compression");
  }
}

}  // namespace

std::unique_ptr<Decompressor> make_decompressor(std::string_view first_bytes,
                                                std::int64_t max_window) {
  if (first_bytes.empty()) {
    throw ShardError("the shard is empty (0 bytes)");
  }
  if (first_bytes.size() < kZstdMagic.size() && kZstdMagic.starts_with(first_bytes)) {
    throw ShardError("cut short: the file ends inside the magic number of a zstd frame, after " +
                     std::to_string(first_bytes.size()) +
                     (first_bytes.size() == 1 ? " byte" : " bytes"));
  }
  if (first_bytes.size() >= kZstdMagic.size() && can_begin_zstd_frame(first_bytes)) {
    return std::make_unique<Zstd>(max_window);
  }
  if (first_bytes.starts_with(kGzipMagic)) {
    return std::make_unique<Gzip>();
  }
  const std::string_view bytes = first_bytes.substr(0, kDetectionBytes);
  refuse_foreign_format(bytes);
  refuse_binary(bytes);
  return std::make_unique<PlainText>();
}

}  // namespace penstock
