#pragma once

#include <memory>
#include <utility>
#include <variant>

#include "pipeline/chunk.h"

namespace penstock {

// Whether a stage's instances may see chunks in any order and in parallel, or one instance sees
// them all in stream order.
enum class Ordering { kParallel, kInOrder };

// Turns one chunk into exactly one chunk: an emptied chunk is still passed on, so that nothing
// behind it waits for ever. One thread uses an instance at a time, so a stage needs no lock; the
// framework makes as many instances as there are threads. What instances share is read-only and
// held by shared_ptr<const T>. A bad document goes into the chunk's `rejects`; an exception ends
// the run.
class Stage {
 public:
  Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;

  // The chunk is of the payload that was registered, and so is what becomes of it.
  virtual Chunk process_chunk(Chunk chunk) = 0;
};

// The base class to write a stage with: names the payload types and gets them unwrapped. The
// registry checks that the neighbours in a configuration fit.
template <typename In, typename Out>
class Transform : public Stage {
 public:
  // What the registry takes the payloads from.
  using Input = In;
  using Output = Out;

  // What becomes of one chunk; begins with continue_chunk() where Out is another payload.
  virtual Out process(In chunk) = 0;

  // Unwraps the payload and wraps what becomes of it.
  Chunk process_chunk(Chunk chunk) final { return process(std::get<In>(std::move(chunk))); }
};

}  // namespace penstock
