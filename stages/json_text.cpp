#include "stages/json_text.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

#include <simdjson.h>

#include "pipeline/byte_buffer.h"
#include "stages/utf8.h"

namespace penstock {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(simdjson::SIMDJSON_PADDING <= ByteBuffer::kPadding);

constexpr std::string_view kWhiteSpace = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
// Records up to this size share one parser; a longer one gets a parser of its own, whose memory
// (several times the record) goes with it.
constexpr std::size_t kUsualRecordBytes = std::size_t{1} << 20;

std::string_view trim_right(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kWhiteSpace) + 1);
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kWhiteSpace);
  return begin == std::string_view::npos ? std::string_view() : trim_right(text.substr(begin));
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Takes digits from the front; false where there is none.
bool take_digits(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_digit);
  const auto count = static_cast<std::size_t>(end - text.begin());
  text.remove_prefix(count);
  return count > 0;
}

bool take_any_of(std::string_view& text, std::string_view characters) {
  if (text.empty() || characters.find(text.front()) == std::string_view::npos) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

// RFC 8259, section 6. Says nothing about the size of the number.
bool is_number(std::string_view text) {
  take_any_of(text, "-");
  if (!take_any_of(text, "0") && !take_digits(text)) {
    return false;
  }
  if (take_any_of(text, ".") && !take_digits(text)) {
    return false;
  }
  if (take_any_of(text, "eE")) {
    take_any_of(text, "+-");
    if (!take_digits(text)) {
      return false;
    }
  }
  return text.empty();
}

// The JSON type of a value by its token, empty where the token begins no JSON value.
std::string_view type_of(std::string_view token) {
  switch (token.empty() ? '\0' : token.front()) {
    case '{':
      return "object";
    case '[':
      return "array";
    case '"':
      return "string";
    case 't':
    case 'f':
      return token == "true" || token == "false" ? "boolean" : "";
    case 'n':
      return token == "null" ? "null" : "";
    default:
      return is_number(token) ? "number" : "";
  }
}

std::string with_article(std::string_view type) {
  if (type == "null") {
    return "null";
  }
  return (type == "object" || type == "array" ? "an " : "a ") + std::string(type);
}

bool is_escaped(std::string_view content) {
  return content.find('\\') != std::string_view::npos;
}

// Offset of the first escape that JSON does not have in what stands between a string's quotes, or
// npos. Surrogates are not paired here. Relies on the string not ending inside "\x".
std::size_t find_bad_escape(std::string_view content) {
  std::size_t at = content.find('\\');
  while (at != std::string_view::npos) {
    const char escape = content[at + 1];
    if (escape == 'u') {
      const std::string_view digits = content.substr(at + 2, 4);
      if (digits.size() < 4 || !std::all_of(digits.begin(), digits.end(), is_hex_digit)) {
        return at;
      }
    } else if (std::string_view("\"\\/bfnrt").find(escape) == std::string_view::npos) {
      return at;
    }
    at = content.find('\\', at + 2);
  }
  return std::string_view::npos;
}

// What stands between the quotes of a key; simdjson has made sure that there is a closing one.
std::string_view key_content(ondemand::raw_json_string key) {
  const char* end = key.raw();
  while (*end != '"') {
    end += *end == '\\' ? 2 : 1;
  }
  return {key.raw(), static_cast<std::size_t>(end - key.raw())};
}

// The element that a key of a JSON pointer means in an array, if it means one.
std::optional<std::size_t> array_index(std::string_view key) {
  if (key.size() > 1 && key.front() == '0') {
    return std::nullopt;
  }
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error != std::errc() || end != key.data() + key.size()) {
    return std::nullopt;
  }
  return index;
}

// simdjson's own words for an error.
std::string words(simdjson::error_code error) {
  std::string text = simdjson::error_message(error);
  while (!text.empty() && text.back() == '.') {
    text.pop_back();
  }
  return text;
}

// Goes through one record from end to end. A simdjson On-Demand document is lazy: it checks only
// what one looks at, so every value is looked at.
class RecordWalk {
 public:
  RecordWalk(const JsonField& field,
             ondemand::parser& parser,
             JsonUnescape* fast_unescape,
             std::string_view record,
             char* destination)
      : field_(field),
        parser_(parser),
        fast_unescape_(fast_unescape),
        record_(record),
        destination_(destination) {}

  JsonText extract() {
    if (visit_record()) {
      unescape_text();
    }
    return {text_, std::move(refusal_)};
  }

 private:
  // How many keys of the path lead to a value: as many as there are means that it is the text.
  using Matched = std::size_t;
  static constexpr Matched kOffThePath = static_cast<Matched>(-1);

  struct Found {
    std::string_view type;     // empty while there is none
    std::string_view content;  // of a string, between the quotes, escaped
  };

  bool visit_record() {
    if (record_.starts_with(kByteOrderMark)) {
      return refuse("begins with a byte order mark (U+FEFF)");
    }
    const simdjson::error_code error =
        parser_.iterate(record_.data(), record_.size(), record_.size() + ByteBuffer::kPadding)
            .get(document_);
    if (error) {
      std::optional<std::string> invalid = utf8_error(record_);
      return refuse(invalid ? *std::move(invalid) : "not valid JSON: " + words(error));
    }
    const std::string_view trimmed = trim(record_);
    const std::string_view type = type_of(trimmed);
    if (type.empty()) {
      return refuse_at("no JSON value", record_.data());
    }
    if (type != "object") {
      return refuse("is a JSON " + std::string(type) + ", expected an object");
    }
    if (trimmed.back() != '}') {
      return refuse("not valid JSON: the record does not end with '}'");
    }
    ondemand::object object;
    if (const simdjson::error_code root_error = document_.get_object().get(object)) {
      return refuse_json(root_error);
    }
    return visit_object(object, 1, 0) && check_at_end();
  }

  // `depth` counts the object itself.
  bool visit_object(ondemand::object& object, int depth, Matched matched) {
    if (depth > JsonTextExtractor::kMaxDepth) {
      return refuse_depth();
    }
    for (auto item : object) {
      if (item.error()) {
        return refuse_json(item.error());
      }
      ondemand::field member = item.value_unsafe();
      const std::string_view key = key_content(member.key());
      if (!check_escapes(key)) {
        return false;
      }
      Matched member_matched = kOffThePath;
      if (matched < field_.keys.size() && is_key(key, field_.keys[matched])) {
        member_matched = matched + 1;
        if (!forget_found()) {
          return false;
        }
      }
      if (!visit_value(member.value(), depth, member_matched)) {
        return false;
      }
    }
    return true;
  }

  bool visit_array(ondemand::array& array, int depth, Matched matched) {
    if (depth > JsonTextExtractor::kMaxDepth) {
      return refuse_depth();
    }
    const std::optional<std::size_t> wanted =
        matched < field_.keys.size() ? array_index(field_.keys[matched]) : std::nullopt;
    std::size_t index = 0;
    for (auto item : array) {
      if (item.error()) {
        return refuse_json(item.error());
      }
      if (!visit_value(item.value_unsafe(), depth, wanted == index ? matched + 1 : kOffThePath)) {
        return false;
      }
      ++index;
    }
    return true;
  }

  // `depth` counts the objects and arrays around the value.
  bool visit_value(ondemand::value value, int depth, Matched matched) {
    const std::string_view token = trim_right(value.raw_json_token());
    const std::string_view type = type_of(token);
    if (type.empty()) {
      return refuse_at("no JSON value", token.data());
    }
    const bool is_text = matched == field_.keys.size();
    if (is_text) {
      found_ = {type, {}};
    }
    if (type == "string") {
      return visit_string(value, token.substr(1, token.size() - 2), is_text);
    }
    if (type == "object" || type == "array") {
      return visit_container(value, type, depth + 1, matched) && check_not_at_end();
    }
    return true;
  }

  bool visit_container(ondemand::value& value, std::string_view type, int depth, Matched matched) {
    if (type == "object") {
      ondemand::object object;
      const simdjson::error_code error = value.get_object().get(object);
      return error ? refuse_json(error) : visit_object(object, depth, matched);
    }
    ondemand::array array;
    const simdjson::error_code error = value.get_array().get(array);
    return error ? refuse_json(error) : visit_array(array, depth, matched);
  }

  bool visit_string(ondemand::value& value, std::string_view content, bool is_text) {
    if (const simdjson::error_code error = value.get_raw_json_string().error()) {
      return refuse_json(error);
    }
    if (is_text) {
      found_.content = content;
      return true;
    }
    return check_escapes(content);
  }

  // A later key of the same name counts instead. What was found is checked like any other string.
  bool forget_found() {
    const Found forgotten = std::exchange(found_, {});
    return check_escapes(forgotten.content);
  }

  bool is_key(std::string_view content, std::string_view wanted) {
    if (!is_escaped(content)) {
      return content == wanted;
    }
    std::string_view key;
    return unescape(content, key) && key == wanted;
  }

  void unescape_text() {
    if (found_.type.empty()) {
      refuse("the field '" + field_.written + "' is missing");
    } else if (found_.type != "string") {
      refuse("the field '" + field_.written + "' is " + with_article(found_.type) +
             ", expected a string");
    } else if (!is_escaped(found_.content)) {
      text_ = found_.content;
    } else if (!unescape(found_.content, text_) && check_escapes(found_.content)) {
      refuse("lone surrogate in the text");
    }
  }

  // Also false where check_escapes() would be.
  bool unescape(std::string_view content, std::string_view& unescaped) {
    if (fast_unescape_ != nullptr) {
      const char* const text_end = fast_unescape_(content, destination_);
      if (text_end == nullptr) {
        return false;
      }
      unescaped = {destination_, static_cast<std::size_t>(text_end - destination_)};
      return true;
    }
    const ondemand::raw_json_string raw(reinterpret_cast<const std::uint8_t*>(content.data()));
    auto* end = reinterpret_cast<std::uint8_t*>(destination_);
    return parser_.unescape(raw, end).get(unescaped) == simdjson::SUCCESS;
  }

  bool check_escapes(std::string_view content) {
    const std::size_t bad = find_bad_escape(content);
    if (bad == std::string_view::npos) {
      return true;
    }
    return refuse_at("illegal escape in a string", content.data() + bad);
  }

  // Behind an inner object or array something must still close the outer one. simdjson would read
  // on behind the record to see what.
  bool check_not_at_end() {
    return document_.current_location().error() != simdjson::OUT_OF_BOUNDS ||
           refuse_json(simdjson::INCOMPLETE_ARRAY_OR_OBJECT);
  }

  // Nothing but white space may follow the record's object.
  bool check_at_end() {
    const char* rest = nullptr;
    const simdjson::error_code error = document_.current_location().get(rest);
    if (error == simdjson::OUT_OF_BOUNDS) {
      return true;
    }
    return error ? refuse_json(error) : refuse_at("content after the object", rest);
  }

  bool refuse(std::string reason) {
    refusal_ = std::move(reason);
    return false;
  }
  bool refuse_at(const std::string& reason, const char* where) {
    return refuse("not valid JSON: " + reason + " at byte " +
                  std::to_string(where - record_.data()) + " of the record");
  }
  bool refuse_json(simdjson::error_code error) { return refuse("not valid JSON: " + words(error)); }
  bool refuse_depth() {
    return refuse("nested deeper than " + std::to_string(JsonTextExtractor::kMaxDepth) + " levels");
  }

  const JsonField& field_;
  ondemand::parser& parser_;
  JsonUnescape* const fast_unescape_;
  const std::string_view record_;
  char* const destination_;
  ondemand::document document_;
  Found found_;
  std::string_view text_;
  std::string refusal_;
};

std::string unescape_pointer_key(std::string_view escaped, const std::string& pointer) {
  std::string key;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] != '~') {
      key += escaped[i];
      continue;
    }
    ++i;
    if (i == escaped.size() || (escaped[i] != '0' && escaped[i] != '1')) {
      throw std::invalid_argument("got '" + pointer +
                                  "', in a JSON pointer '~' is written ~0 and '/' in a key ~1");
    }
    key += escaped[i] == '0' ? '~' : '/';
  }
  return key;
}

}  // namespace

JsonField parse_json_field(std::string written) {
  if (written.empty()) {
    throw std::invalid_argument(
        "got an empty text, expected the name of a field or a JSON pointer");
  }
  if (written.front() != '/') {
    return {written, {written}};
  }
  JsonField field;
  std::size_t begin = 0;
  while (begin != std::string::npos) {
    const std::size_t end = written.find('/', begin + 1);
    const std::string_view key = std::string_view(written).substr(begin + 1, end - begin - 1);
    field.keys.push_back(unescape_pointer_key(key, written));
    begin = end;
  }
  field.written = std::move(written);
  return field;
}

class JsonTextExtractor::Parser {
 public:
  explicit Parser(std::size_t capacity) {
    // One level to spare: simdjson counts a scalar in the innermost array as a level too.
    if (parser.allocate(capacity, kMaxDepth + 2)) {
      throw std::bad_alloc();
    }
  }

  ondemand::parser parser;
};

JsonTextExtractor::JsonTextExtractor(JsonField field, JsonUnescape* unescape)
    : field_(std::move(field)),
      unescape_(unescape),
      parser_(std::make_unique<Parser>(kUsualRecordBytes)) {}

JsonTextExtractor::~JsonTextExtractor() = default;

JsonText JsonTextExtractor::extract(std::string_view record, char* destination) {
  if (record.size() <= kUsualRecordBytes) {
    return RecordWalk(field_, parser_->parser, unescape_, record, destination).extract();
  }
  Parser own(record.size());
  return RecordWalk(field_, own.parser, unescape_, record, destination).extract();
}

}  // namespace penstock
