#include "stages/parallel_frames.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "pipeline/byte_buffer.h"

namespace penstock {
namespace {

constexpr std::size_t kMostWidth = 8;
// For each thread: small frames are put together until it has this much, as stored, to do, and no
// more than this much is read for it.
constexpr std::size_t kLeastStored = std::size_t{128} << 10;
constexpr std::size_t kMostStored = std::size_t{4} << 20;
// A frame with more text is for the wrapped decompressor, which needs no memory for all of it.
constexpr std::size_t kMostText = std::size_t{16} << 20;

// Neighbouring frames for one thread.
struct Stretch {
  std::size_t begin = 0;  // in what is stored
  std::size_t end = 0;
};

// What can be done with the frames at the front of what is stored.
struct Division {
  std::vector<Stretch> stretches;
  bool ends_inside_frame = false;  // more bytes could make another stretch
};

class ParallelFrames final : public Decompressor {
 public:
  ParallelFrames(std::unique_ptr<Decompressor> decompressor,
                 std::int64_t max_window,
                 std::size_t width,
                 StageMetrics& row,
                 int row_width)
      : decompressor_(std::move(decompressor)),
        max_window_(max_window),
        width_(width),
        row_(row),
        row_width_(row_width),
        texts_(width) {}

  Step step(std::string_view input, std::span<char> output) override {
    std::size_t taken = 0;
    while (true) {
      if (const std::size_t given = give_text(output); given > 0) {
        return {taken, given};
      }
      if (may_divide()) {
        const Division division = divide();
        if (wants_more(division)) {
          hold(input.substr(taken));
          return {input.size(), 0};
        }
        decompress(division.stretches);
        continue;
      }
      if (stored().empty()) {
        hold(input.substr(taken));
        taken = input.size();
      }
      const Step step = decompressor_->step(stored_step(stored(), offset_), output);
      drop(step.consumed);
      if (step.produced > 0 || step.consumed == 0) {
        return {taken, step.produced};
      }
    }
  }

  void end_input() override { input_ended_ = true; }
  void finish() const override { decompressor_->finish(); }

 private:
  std::string_view stored() const { return buffer_.view().substr(begin_); }

  // Of bytes that are at `offset` in the shard, those that a step would see.
  static std::string_view stored_step(std::string_view stored, std::size_t offset) {
    return stored.substr(0, kStepBytes - offset % kStepBytes);
  }

  void hold(std::string_view input) {
    if (begin_ > 0 && buffer_.size() + input.size() > buffer_.capacity()) {
      const std::size_t size = stored().size();
      std::memmove(buffer_.data(), stored().data(), size);
      buffer_.resize(size);
      begin_ = 0;
    }
    buffer_.append(input);
  }

  void drop(std::size_t size) {
    begin_ += size;
    offset_ += size;
  }

  // ---- frames of which all is there

  bool may_divide() const {
    return decompressor_->is_between_frames() && left_alone_ != offset_ &&
           !(input_ended_ && stored().empty());
  }

  bool wants_more(const Division& division) const {
    return !input_ended_ && division.ends_inside_frame && division.stretches.size() < width_ &&
           stored().size() + kStepBytes <= kMostStored * width_;
  }

  Division divide() const {
    Division division;
    const std::string_view bytes = stored();
    Stretch stretch;
    while (stretch.end < bytes.size() && division.stretches.size() < width_) {
      const std::string_view rest = bytes.substr(stretch.end);
      const std::size_t size = ZSTD_findFrameCompressedSize(rest.data(), rest.size());
      if (ZSTD_isError(size) != 0) {
        division.ends_inside_frame =
            ZSTD_getErrorCode(size) == ZSTD_error_srcSize_wrong && rest.size() < kMostStored;
        break;
      }
      if (size > kMostStored || has_much_text(rest)) {
        break;
      }
      stretch.end += size;
      if (stretch.end - stretch.begin >= kLeastStored) {
        division.stretches.push_back(stretch);
        stretch.begin = stretch.end;
      }
    }
    // Exactly at the end of a frame, another one may follow.
    division.ends_inside_frame = division.ends_inside_frame || stretch.end == bytes.size();
    if (stretch.end > stretch.begin && division.stretches.size() < width_) {
      division.stretches.push_back(stretch);
    }
    return division;
  }

  static bool has_much_text(std::string_view frame) {
    const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    return size != ZSTD_CONTENTSIZE_UNKNOWN && size > kMostText;
  }

  // Those up to the first one in which something is wrong. Where that is none, or there is nothing
  // to be done in parallel, the frame that comes next is left alone.
  void decompress(const std::vector<Stretch>& stretches) {
    std::vector<char> is_good(stretches.size());
    if (stretches.size() > 1) {
      row_.width = row_width_;
      const std::thread::id caller = std::this_thread::get_id();
      // Without the isolation this thread might be given other work meanwhile, a chunk's for
      // instance.
      oneapi::tbb::this_task_arena::isolate([&] {
        oneapi::tbb::parallel_for(std::size_t{0}, stretches.size(), [&](std::size_t i) {
          std::optional<BusyTimer> timer;
          if (std::this_thread::get_id() != caller) {
            timer.emplace(row_.busy);
          }
          is_good[i] = decompress_stretch(stretches[i], texts_[i]) ? 1 : 0;
        });
      });
    }
    num_texts_ =
        static_cast<std::size_t>(std::find(is_good.begin(), is_good.end(), 0) - is_good.begin());
    next_text_ = 0;
    given_ = 0;
    if (num_texts_ == 0) {
      left_alone_ = offset_;
      return;
    }
    const std::size_t size = stretches[num_texts_ - 1].end;
    decompressor_->pass_over(size);
    drop(size);
  }

  // In the steps in which it would be read, so that the same is accepted. Returns whether all of it
  // could be decompressed.
  bool decompress_stretch(const Stretch& stretch, ByteBuffer& text) const {
    std::string_view rest = stored().substr(stretch.begin, stretch.end - stretch.begin);
    text.clear();
    try {
      const std::unique_ptr<Decompressor> decompressor = make_decompressor(rest, max_window_);
      if (!decompressor->is_between_frames()) {
        return false;  // of an older format
      }
      while (true) {
        if (!make_room(text)) {
          return false;
        }
        const std::size_t offset = offset_ + stretch.end - rest.size();
        const std::size_t size = text.size();
        text.resize(text.capacity());
        const Step step =
            decompressor->step(stored_step(rest, offset), {text.data() + size, text.size() - size});
        text.resize(size + step.produced);
        rest.remove_prefix(step.consumed);
        if (step.consumed == 0 && step.produced == 0) {
          return rest.empty() && decompressor->is_between_frames();
        }
      }
    } catch (const ShardError&) {
      return false;
    }
  }

  // Room for what a step may give. Returns whether there may be that much.
  static bool make_room(ByteBuffer& text) {
    constexpr std::size_t kRoom = kStepBytes;
    if (text.capacity() - text.size() >= kRoom) {
      return true;
    }
    if (text.size() + kRoom > kMostText) {
      return false;
    }
    text.reserve(std::min(kMostText, std::max(2 * text.capacity(), std::size_t{1} << 20)));
    return true;
  }

  std::size_t give_text(std::span<char> output) {
    while (next_text_ < num_texts_) {
      const std::string_view rest = texts_[next_text_].view().substr(given_);
      if (!rest.empty()) {
        const std::size_t size = std::min(rest.size(), output.size());
        std::copy_n(rest.data(), size, output.data());
        given_ += size;
        return size;
      }
      ++next_text_;
      given_ = 0;
    }
    return 0;
  }

  const std::unique_ptr<Decompressor> decompressor_;
  const std::int64_t max_window_;
  const std::size_t width_;
  StageMetrics& row_;
  const int row_width_;

  // What is stored of the shard and has been neither decompressed nor passed over.
  ByteBuffer buffer_;
  std::size_t begin_ = 0;   // in the buffer
  std::size_t offset_ = 0;  // of that in the shard
  bool input_ended_ = false;
  std::optional<std::size_t> left_alone_;  // where a frame begins that is for the decompressor

  // Texts of stretches that have been decompressed.
  std::vector<ByteBuffer> texts_;
  std::size_t num_texts_ = 0;
  std::size_t next_text_ = 0;
  std::size_t given_ = 0;  // of it
};

}  // namespace

std::unique_ptr<Decompressor> decompress_frames_in_parallel(
    std::unique_ptr<Decompressor> decompressor,
    std::int64_t max_window,
    int width,
    StageMetrics& row,
    int row_width) {
  return std::make_unique<ParallelFrames>(std::move(decompressor),
                                          max_window,
                                          std::min(static_cast<std::size_t>(width), kMostWidth),
                                          row,
                                          row_width);
}

}  // namespace penstock
