#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "stages/tokenizer/ascii_mapping.h"
#include "stages/tokenizer/byte_classes.h"
#include "stages/tokenizer/merge_lane.h"
#include "stages/tokenizer/word_batch.h"
#include "stages/tokenizer/word_lookup.h"

namespace penstock {

// What a kernel finds in 64 bytes of text, a bit for each byte.
struct BlockMarks {
  std::uint64_t cuts = 0;  // the text can be cut before this byte
  std::uint64_t spaces = 0;
  std::uint64_t rare = 0;  // the byte begins a character from U+0080 to U+00BF or from U+0800
};

// What 64 bytes of text are, a bit for each byte.
struct MappedBlock {
  std::uint64_t spaces = 0;   // they are one now
  std::uint64_t special = 0;  // ASCII only
  std::uint64_t leads = 0;    // first bytes of characters that are not ASCII
};

// The loops of word_lookup.h for one width of ids.
template <typename Id>
struct WordLoops {
  using KeyWords = void (*)(const char* text,
                            const std::uint32_t* begins,
                            std::size_t num_words,
                            ShortWordTable<Id>& table,
                            KeyedWord<Id>* words);

  KeyWords key_words = nullptr;
  KeyWords key_words_marking = nullptr;  // those behind spaces
  LookedUp (*look_up_words)(const KeyedWord<Id>* words,
                            std::size_t num_words,
                            TokenId* ids,
                            MissingWord* missing) = nullptr;
};

// Kernels compiled for one level of SIMD instructions.
struct TextKernels {
  static constexpr std::size_t kBlockBytes = 64;

  // Marks the cuts that the classes of bytes prove safe, in `num_blocks` blocks from `text` on,
  // which is valid UTF-8. The byte before `text` is read too.
  void (*mark_cuts)(const ByteClasses& classes,
                    const char* text,
                    std::size_t num_blocks,
                    BlockMarks* marks) = nullptr;
  // Writes kBlockBytes bytes of text, mapped, to `to`. What is not ASCII, and what is special,
  // stays as it is.
  MappedBlock (*map_block)(const AsciiMapping& mapping, const char* text, char* to) = nullptr;
  // As in word_batch.h.
  std::size_t (*list_cuts)(const std::uint64_t* cuts,
                           std::size_t num_blocks,
                           std::uint32_t first,
                           std::uint32_t* to) = nullptr;
  // Merges each of some words as far as it goes.
  void (*merge)(const PairTable& pairs, MergeLane* lanes, std::size_t num_lanes) = nullptr;
  std::tuple<WordLoops<std::uint16_t>, WordLoops<std::uint32_t>> loops;
};

// The levels that this machine has, the best one first; the last one is "portable", which needs
// nothing. The others have the names of Highway's targets: AVX3_DL (with VBMI), AVX3, AVX2, SSE4.
// Any thread may ask for them.
std::vector<std::string> simd_levels();

// Of the named level, or of the best one for an empty name. Throws std::invalid_argument for a
// level that this machine does not have.
TextKernels text_kernels(std::string_view simd_level = {});

}  // namespace penstock
