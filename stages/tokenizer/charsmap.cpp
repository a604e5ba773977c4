#include "stages/tokenizer/charsmap.h"

#include <string>

#include "pipeline/utf8.h"
#include "stages/tokenizer/model_refused.h"

namespace penstock {
namespace {

constexpr std::size_t kUnitBytes = 4;
constexpr std::uint32_t kHasValue = 1U << 8U;
// A unit with a value has the highest bit set, which no byte does.
constexpr std::uint32_t kLabelMask = 1U << 31U | 0xFFU;
constexpr std::uint32_t kValueMask = (1U << 31U) - 1;

std::uint32_t read_unit(std::string_view bytes, std::size_t position) {
  std::uint32_t unit = 0;
  for (std::size_t i = kUnitBytes; i-- > 0;) {
    unit = unit << 8U | static_cast<unsigned char>(bytes[position + i]);
  }
  return unit;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes) {
  const std::size_t array_bytes = bytes.size() < kUnitBytes ? 0 : read_unit(bytes, 0);
  if (array_bytes < kUnitBytes || array_bytes > bytes.size() - kUnitBytes) {
    throw ModelRefused("its precompiled_charsmap is damaged: it has " +
                       std::to_string(bytes.size()) + " bytes and claims " +
                       std::to_string(array_bytes) + " for its double array");
  }
  units_.reserve(array_bytes / kUnitBytes);
  for (std::size_t i = 0; i < array_bytes / kUnitBytes; ++i) {
    units_.push_back(read_unit(bytes, (i + 1) * kUnitBytes));
  }
  replacements_ = bytes.substr(kUnitBytes + array_bytes);
}

Charsmap::Rule Charsmap::longest_rule(std::string_view text) const {
  Rule rule;
  if (units_.empty()) {
    return rule;
  }
  std::size_t value_position = units_.size();
  std::size_t position = children_of(units_[0]);
  std::uint32_t unit = 0;
  for (std::size_t i = 0;
       i < text.size() && step(position, static_cast<unsigned char>(text[i]), unit);
       ++i) {
    if ((unit & kHasValue) != 0) {
      rule.length = i + 1;
      value_position = position;
    }
  }
  if (rule.length > 0) {
    rule.replacement = replacement_at(value_position);
  }
  return rule;
}

std::size_t Charsmap::children_of(std::uint32_t unit) {
  return std::size_t{unit >> 10U} << ((unit & (1U << 9U)) >> 6U);
}

bool Charsmap::step(std::size_t& position, unsigned char byte, std::uint32_t& unit) const {
  const std::size_t child = position ^ byte;
  if (child >= units_.size() || (units_[child] & kLabelMask) != byte) {
    return false;
  }
  unit = units_[child];
  position = child ^ children_of(unit);
  return true;
}

// Empty where a damaged model points beyond its end.
std::string_view Charsmap::replacement_at(std::size_t position) const {
  const std::size_t begin = position < units_.size() ? units_[position] & kValueMask : 0;
  if (begin >= replacements_.size()) {
    return {};
  }
  const std::string_view rest = std::string_view(replacements_).substr(begin);
  return rest.substr(0, rest.find('\0'));
}

// Goes through the double array, a code point at a time. Rules share their ends, so every place in
// the array where a code point may begin is gone through once.
struct Charsmap::Walk {
  const Charsmap& charsmap;
  const std::function<void(char32_t, Role)>& visit;
  std::vector<bool> seen;
  std::vector<std::size_t> pending;

  void run() {
    seen.resize(charsmap.units_.size());
    const std::size_t root = children_of(charsmap.units_[0]);
    first_byte(root, false);
    while (!pending.empty()) {
      const std::size_t position = pending.back();
      pending.pop_back();
      first_byte(position, true);
    }
  }

  void first_byte(std::size_t position, bool continues) {
    for (unsigned byte = 0; byte < 0x80; ++byte) {
      last_byte(position, byte, byte, continues);
    }
    for (unsigned byte = 0xC2; byte < 0xF5; ++byte) {
      const unsigned more = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
      next_byte(position, byte, byte & (0x3FU >> more), more, continues);
    }
  }

  // Goes on by `byte`, behind which `more` bytes of the same code point follow.
  void next_byte(
      std::size_t position, unsigned byte, char32_t code_point, unsigned more, bool continues) {
    std::uint32_t unit = 0;
    if (!charsmap.step(position, static_cast<unsigned char>(byte), unit)) {
      return;
    }
    if ((unit & kHasValue) != 0) {
      throw ModelRefused("its precompiled_charsmap has a rule that ends inside a character");
    }
    for (unsigned next = 0x80; next < 0xC0; ++next) {
      const char32_t longer = code_point << 6U | (next & 0x3FU);
      if (more == 1) {
        last_byte(position, next, longer, continues);
      } else {
        next_byte(position, next, longer, more - 1, continues);
      }
    }
  }

  void last_byte(std::size_t position, unsigned byte, char32_t code_point, bool continues) {
    std::uint32_t unit = 0;
    if (code_point > 0x10FFFF || !charsmap.step(position, static_cast<unsigned char>(byte), unit)) {
      return;
    }
    const bool has_rule = (unit & kHasValue) != 0;
    if (has_rule && !is_utf8(charsmap.replacement_at(position))) {
      throw ModelRefused("its precompiled_charsmap has a replacement that is not valid UTF-8");
    }
    const bool is_replaced = !continues && has_rule;
    if (continues || is_replaced) {
      visit(code_point, {is_replaced, continues});
    }
    if (position < seen.size() && !seen[position]) {
      seen[position] = true;
      pending.push_back(position);
    }
  }
};

void Charsmap::visit_roles(const std::function<void(char32_t, Role)>& visit) const {
  if (!units_.empty()) {
    Walk{*this, visit, {}, {}}.run();
  }
}

}  // namespace penstock
