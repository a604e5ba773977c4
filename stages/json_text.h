#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stages/json_unescape.h"

namespace penstock {

// Where in a JSON record the text stands.
struct JsonField {
  std::string written;            // as configured, for messages
  std::vector<std::string> keys;  // from the record's object inwards; digits also index arrays
};

// Reads the name of a field of the record's object or, where it begins with '/', a JSON pointer
// (RFC 6901). Throws std::invalid_argument for an empty name and a malformed pointer.
JsonField parse_json_field(std::string written);

// What one record gave.
struct JsonText {
  std::string_view text;
  std::string refusal;  // why there is no text, without a final stop; empty where there is one
};

// Pulls one text out of JSON records. Refuses every record that is not, from its first byte to its
// last, one JSON object in valid UTF-8, wherever in it the fault is. Of duplicate keys the last one
// counts. One thread at a time.
class JsonTextExtractor {
 public:
  // Objects and arrays inside one another, the record's own object included.
  static constexpr int kMaxDepth = 1024;

  // `unescape`: in place of simdjson's, unless it is null.
  explicit JsonTextExtractor(JsonField field, JsonUnescape* unescape = fast_json_unescape());
  ~JsonTextExtractor();
  JsonTextExtractor(const JsonTextExtractor&) = delete;
  JsonTextExtractor& operator=(const JsonTextExtractor&) = delete;

  // Returns a view into the record where the text has no escapes; else writes the unescaped text to
  // the beginning of `destination` and returns the view of that. ByteBuffer::kPadding bytes behind
  // the record must be readable. `destination` must have room for record.size() +
  // ByteBuffer::kPadding bytes; what lies behind the text in it is scratch.
  JsonText extract(std::string_view record, char* destination);

 private:
  class Parser;

  const JsonField field_;
  JsonUnescape* const unescape_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace penstock
