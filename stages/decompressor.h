#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace penstock {

// Says why a shard, or the rest of it, cannot be read. what() does not name the shard.
class ShardError : public std::runtime_error {
 public:
  // `intact` is how many bytes of the shard, as stored, lie before the trouble; nothing where the
  // question does not arise.
  explicit ShardError(const std::string& reason, std::optional<std::int64_t> intact = std::nullopt)
      : std::runtime_error(reason), intact_(intact) {}

  // As given to the constructor.
  std::optional<std::int64_t> intact() const noexcept { return intact_; }

 private:
  std::optional<std::int64_t> intact_;
};

// Of a shard as stored, what a step sees goes up to a multiple of this at most. The bytes stay in a
// core's second-level cache; larger steps were slower.
constexpr std::size_t kStepBytes = std::size_t{128} << 10;

// Turns the bytes of one shard as stored into its text, in steps. What it gives depends on how the
// input is divided among the steps only where the shard is damaged. One thread at a time.
class Decompressor {
 public:
  // What one step did.
  struct Step {
    std::size_t consumed = 0;  // bytes taken from the front of the input
    std::size_t produced = 0;  // bytes written to the front of the output
  };

  Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  virtual ~Decompressor() = default;

  // Neither consumed nor produced: needs more input. `output` must not be empty. Throws ShardError;
  // what the failed step wrote to `output` must not be used.
  virtual Step step(std::string_view input, std::span<char> output) = 0;

  // There is no more input; steps without any give what is still held back.
  virtual void end_input() {}
  // All has been given. Throws ShardError where a frame is not complete.
  virtual void finish() const = 0;

  // Whether all that was consumed is zstd frames whose text was given, so that another may begin.
  virtual bool is_between_frames() const { return false; }
  // The next `size` bytes, which are whole frames, are decompressed elsewhere. Between frames only.
  virtual void pass_over(std::size_t size) { static_cast<void>(size); }
};

// How many of a shard's first bytes make_decompressor() wants to see. A shorter shard is fine.
constexpr std::size_t kDetectionBytes = 64;

// Finds the format of a shard by its first bytes: zstd (frames and skippable frames), gzip
// (members), else plain text. `max_window` bounds the window of a zstd frame, in bytes; a power of
// two. Throws ShardError for an empty shard and for what is neither text nor a supported format.
std::unique_ptr<Decompressor> make_decompressor(std::string_view first_bytes,
                                                std::int64_t max_window);

}  // namespace penstock
