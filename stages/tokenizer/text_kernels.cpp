#include "stages/tokenizer/text_kernels.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace penstock {
namespace {

// What every machine has, and what the other kernels are tested against.
namespace portable {

void mark_cuts(const ByteClasses& classes,
               const char* text,
               std::size_t num_blocks,
               BlockMarks* marks) {
  const auto class_of = [&classes](char byte) {
    const auto value = static_cast<unsigned char>(byte);
    return value < 0x80 ? classes.class_of[value] : ByteClasses::kNotAscii;
  };
  for (std::size_t block = 0; block < num_blocks; ++block) {
    BlockMarks found;
    for (std::size_t i = 0; i < TextKernels::kBlockBytes; ++i) {
      const char* const at = text + block * TextKernels::kBlockBytes + i;
      const std::uint64_t bit = std::uint64_t{1} << i;
      const unsigned may_follow = classes.may_follow[class_of(at[-1])] >> class_of(at[0]) & 1U;
      found.cuts |= may_follow != 0 ? 0 : bit;
      const auto byte = static_cast<unsigned char>(*at);
      found.spaces |= *at == ' ' ? bit : 0;
      found.rare |= byte >= 0xE0 || byte == 0xC2 ? bit : 0;
    }
    marks[block] = found;
  }
}

MappedBlock map_block(const AsciiMapping& mapping, const char* text, char* to) {
  MappedBlock block;
  for (std::size_t i = 0; i < TextKernels::kBlockBytes; ++i) {
    const std::uint64_t bit = std::uint64_t{1} << i;
    const char byte = text[i];
    const bool is_space = mapping.becomes_space.has(byte);
    const char lower = static_cast<char>(byte | (mapping.becomes_lower_case.has(byte) ? ' ' : 0));
    to[i] = is_space ? ' ' : lower;
    block.spaces |= is_space ? bit : 0;
    block.special |= mapping.is_special.has(byte) ? bit : 0;
    block.leads |= static_cast<unsigned char>(byte) >= 0xC0 ? bit : 0;
  }
  return block;
}

std::size_t list_cuts(const std::uint64_t* cuts,
                      std::size_t num_blocks,
                      std::uint32_t first,
                      std::uint32_t* to) {
  return list_cuts_of(cuts, num_blocks, first, to);
}

template <bool kMarkAfterSpaces, typename Id>
void key_words_with(const char* text,
                    const std::uint32_t* begins,
                    std::size_t num_words,
                    ShortWordTable<Id>& table,
                    KeyedWord<Id>* words) {
  key_words<kMarkAfterSpaces>(text, begins, num_words, table, words);
}

template <typename Id>
LookedUp look_up_words_with(const KeyedWord<Id>* words,
                            std::size_t num_words,
                            TokenId* ids,
                            MissingWord* missing) {
  return look_up_words(words, num_words, ids, missing);
}

template <typename Id>
WordLoops<Id> loops() {
  return {&key_words_with<false, Id>, &key_words_with<true, Id>, &look_up_words_with<Id>};
}

void merge(const PairTable& pairs, MergeLane* lanes, std::size_t num_lanes) {
  merge_lanes_with(pairs, lanes, num_lanes, [](const MergeLane& lane, std::uint32_t num_symbols) {
    const std::uint32_t* const order = lane.order.data() + MergeLane::kFirst;
    return *std::min_element(order, order + num_symbols);
  });
}

TextKernels kernels() {
  return {
      &mark_cuts, &map_block, &list_cuts, &merge, {loops<std::uint16_t>(), loops<std::uint32_t>()}};
}

}  // namespace portable
}  // namespace
}  // namespace penstock

#define HWY_TARGET_INCLUDE "stages/tokenizer/text_kernels.inc"  // NOLINT
#include <hwy/foreach_target.h>

#include "stages/tokenizer/text_kernels.inc"

namespace penstock {

HWY_EXPORT(kernels);

namespace {

bool has_vectors(std::int64_t target) {
  return target != HWY_SCALAR && target != HWY_EMU128;
}

struct SimdLevel {
  std::string name;
  TextKernels kernels;
};

// Highway chooses by a global variable, so all kernels are asked for at once, by one thread.
std::vector<SimdLevel> find_levels() {
  std::vector<SimdLevel> levels;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (has_vectors(target)) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      levels.push_back({hwy::TargetName(target), HWY_DYNAMIC_DISPATCH(kernels)()});
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  levels.push_back({"portable", portable::kernels()});
  return levels;
}

const std::vector<SimdLevel>& levels() {
  static const std::vector<SimdLevel> levels = find_levels();
  return levels;
}

}  // namespace

std::vector<std::string> simd_levels() {
  std::vector<std::string> names;
  for (const SimdLevel& level : levels()) {
    names.push_back(level.name);
  }
  return names;
}

TextKernels text_kernels(std::string_view simd_level) {
  for (const SimdLevel& level : levels()) {
    if (simd_level.empty() || simd_level == level.name) {
      return level.kernels;
    }
  }
  throw std::invalid_argument("this machine has no SIMD level '" + std::string(simd_level) + "'");
}

}  // namespace penstock
