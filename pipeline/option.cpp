#include "pipeline/option.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace penstock {
namespace {

struct ByteUnit {
  std::string_view name;
  std::int64_t bytes;
};

// Larger units first; format_bytes prefers the binary ones.
constexpr std::array<ByteUnit, 8> kByteUnits = {{{"TiB", std::int64_t{1} << 40},
                                                 {"GiB", std::int64_t{1} << 30},
                                                 {"MiB", std::int64_t{1} << 20},
                                                 {"KiB", std::int64_t{1} << 10},
                                                 {"TB", 1'000'000'000'000},
                                                 {"GB", 1'000'000'000},
                                                 {"MB", 1'000'000},
                                                 {"kB", 1'000}}};

// Longest value that an error text repeats, in bytes.
constexpr std::size_t kLongestQuote = 80;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

Option make_option(std::string name, std::string summary, OptionType type) {
  Option option;
  option.name = std::move(name);
  option.type = type;
  option.summary = std::move(summary);
  return option;
}

std::size_t alternative_of(OptionType type) {
  switch (type) {
    case OptionType::kBoolean:
      return 0;
    case OptionType::kInteger:
    case OptionType::kBytes:
      return 1;
    case OptionType::kNumber:
      return 2;
    case OptionType::kText:
      return 3;
    case OptionType::kTextList:
      return 4;
  }
  throw std::logic_error("unknown option type");
}

std::string format_number(double value) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

std::string format_bound(const Option& option, double bound) {
  switch (option.type) {
    case OptionType::kBytes:
      return format_bytes(static_cast<std::int64_t>(bound));
    case OptionType::kInteger:
      return std::to_string(static_cast<std::int64_t>(bound));
    default:
      return format_number(bound);
  }
}

// " from 1 to 256", " of at least 1", or nothing.
std::string describe_range(const Option& option) {
  if (option.min && option.max) {
    return " from " + format_bound(option, *option.min) + " to " +
           format_bound(option, *option.max);
  }
  if (option.min) {
    return " of at least " + format_bound(option, *option.min);
  }
  if (option.max) {
    return " of at most " + format_bound(option, *option.max);
  }
  return "";
}

// describe_type() as it stands in a sentence.
std::string describe_expected(const Option& option) {
  switch (option.type) {
    case OptionType::kInteger:
      return "an " + describe_type(option);
    case OptionType::kNumber:
    case OptionType::kBytes:
      return "a " + describe_type(option);
    default:
      return describe_type(option);
  }
}

// The value in quotes, on one line and of bounded length.
std::string quote(const std::string& text) {
  std::size_t length = std::min(text.size(), kLongestQuote);
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) {
    --length;  // not between the bytes of one character
  }
  std::string quoted = "'";
  for (const char c : std::string_view(text).substr(0, length)) {
    switch (c) {
      case '\n':
        quoted += "\\n";
        break;
      case '\r':
        quoted += "\\r";
        break;
      case '\t':
        quoted += "\\t";
        break;
      default:
        quoted += c;
    }
  }
  return quoted + (length < text.size() ? "...'" : "'");
}

OptionParse failure(const Option& option, const std::string& got, const std::string& remark = "") {
  return {std::nullopt, "got " + got + ", expected " + describe_expected(option) + remark};
}

bool in_range(const Option& option, double value) {
  return (!option.min || value >= *option.min) && (!option.max || value <= *option.max);
}

// YAML allows a sign that std::from_chars does not know.
std::string_view without_plus(std::string_view text) {
  return text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
}

OptionParse parse_boolean(const Option& option, const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") {
    return {true, ""};
  }
  if (text == "false" || text == "False" || text == "FALSE") {
    return {false, ""};
  }
  return failure(option, quote(text));
}

OptionParse parse_integer(const Option& option, const std::string& text) {
  const std::string_view digits = without_plus(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole_text = end == digits.data() + digits.size();
  if (error == std::errc::result_out_of_range && whole_text) {
    return failure(option, quote(text), "; the value does not fit in 64 bits");
  }
  if (error != std::errc() || !whole_text || !in_range(option, static_cast<double>(value))) {
    return failure(option, quote(text));
  }
  return {value, ""};
}

OptionParse parse_number(const Option& option, const std::string& text) {
  const std::string_view digits = without_plus(text);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value) ||
      !in_range(option, value)) {
    return failure(option, quote(text));
  }
  return {value, ""};
}

OptionParse parse_size(const Option& option, const std::string& text) {
  const std::optional<std::int64_t> bytes = parse_bytes(text);
  if (!bytes) {
    return failure(
        option, quote(text), ", such as 65536, 256KiB or 1.5GiB (whole bytes, fewer than 2^63)");
  }
  if (!in_range(option, static_cast<double>(*bytes))) {
    return failure(option, quote(text));
  }
  return {*bytes, ""};
}

OptionParse parse_text(const Option& option, const std::string& text) {
  const std::vector<std::string>& choices = option.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end()) {
    return {text, ""};
  }
  const std::optional<std::string> near = nearest(text, choices);
  return failure(option, quote(text), near ? "; did you mean '" + *near + "'?" : "");
}

// Bytes in the fraction `digits` (behind the decimal point) of a unit, if that is a whole number.
std::optional<std::int64_t> fraction_of(std::string_view digits, std::int64_t unit) {
  digits = digits.substr(0, digits.find_last_not_of('0') + 1);
  if (digits.size() > std::numeric_limits<std::int64_t>::digits10) {
    return std::nullopt;
  }
  std::int64_t numerator = 0;
  std::int64_t denominator = 1;
  for (const char digit : digits) {
    numerator = numerator * 10 + (digit - '0');
    denominator *= 10;
  }
  const std::int64_t divisor = std::gcd(numerator, denominator);
  numerator /= divisor;
  denominator /= divisor;
  if (unit % denominator != 0) {
    return std::nullopt;
  }
  return numerator * (unit / denominator);
}

std::optional<std::int64_t> unit_bytes(std::string_view name) {
  if (name.empty()) {
    return 1;
  }
  const auto* const unit = std::find_if(kByteUnits.begin(),
                                        kByteUnits.end(),
                                        [&](const ByteUnit& known) { return known.name == name; });
  return unit == kByteUnits.end() ? std::nullopt : std::optional(unit->bytes);
}

bool is_plain_yaml(const std::string& text) {
  const auto is_safe = [](char c) {
    return is_digit(c) || is_letter(c) || (static_cast<unsigned char>(c) & 0x80U) != 0 ||
           std::string_view("_./-+*?=@%").find(c) != std::string_view::npos;
  };
  const auto may_begin = [](char c) { return is_digit(c) || is_letter(c) || c == '/' || c == '_'; };
  return !text.empty() && may_begin(text.front()) &&
         std::all_of(text.begin(), text.end(), is_safe) && text != "null" && text != "Null" &&
         text != "NULL";
}

std::string format_text(const std::string& text) {
  if (is_plain_yaml(text)) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else {
      quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
    }
  }
  return quoted + "\"";
}

std::string format_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) {
    list += (list.empty() ? "" : ", ") + format_text(text);
  }
  return "[" + list + "]";
}

// Damerau-Levenshtein distance (optimal string alignment): inserted, deleted, replaced and
// swapped neighbouring characters. Case does not count.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before_previous(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + replaced});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        current[j] = std::min(current[j], before_previous[j - 2] + 1);
      }
    }
    before_previous.swap(previous);
    previous.swap(current);
  }
  return previous[b.size()];
}

}  // namespace

Option Option::boolean(std::string name, std::string summary) {
  return make_option(std::move(name), std::move(summary), OptionType::kBoolean);
}

Option Option::integer(std::string name, std::string summary) {
  return make_option(std::move(name), std::move(summary), OptionType::kInteger);
}

Option Option::number(std::string name, std::string summary) {
  return make_option(std::move(name), std::move(summary), OptionType::kNumber);
}

Option Option::bytes(std::string name, std::string summary) {
  return make_option(std::move(name), std::move(summary), OptionType::kBytes);
}

Option Option::text(std::string name, std::string summary) {
  return make_option(std::move(name), std::move(summary), OptionType::kText);
}

Option Option::text_list(std::string name, std::string summary) {
  return make_option(std::move(name), std::move(summary), OptionType::kTextList);
}

Option Option::choice(std::string name, std::string summary, std::vector<std::string> choices) {
  Option option = text(std::move(name), std::move(summary));
  option.choices = std::move(choices);
  return option;
}

Option Option::or_else(OptionValue value) && {
  const auto* const whole = std::get_if<std::int64_t>(&value);
  if (type == OptionType::kNumber && whole != nullptr) {
    value = static_cast<double>(*whole);
  }
  if (value.index() != alternative_of(type)) {
    throw std::logic_error("the default of option '" + name + "' is not of the option's type");
  }
  default_value = std::move(value);
  return std::move(*this);
}

Option Option::in_range(double lowest, double highest) && {
  min = lowest;
  max = highest;
  return std::move(*this);
}

Option Option::at_least(double lowest) && {
  min = lowest;
  return std::move(*this);
}

Option Option::only_with(std::string choice, std::string value) && {
  condition = Condition{std::move(choice), std::move(value)};
  return std::move(*this);
}

Option Option::without_effect_on_stream() && {
  shapes_stream = false;
  return std::move(*this);
}

std::string describe_type(const Option& option) {
  switch (option.type) {
    case OptionType::kBoolean:
      return "true or false";
    case OptionType::kInteger:
      return "integer" + describe_range(option);
    case OptionType::kNumber:
      return "number" + describe_range(option);
    case OptionType::kBytes:
      return "size in bytes" + describe_range(option);
    case OptionType::kTextList:
      return "text or list of texts";
    case OptionType::kText:
      break;
  }
  if (option.choices.empty()) {
    return "text";
  }
  std::string choices;
  for (const std::string& choice : option.choices) {
    choices += (choices.empty() ? "one of " : ", ") + choice;
  }
  return choices;
}

std::string format_value(const OptionValue& value, OptionType type) {
  switch (type) {
    case OptionType::kBoolean:
      return std::get<bool>(value) ? "true" : "false";
    case OptionType::kInteger:
      return std::to_string(std::get<std::int64_t>(value));
    case OptionType::kNumber:
      return format_number(std::get<double>(value));
    case OptionType::kBytes:
      return format_bytes(std::get<std::int64_t>(value));
    case OptionType::kText:
      return format_text(std::get<std::string>(value));
    case OptionType::kTextList:
      return format_list(std::get<std::vector<std::string>>(value));
  }
  throw std::logic_error("unknown option type");
}

OptionParse parse_option(const Option& option,
                         const std::vector<std::string>& scalars,
                         bool is_sequence) {
  if (is_sequence && option.type != OptionType::kTextList) {
    return failure(option, "a list");
  }
  if (!is_sequence && scalars.empty()) {
    return failure(option, "nothing");
  }
  switch (option.type) {
    case OptionType::kBoolean:
      return parse_boolean(option, scalars.front());
    case OptionType::kInteger:
      return parse_integer(option, scalars.front());
    case OptionType::kNumber:
      return parse_number(option, scalars.front());
    case OptionType::kBytes:
      return parse_size(option, scalars.front());
    case OptionType::kText:
      return parse_text(option, scalars.front());
    case OptionType::kTextList:
      return {scalars, ""};
  }
  throw std::logic_error("unknown option type");
}

std::optional<std::int64_t> parse_bytes(const std::string& text) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  std::int64_t whole = 0;
  const auto [whole_end, error] = std::from_chars(begin, end, whole);
  if (error != std::errc() || !is_digit(text.front())) {
    return std::nullopt;
  }
  std::string_view rest(whole_end, static_cast<std::size_t>(end - whole_end));
  std::string_view fraction;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    fraction = rest.substr(0, rest.find_first_not_of("0123456789"));
    rest.remove_prefix(fraction.size());
    if (fraction.empty()) {
      return std::nullopt;
    }
  }
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const std::optional<std::int64_t> unit = unit_bytes(rest);
  const std::optional<std::int64_t> part = unit ? fraction_of(fraction, *unit) : std::nullopt;
  if (!part || whole > (std::numeric_limits<std::int64_t>::max() - *part) / *unit) {
    return std::nullopt;
  }
  return whole * *unit + *part;
}

std::string format_bytes(std::int64_t bytes) {
  for (const ByteUnit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) {
      return std::to_string(bytes / unit.bytes) + std::string(unit.name);
    }
  }
  return std::to_string(bytes);
}

std::optional<std::string> nearest(const std::string& name, const std::vector<std::string>& known) {
  std::size_t limit = std::max<std::size_t>(1, name.size() / 3);
  std::optional<std::string> near;
  for (const std::string& candidate : known) {
    const std::size_t longer = std::max(name.size(), candidate.size());
    const std::size_t shorter = std::min(name.size(), candidate.size());
    if (longer - shorter > limit) {
      continue;
    }
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < longer && (near ? distance < limit : distance <= limit)) {
      near = candidate;
      limit = distance;
    }
  }
  return near;
}

}  // namespace penstock
