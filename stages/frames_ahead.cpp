#include "stages/frames_ahead.h"

#include <algorithm>
#include <bit>
#include <new>

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "stages/zstd_frame.h"

namespace penstock {
namespace {

// Bounds the memory for their texts.
constexpr std::size_t kMostWidth = 8;
// Small frames are put together until a thread has this much, as stored, to do.
constexpr std::size_t kLeastStored = std::size_t{128} << 10;
// A larger frame is for the Decompressor, which needs no memory for all of its text.
constexpr std::size_t kMostText = std::size_t{16} << 20;

}  // namespace

// Decompresses a stretch of frames into memory of its own.
class FramesAhead::Worker {
 public:
  explicit Worker(std::int64_t max_window) : context_(ZSTD_createDCtx()) {
    if (!context_) {
      throw std::bad_alloc();
    }
    ZSTD_DCtx_setParameter(context_.get(),
                           ZSTD_d_windowLogMax,
                           std::countr_zero(static_cast<std::uint64_t>(max_window)));
  }

  // Whether all of it could be decompressed.
  bool run(std::string_view stored) {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    text_.clear();
    ZSTD_inBuffer in{stored.data(), stored.size(), 0};
    while (true) {
      if (text_.size() == text_.capacity() && !grow(stored.size())) {
        return false;
      }
      ZSTD_outBuffer out{text_.data() + text_.size(), text_.capacity() - text_.size(), 0};
      const std::size_t code = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(code) != 0) {
        return false;
      }
      text_.resize(text_.size() + out.pos);
      if (code == 0 && in.pos == in.size) {
        return true;
      }
    }
  }

  std::string_view text() const { return text_.view(); }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };

  bool grow(std::size_t stored_bytes) {
    constexpr std::size_t kUsualRatio = 4;
    if (text_.capacity() >= kMostText) {
      return false;
    }
    text_.reserve(std::min(
        kMostText,
        std::max(2 * text_.capacity(), kUsualRatio * std::max(stored_bytes, kLeastStored))));
    return true;
  }

  const std::unique_ptr<ZSTD_DCtx, Free> context_;
  ByteBuffer text_;
};

FramesAhead::FramesAhead(std::size_t width, std::int64_t max_window)
    : width_(std::min(width, kMostWidth)), max_window_(max_window) {}

FramesAhead::~FramesAhead() = default;

bool FramesAhead::wants_more(std::string_view stored) const {
  const Stretches stretches = divide(stored);
  return stretches.stored.size() < width_ && stretches.ends_inside_frame;
}

std::size_t FramesAhead::decompress(std::string_view stored) {
  const Stretches stretches = divide(stored);
  if (stretches.stored.size() < 2) {
    return 0;
  }
  while (workers_.size() < stretches.stored.size()) {
    workers_.push_back(std::make_unique<Worker>(max_window_));
  }
  std::vector<char> good(stretches.stored.size());
  // Without the isolation this thread might be given other work meanwhile, a chunk's for instance.
  oneapi::tbb::this_task_arena::isolate([&] {
    oneapi::tbb::parallel_for(std::size_t{0}, stretches.stored.size(), [&](std::size_t i) {
      good[i] = workers_[i]->run(stretches.stored[i]) ? 1 : 0;
    });
  });
  num_texts_ = static_cast<std::size_t>(std::find(good.begin(), good.end(), 0) - good.begin());
  next_text_ = 0;
  taken_ = 0;
  std::size_t size = 0;
  for (std::size_t i = 0; i < num_texts_; ++i) {
    size += stretches.stored[i].size();
  }
  return size;
}

std::string_view FramesAhead::text() {
  while (next_text_ < num_texts_) {
    const std::string_view rest = workers_[next_text_]->text().substr(taken_);
    if (!rest.empty()) {
      return rest;
    }
    ++next_text_;
    taken_ = 0;
  }
  return {};
}

// As far as one can see: a frame that is no more than libzstd's streaming interface, which the
// Decompressor uses, takes.
bool FramesAhead::is_usual(std::string_view frame) const {
  return can_begin_zstd_frame(frame) &&
         zstd_window_size(frame).value_or(0) <= static_cast<std::uint64_t>(max_window_);
}

FramesAhead::Stretches FramesAhead::divide(std::string_view stored) const {
  Stretches stretches;
  std::size_t begin = 0;
  std::size_t end = 0;
  while (end < stored.size() && stretches.stored.size() < width_) {
    if (!is_usual(stored.substr(end))) {
      break;
    }
    const std::size_t size = ZSTD_findFrameCompressedSize(stored.data() + end, stored.size() - end);
    if (ZSTD_isError(size) != 0) {
      stretches.ends_inside_frame = ZSTD_getErrorCode(size) == ZSTD_error_srcSize_wrong;
      break;
    }
    end += size;
    if (end - begin >= kLeastStored) {
      stretches.stored.push_back(stored.substr(begin, end - begin));
      begin = end;
    }
  }
  if (end > begin && stretches.stored.size() < width_) {
    stretches.stored.push_back(stored.substr(begin, end - begin));
  }
  // Exactly at the end of a frame, another one may follow.
  stretches.ends_inside_frame = stretches.ends_inside_frame || end == stored.size();
  return stretches;
}

}  // namespace penstock
