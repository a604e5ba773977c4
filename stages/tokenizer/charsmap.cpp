#include "stages/tokenizer/charsmap.h"

#include <algorithm>
#include <utility>

#include "pipeline/utf8.h"
#include "stages/tokenizer/model_refused.h"

namespace penstock {
namespace {

constexpr std::size_t kUnitBytes = 4;
constexpr std::uint32_t kHasValue = 1U << 8U;
// A unit with a value has the highest bit set, which no byte does.
constexpr std::uint32_t kLabelMask = 1U << 31U | 0xFFU;
constexpr std::uint32_t kValueMask = (1U << 31U) - 1;
constexpr std::size_t kBlockUnits = 256;
// What the library has room for, kMaxTrieResultsSize of its normalizer.h; it writes and reads
// beyond that.
constexpr unsigned kMostNestedRules = 32;
constexpr std::size_t kLongestReplacement = Charsmap::kMostGrowth * 4;
// Ten times what the rules of NFKC take.
constexpr std::size_t kMostSteps = std::size_t{1} << 25U;

std::uint32_t read_unit(std::string_view bytes, std::size_t position) {
  std::uint32_t unit = 0;
  for (std::size_t i = kUnitBytes; i-- > 0;) {
    unit = unit << 8U | static_cast<unsigned char>(bytes[position + i]);
  }
  return unit;
}

std::size_t bytes_of_array(std::string_view bytes) {
  return bytes.size() < kUnitBytes ? 0 : read_unit(bytes, 0);
}

std::size_t utf8_length_of(char32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes) {
  if (const std::string reason = danger(bytes); !reason.empty()) {
    throw ModelRefused("its precompiled_charsmap " + reason);
  }
  const std::size_t array_bytes = bytes_of_array(bytes);
  if (array_bytes % (kBlockUnits * kUnitBytes) != 0) {
    throw ModelRefused("its precompiled_charsmap is damaged: its double array has " +
                       std::to_string(array_bytes) + " bytes, which is no multiple of 1,024");
  }
  read(bytes);
}

void Charsmap::read(std::string_view bytes) {
  const std::size_t array_bytes = bytes_of_array(bytes);
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
  if ((units_[child] & kLabelMask) != byte) {
    return false;
  }
  unit = units_[child];
  position = child ^ children_of(unit);
  return true;
}

// Longer than kLongestReplacement where it has no end up to there.
std::string_view Charsmap::replacement_at(std::size_t position) const {
  const std::string_view rest =
      std::string_view(replacements_).substr(units_[position] & kValueMask);
  return rest.substr(0, rest.substr(0, kLongestReplacement + 1).find('\0'));
}

// Goes through the double array by bytes, valid UTF-8 or not, each position once, and looks at all
// that a walk may read there.
struct Charsmap::Paths {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint8_t kUnseen = UINT8_MAX;
  static constexpr std::uint8_t kOnPath = UINT8_MAX - 1;

  // A position on the path that is gone through, behind some bytes.
  struct Place {
    std::size_t position;
    std::uint32_t child;  // unit of the next one to go to
    unsigned is_rule;     // 1 where these bytes are what a rule replaces
    unsigned most_rules;  // on a path from here
  };

  const Charsmap& charsmap;
  std::vector<std::uint32_t> first_child;  // by position
  std::vector<std::uint32_t> next_child;   // by unit
  std::vector<std::uint8_t> most_rules;    // by position
  std::vector<Place> path;
  std::string reason;

  explicit Paths(const Charsmap& map)
      : charsmap(map),
        first_child(map.units_.size(), kNone),
        next_child(map.units_.size(), kNone),
        most_rules(map.units_.size(), kUnseen) {
    for (std::size_t unit = map.units_.size(); unit-- > 0;) {
      const std::uint32_t label = map.units_[unit] & kLabelMask;
      const std::size_t position = unit ^ (label % kBlockUnits);
      if (label < kBlockUnits && position < first_child.size()) {
        next_child[unit] = first_child[position];
        first_child[position] = static_cast<std::uint32_t>(unit);
      }
    }
  }

  std::string danger() {
    reach(children_of(charsmap.units_[0]), 0);
    while (reason.empty() && !path.empty()) {
      Place& here = path.back();
      if (here.child == kNone) {
        leave();
        continue;
      }
      const std::uint32_t child = std::exchange(here.child, next_child[here.child]);
      const std::uint32_t unit = charsmap.units_[child];
      reach(child ^ children_of(unit), (unit & kHasValue) != 0 ? 1 : 0);
    }
    return reason;
  }

  void reach(std::size_t position, unsigned is_rule) {
    const std::size_t last = position | (kBlockUnits - 1);
    if (last >= charsmap.units_.size()) {
      reason = "is damaged: a rule leads to unit " + std::to_string(last) + " of " +
               std::to_string(charsmap.units_.size());
      return;
    }
    const std::size_t value = charsmap.units_[position] & kValueMask;
    if (is_rule != 0 && value > charsmap.replacements_.size()) {
      reason = "is damaged: a replacement is at byte " + std::to_string(value) + " of " +
               std::to_string(charsmap.replacements_.size());
    } else if (most_rules[position] == kOnPath) {
      reason = "is damaged: a rule has no end";
    } else if (most_rules[position] != kUnseen) {
      add_rules(is_rule + most_rules[position]);
    } else {
      most_rules[position] = kOnPath;
      path.push_back({position, first_child[position], is_rule, 0});
    }
  }

  void leave() {
    const Place done = path.back();
    path.pop_back();
    most_rules[done.position] = static_cast<std::uint8_t>(done.most_rules);
    add_rules(done.is_rule + done.most_rules);
  }

  // To the place where the path ends.
  void add_rules(unsigned num_rules) {
    if (num_rules > kMostNestedRules) {
      reason = "has more than " + std::to_string(kMostNestedRules) +
               " rules of which each is the begin of the next one";
    } else if (!path.empty()) {
      path.back().most_rules = std::max(path.back().most_rules, num_rules);
    }
  }
};

std::string Charsmap::danger(std::string_view bytes) {
  if (bytes.empty()) {
    return {};
  }
  const std::size_t array_bytes = bytes_of_array(bytes);
  if (array_bytes < kUnitBytes || array_bytes > bytes.size() - kUnitBytes) {
    return "is damaged: it has " + std::to_string(bytes.size()) + " bytes and claims " +
           std::to_string(array_bytes) + " for its double array";
  }
  Charsmap charsmap;
  charsmap.read(bytes);
  return Paths(charsmap).danger();
}

// Goes through the double array, a code point at a time. Rules share their ends, so every place in
// the array where a code point may begin is gone through once.
struct Charsmap::Walk {
  const Charsmap& charsmap;
  const std::function<void(char32_t, Role)>& visit;
  std::vector<bool> seen;
  std::vector<std::size_t> pending;
  std::size_t num_steps = 0;

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
    if (!step(position, byte, unit)) {
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
    if (code_point > 0x10FFFF || !step(position, byte, unit)) {
      return;
    }
    const bool has_rule = (unit & kHasValue) != 0;
    if (has_rule) {
      check(charsmap.replacement_at(position), utf8_length_of(code_point));
    }
    const bool is_replaced = !continues && has_rule;
    if (continues || is_replaced) {
      visit(code_point, {is_replaced, continues});
    }
    if (!seen[position]) {
      seen[position] = true;
      pending.push_back(position);
    }
  }

  bool step(std::size_t& position, unsigned byte, std::uint32_t& unit) {
    if (++num_steps > kMostSteps) {
      throw ModelRefused("its precompiled_charsmap takes more than " + std::to_string(kMostSteps) +
                         " steps to go through");
    }
    return charsmap.step(position, static_cast<unsigned char>(byte), unit);
  }

  // What a rule replaces has `length` bytes or more.
  static void check(std::string_view replacement, std::size_t length) {
    if (replacement.size() > kMostGrowth * length) {
      throw ModelRefused("its precompiled_charsmap has a rule that makes a text more than " +
                         std::to_string(kMostGrowth) + " times as long");
    }
    if (!is_utf8(replacement)) {
      throw ModelRefused("its precompiled_charsmap has a replacement that is not valid UTF-8");
    }
  }
};

void Charsmap::visit_roles(const std::function<void(char32_t, Role)>& visit) const {
  if (!units_.empty()) {
    Walk{*this, visit, {}, {}}.run();
  }
}

}  // namespace penstock
