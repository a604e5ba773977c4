#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace penstock {

enum class OptionType {
  kBoolean,   // true, false
  kInteger,   // 42
  kNumber,    // 0.5
  kBytes,     // 65536, 256KiB, 1GiB, 10MB; held as std::int64_t
  kText,      // any scalar
  kTextList,  // [a, b]; a single scalar is a list of one
};

using OptionValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>>;

// Declares one option of a stage: from this one declaration come validation, the defaults,
// `penstock stages`, and docs/configuration.md. An option without a default is required.
struct Option {
  std::string name;                     // snake_case
  OptionType type = OptionType::kText;  // what default_value holds
  std::string summary;                  // one or two sentences; units and meaning of special values
  std::optional<OptionValue> default_value;  // none: the option is required
  std::optional<double> min;                 // inclusive, numbers and bytes
  std::optional<double> max;                 // inclusive
  std::vector<std::string> choices;          // kText: the allowed values; empty means any

  // The option is there only where another one, a choice declared before it, has this value.
  struct Condition {
    std::string option;  // the other one's name
    std::string value;   // and what it must be
  };
  std::optional<Condition> condition;

  // Whether another value can give other batches: of options of sources, transforms and assemblers.
  bool shapes_stream = true;

  // A required option of this type, of any value.
  static Option boolean(std::string name, std::string summary);
  static Option integer(std::string name, std::string summary);
  static Option number(std::string name, std::string summary);
  static Option bytes(std::string name, std::string summary);
  static Option text(std::string name, std::string summary);
  static Option text_list(std::string name, std::string summary);
  static Option choice(std::string name, std::string summary, std::vector<std::string> choices);

  // Refinements, for use on a temporary: Option::integer("rows", "...").in_range(1, 64).or_else(8)
  Option or_else(OptionValue value) &&;
  Option in_range(double lowest, double highest) &&;
  Option at_least(double lowest) &&;
  Option only_with(std::string choice, std::string value) &&;
  Option without_effect_on_stream() &&;

  bool required() const { return !default_value; }  // has to be written
};

// "integer", "number", "size in bytes", "text", "one of a, b, c", ...
std::string describe_type(const Option& option);
// As a user would write it in YAML; sizes in the largest whole unit ("256KiB").
std::string format_value(const OptionValue& value, OptionType type);

// What became of an option's text.
struct OptionParse {
  std::optional<OptionValue> value;  // none where the text is wrong
  std::string error;  // "got 'x', expected an integer of at least 1" where there is no value
};

// Reads an option's value from its YAML scalars (one, unless the option is a list) and checks
// range and choices.
OptionParse parse_option(const Option& option,
                         const std::vector<std::string>& scalars,
                         bool is_sequence);

// "256KiB" -> 262144. Binary (KiB, MiB, GiB, TiB) and decimal (kB, MB, GB, TB) units; none is
// bytes.
std::optional<std::int64_t> parse_bytes(const std::string& text);
std::string format_bytes(std::int64_t bytes);

// The known name nearest to `name` by edit distance, if it is near enough to be a likely slip.
std::optional<std::string> nearest(const std::string& name, const std::vector<std::string>& known);

}  // namespace penstock
