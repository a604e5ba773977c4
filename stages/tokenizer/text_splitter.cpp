#include "stages/tokenizer/text_splitter.h"

#include <bit>

#include "stages/tokenizer/utf8_decoding.h"

namespace penstock {

void TextSplitter::mark(const char* text,
                        std::size_t size,
                        std::size_t first_block,
                        std::size_t num_blocks,
                        std::uint64_t* cuts,
                        std::vector<BlockMarks>& marks) const {
  marks.resize(num_blocks);
  const std::size_t begin = first_block * kBlockBytes;
  kernels_.mark_cuts(proof_.classes(), text + begin, num_blocks, marks.data());
  std::uint64_t any_rare = 0;
  for (std::size_t block = 0; block < num_blocks; ++block) {
    cuts[block] = marks[block].cuts;
    any_rare |= marks[block].rare;
  }
  if (any_rare != 0) {
    mark_around_rare(text, size, begin, num_blocks, cuts, marks);
  }
}

void TextSplitter::mark_around_rare(const char* text,
                                    std::size_t size,
                                    std::size_t begin,
                                    std::size_t num_blocks,
                                    std::uint64_t* cuts,
                                    const std::vector<BlockMarks>& marks) const {
  const std::size_t end = begin + num_blocks * kBlockBytes;
  const auto mark_if_safe = [&](std::size_t at, char32_t before, char32_t after) {
    const std::uint64_t safe = proof_.is_safe(before, after) ? 1 : 0;
    cuts[(at - begin) / kBlockBytes] |= safe << (at % kBlockBytes);
  };
  std::size_t known_end = 0;  // where the character `known` ends
  char32_t known = 0;
  for (std::size_t block = 0; block < num_blocks; ++block) {
    for (std::uint64_t rare = marks[block].rare; rare != 0; rare &= rare - 1) {
      const std::size_t at =
          begin + block * kBlockBytes + static_cast<std::size_t>(std::countr_zero(rare));
      if (at >= size) {
        return;
      }
      const char32_t here = decode_utf8(text + at);
      if (at > 0) {
        mark_if_safe(at, at == known_end ? known : decode_utf8_before(text + at), here);
      }
      known = here;
      known_end = at + utf8_length(text[at]);
      if (known_end < size && known_end < end) {
        mark_if_safe(known_end, here, decode_utf8(text + known_end));
      }
    }
  }
}

}  // namespace penstock
