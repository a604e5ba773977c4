// Compiled once for every set of instructions that Highway knows for the processor: see
// normalizer_blocks.cpp.

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace penstock {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kBlock = NormalizerRun::kBlock;

using Bytes = hn::CappedTag<std::uint8_t, kBlock>;

// What 64 bytes are, a bit for each of them.
struct BlockMasks {
  std::uint64_t space = 0;
  std::uint64_t needs_step = 0;  // ASCII only
  std::uint64_t lead = 0;        // first byte of a character that is not ASCII
};

template <class Mask>
HWY_INLINE std::uint64_t bits_of(Bytes d, Mask mask) {
  std::uint8_t bytes[kBlock / 8 + 8] = {};
  hn::StoreMaskBits(d, mask, bytes);
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

HWY_INLINE auto load_set(Bytes d, const Normalizer::AsciiSet& set) {
  return hn::LoadDup128(d, set.data());
}

HWY_INLINE BlockMasks map_block(const Normalizer::Tables& tables,
                                const std::uint8_t* HWY_RESTRICT in,
                                std::uint8_t* HWY_RESTRICT out) {
  const Bytes d;
  alignas(16) static constexpr std::uint8_t kBitOfRow[16] = {1, 2, 4, 8, 16, 32, 64, 128};
  const auto bit_of_row = hn::LoadDup128(d, kBitOfRow);
  const auto becomes_space = load_set(d, tables.becomes_space);
  const auto becomes_lower_case = load_set(d, tables.becomes_lower_case);
  const auto needs_step = load_set(d, tables.needs_step);
  const auto zero = hn::Zero(d);
  const auto space = hn::Set(d, ' ');
  const auto first_lead = hn::Set(d, 0xC0);
  const std::size_t lanes = hn::Lanes(d);
  BlockMasks masks;
  for (std::size_t i = 0; i < kBlock; i += lanes) {
    const auto bytes = hn::LoadU(d, in + i);
    const auto column = hn::And(bytes, hn::Set(d, 0x0F));
    const auto row = hn::TableLookupBytes(bit_of_row, hn::ShiftRight<4>(bytes));
    const auto has = [&](auto set) HWY_ATTR {
      return hn::Ne(hn::And(hn::TableLookupBytes(set, column), row), zero);
    };
    const auto is_space = has(becomes_space);
    const auto lower =
        hn::IfThenElse(has(becomes_lower_case), hn::Or(bytes, space), bytes);
    hn::StoreU(hn::IfThenElse(is_space, space, lower), d, out + i);
    masks.space |= bits_of(d, is_space) << i;
    masks.needs_step |= bits_of(d, has(needs_step)) << i;
    masks.lead |= bits_of(d, hn::Eq(hn::Max(bytes, first_lead), bytes)) << i;
  }
  return masks;
}

struct Character {
  char32_t code_point;
  std::size_t length;
};

// Reads up to three bytes behind the first one.
HWY_INLINE Character decode(const std::uint8_t* text) {
  const std::uint32_t first = text[0];
  if (first < 0xE0) {
    return {(first & 0x1FU) << 6U | (text[1] & 0x3FU), 2};
  }
  if (first < 0xF0) {
    return {(first & 0x0FU) << 12U | (text[1] & 0x3FU) << 6U | (text[2] & 0x3FU), 3};
  }
  return {(first & 0x07U) << 18U | (text[1] & 0x3FU) << 12U | (text[2] & 0x3FU) << 6U |
              (text[3] & 0x3FU),
          4};
}

HWY_INLINE std::size_t previous_character(const std::uint8_t* text, std::size_t index) {
  do {
    --index;
  } while (index > 0 && (text[index] & 0xC0U) == 0x80);
  return index;
}

// Where a block can be copied up to, and whether the character there needs a step.
struct Stop {
  std::size_t index;
  bool needs_step;
};

// `block` holds `size` bytes of text, and behind them what cannot continue a character.
HWY_INLINE Stop find_stop(const CodePointFlags& flags,
                          const BlockMasks& masks,
                          const std::uint8_t* block,
                          std::size_t size) {
  std::size_t stop = size;
  if (masks.needs_step != 0) {
    stop = static_cast<std::size_t>(std::countr_zero(masks.needs_step));
    if ((flags[block[stop]] & Normalizer::kContinues) != 0 && stop > 0) {
      stop = previous_character(block, stop);
    }
  }
  bool needs_step = masks.needs_step != 0;
  for (std::uint64_t lead = masks.lead; lead != 0; lead &= lead - 1) {
    const auto index = static_cast<std::size_t>(std::countr_zero(lead));
    if (index >= stop) {
      break;
    }
    if (index + 3 >= kBlock && index + decode(block + index).length > kBlock) {
      return {index, false};
    }
    const std::uint8_t flag = flags[decode(block + index).code_point];
    if (flag != 0) {
      const bool goes_back = (flag & Normalizer::kContinues) != 0 && index > 0;
      return {goes_back ? previous_character(block, index) : index, true};
    }
  }
  return {stop, needs_step};
}

void normalize_blocks(const Normalizer::Tables& tables, NormalizerRun& run) {
  std::uint8_t padded[kBlock + 8];
  std::uint8_t mapped[2 * kBlock];
  while (run.in < run.end) {
    const auto left = static_cast<std::size_t>(run.end - run.in);
    const std::size_t size = std::min(left, kBlock);
    const auto* block = reinterpret_cast<const std::uint8_t*>(run.in);
    if (left < kBlock + 4) {
      std::memset(padded, 0, sizeof(padded));
      std::memcpy(padded, run.in, std::min(left, sizeof(padded)));
      block = padded;
    }
    BlockMasks masks = map_block(tables, block, mapped);
    const std::uint64_t inside = size == kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << size) - 1;
    masks.needs_step &= inside;
    Stop stop = find_stop(tables.flags, masks, block, size);
    if (!stop.needs_step && stop.index < left && stop.index > 0) {
      // The next block may begin with what belongs to the end of this one.
      const std::uint8_t next = block[stop.index];
      const char32_t code_point = next < 0x80 ? next : decode(block + stop.index).code_point;
      if ((tables.flags[code_point] & Normalizer::kContinues) != 0) {
        stop = {previous_character(block, stop.index), true};
      }
    }
    if (stop.index > 0) {
      const std::uint64_t copied =
          stop.index == kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << stop.index) - 1;
      const std::uint64_t space = masks.space & copied;
      std::uint64_t dropped = 0;
      if (run.removes_spaces) {
        dropped = space & (space << 1U | (run.after_space ? 1U : 0U));
        run.after_space = (space >> (stop.index - 1) & 1U) != 0;
      }
      std::size_t begin = 0;
      while (dropped != 0) {
        const auto gap = static_cast<std::size_t>(std::countr_zero(dropped));
        std::memcpy(run.out, mapped + begin, kBlock);
        run.out += gap - begin;
        const auto run_length = static_cast<std::size_t>(std::countr_one(dropped >> gap));
        begin = gap + run_length;
        dropped = begin == kBlock ? 0 : dropped >> begin << begin;
      }
      std::memcpy(run.out, mapped + begin, kBlock);
      run.out += stop.index - begin;
      run.in += stop.index;
    }
    if (stop.needs_step) {
      run.step();
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace penstock
HWY_AFTER_NAMESPACE();
