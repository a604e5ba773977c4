#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stages/tokenizer/split_proof.h"
#include "stages/tokenizer/text_kernels.h"

namespace penstock {

// Marks where a text can be cut: by classes of bytes with SIMD, and by the pairs of characters
// themselves around those whose scripts often have no spaces (U+0800 and beyond) and those that are
// mostly signs (U+0080 to U+00BF). Immutable.
class TextSplitter {
 public:
  static constexpr std::size_t kBlockBytes = TextKernels::kBlockBytes;

  // `proof` outlives it.
  TextSplitter(const SplitProof& proof, TextKernels kernels) : proof_(proof), kernels_(kernels) {}

  // Sets bit i of cuts[b] where the text can be cut before byte (first_block + b) * kBlockBytes + i
  // and clears it elsewhere. The text is valid UTF-8 without U+2581 and begins at `text`; the byte
  // before it and all bytes of the last block are readable. What is marked from `size` on and for
  // byte 0 means nothing. `marks` gets what the kernel found.
  void mark(const char* text,
            std::size_t size,
            std::size_t first_block,
            std::size_t num_blocks,
            std::uint64_t* cuts,
            std::vector<BlockMarks>& marks) const;

 private:
  void mark_around_rare(const char* text,
                        std::size_t size,
                        std::size_t begin,
                        std::size_t num_blocks,
                        std::uint64_t* cuts,
                        const std::vector<BlockMarks>& marks) const;

  const SplitProof& proof_;
  const TextKernels kernels_;
};

}  // namespace penstock
