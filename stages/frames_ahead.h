#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "pipeline/byte_buffer.h"

namespace penstock {

// Decompresses zstd frames that are there as a whole, several at a time, on the threads of the
// arena that it is called in. Knows nothing of errors: where something is unusual it stops in front
// of it, and a Decompressor that goes on there says what it is. One thread at a time calls it.
class FramesAhead {
 public:
  // Bytes as stored that it makes sense to have at once.
  static constexpr std::size_t kMostStored = std::size_t{8} << 20;

  // `width`: threads that can work at the same time. `max_window` as for make_decompressor().
  FramesAhead(std::size_t width, std::int64_t max_window);
  ~FramesAhead();
  FramesAhead(const FramesAhead&) = delete;
  FramesAhead& operator=(const FramesAhead&) = delete;

  // Whether there are not yet frames for every thread at the front of `stored`, and more bytes can
  // change that.
  bool wants_more(std::string_view stored) const;
  // Decompresses frames at the front of `stored`, and returns how long they are: 0 where there is
  // nothing for at least two threads, or nothing that can be decompressed. Throws std::bad_alloc.
  std::size_t decompress(std::string_view stored);

  // The next text in order, empty when all has been taken.
  std::string_view text();
  void take_text(std::size_t size) { taken_ += size; }

 private:
  class Worker;
  // Neighbouring frames at the front of the stored bytes.
  struct Stretches {
    std::vector<std::string_view> stored;  // each for one thread
    bool ends_inside_frame = false;        // what follows is the beginning of a frame
  };

  bool is_usual(std::string_view frame) const;
  Stretches divide(std::string_view stored) const;

  const std::size_t width_;
  const std::int64_t max_window_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t num_texts_ = 0;  // of as many workers
  std::size_t next_text_ = 0;  // whose text is given now
  std::size_t taken_ = 0;      // of it
};

}  // namespace penstock
