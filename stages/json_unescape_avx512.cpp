#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <immintrin.h>

#include "stages/json_unescape.h"

namespace penstock {
namespace {

constexpr std::size_t kBlockBytes = 64;

// What stands for the byte behind a backslash; 0 where that is no escape of two bytes.
constexpr std::array<char, 128> escape_table() {
  std::array<char, 128> table{};
  table['"'] = '"';
  table['\\'] = '\\';
  table['/'] = '/';
  table['b'] = '\b';
  table['f'] = '\f';
  table['n'] = '\n';
  table['r'] = '\r';
  table['t'] = '\t';
  return table;
}

alignas(kBlockBytes) constexpr std::array<char, 128> kEscapes = escape_table();

// The value of a hexadecimal digit; -1 for other bytes.
constexpr std::array<std::int8_t, 256> digit_table() {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::int8_t i = 0; i < 16; ++i) {
    table[static_cast<unsigned char>("0123456789abcdef"[i])] = i;
    table[static_cast<unsigned char>("0123456789ABCDEF"[i])] = i;
  }
  return table;
}

constexpr std::array<std::int8_t, 256> kDigits = digit_table();

// Negative where they are no four digits.
std::int32_t four_hex_digits(std::string_view digits) {
  if (digits.size() < 4) {
    return -1;
  }
  const auto value = [&](std::size_t i) -> std::int32_t {
    return kDigits[static_cast<unsigned char>(digits[i])];
  };
  return value(0) * 0x1000 | value(1) * 0x100 | value(2) * 0x10 | value(3);
}

char* append_utf8(std::uint32_t code_point, char* end) {
  const auto continuation = [code_point](int shift) {
    return static_cast<char>(0x80 | (code_point >> shift & 0x3F));
  };
  if (code_point < 0x80) {
    *end++ = static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    *end++ = static_cast<char>(0xC0 | code_point >> 6);
    *end++ = continuation(0);
  } else if (code_point < 0x10000) {
    *end++ = static_cast<char>(0xE0 | code_point >> 12);
    *end++ = continuation(6);
    *end++ = continuation(0);
  } else {
    *end++ = static_cast<char>(0xF0 | code_point >> 18);
    *end++ = continuation(12);
    *end++ = continuation(6);
    *end++ = continuation(0);
  }
  return end;
}

// Takes escapes \uXXXX from the front of `rest`, as many as there are. False for one that is no
// character.
bool take_unicode_escapes(std::string_view& rest, char*& end) {
  while (rest.starts_with("\\u")) {
    std::int32_t code_point = four_hex_digits(rest.substr(2));
    std::size_t size = 6;
    if (code_point < 0) {
      return false;
    }
    if (code_point >= 0xD800 && code_point < 0xE000) {
      const std::int32_t low =
          rest.substr(6).starts_with("\\u") ? four_hex_digits(rest.substr(8)) : -1;
      if (code_point >= 0xDC00 || low < 0xDC00 || low >= 0xE000) {
        return false;
      }
      code_point = 0x10000 + ((code_point - 0xD800) * 0x400 | (low - 0xDC00));
      size = 12;
    }
    end = append_utf8(static_cast<std::uint32_t>(code_point), end);
    rest.remove_prefix(size);
  }
  return true;
}

// The backslashes that begin an escape. `is_escaped` is 1 where the first byte stands behind one of
// the block before, and is set for the next block. The algorithm is simdjson's.
std::uint64_t escape_starts(std::uint64_t backslashes, std::uint64_t& is_escaped) {
  constexpr std::uint64_t kOddBits = 0xAAAAAAAAAAAAAAAA;
  const std::uint64_t candidates = backslashes & ~is_escaped;
  const std::uint64_t series = (((candidates << 1) | kOddBits) - candidates) ^ kOddBits;
  const std::uint64_t starts = series & backslashes;
  is_escaped = starts >> (kBlockBytes - 1);
  return starts;
}

__attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt"))) char*
unescape_avx512(std::string_view rest, char* end) {
  const __m512i low = _mm512_load_si512(kEscapes.data());
  const __m512i high = _mm512_load_si512(kEscapes.data() + kBlockBytes);
  const __m512i backslash = _mm512_set1_epi8('\\');
  std::uint64_t is_escaped = 0;
  while (!rest.empty()) {
    const std::size_t size = rest.size() < kBlockBytes ? rest.size() : kBlockBytes;
    const __m512i bytes = _mm512_loadu_si512(rest.data());
    const std::uint64_t was_escaped = is_escaped;
    const std::uint64_t starts =
        escape_starts(_mm512_cmpeq_epi8_mask(bytes, backslash), is_escaped);
    const std::uint64_t escaped = _bzhi_u64(starts << 1 | was_escaped, static_cast<unsigned>(size));
    const __m512i translated = _mm512_permutex2var_epi8(low, bytes, high);
    // Of bytes from 0x80 on, the permutation takes the lower seven bits.
    const std::uint64_t unknown =
        escaped & (_mm512_testn_epi8_mask(translated, translated) | _mm512_movepi8_mask(bytes));
    const __m512i plain = _mm512_mask_mov_epi8(bytes, escaped, translated);
    if (unknown == 0) [[likely]] {
      const std::uint64_t kept = _bzhi_u64(~starts, static_cast<unsigned>(size));
      _mm512_storeu_si512(end, _mm512_maskz_compress_epi8(kept, plain));
      end += _mm_popcnt_u64(kept);
      rest.remove_prefix(size);
      continue;
    }
    // Up to the backslash of the unknown escape, which may be the last byte of the block before.
    const auto at = static_cast<unsigned>(_tzcnt_u64(unknown));
    const std::uint64_t kept = at == 0 ? 0 : _bzhi_u64(~starts, at - 1);
    _mm512_storeu_si512(end, _mm512_maskz_compress_epi8(kept, plain));
    end += _mm_popcnt_u64(kept);
    rest = {rest.data() + at - 1, rest.size() + 1 - at};
    if (rest[1] != 'u' || !take_unicode_escapes(rest, end)) {
      return nullptr;
    }
    is_escaped = 0;
  }
  return end;
}

}  // namespace

JsonUnescape* fast_json_unescape() {
  __builtin_cpu_init();
  const bool has_instructions =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  return has_instructions ? unescape_avx512 : nullptr;
}

}  // namespace penstock
