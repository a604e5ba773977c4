#pragma once

#include <string_view>

#include "pipeline/byte_buffer.h"
#include "stages/tokenizer/normalizer.h"

namespace penstock {

// Goes through one text on behalf of a Normalizer. There is always room for what is left of the
// text and for a block more.
struct NormalizerRun {
  static constexpr std::size_t kBlock = 64;

  NormalizerRun(const Normalizer& text_normalizer, std::string_view text, ByteBuffer& text_buffer);

  // Does what the library does at `in`.
  void step();

  const Normalizer& normalizer;
  ByteBuffer& buffer;
  const char* in;
  const char* const end;
  char* out;
  bool removes_spaces;
  bool after_space;  // a space that comes next is left out
};

// Goes on to the end of the text, 64 bytes at a time where no character needs a step of its own,
// with the best instructions that the machine has.
void normalize_blocks(const Normalizer::Tables& tables, NormalizerRun& run);

}  // namespace penstock
