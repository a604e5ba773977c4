#include "apps/row_text.h"

#include <iterator>

#include <spdlog/fmt/fmt.h>

#include "apps/number_text.h"
#include "pipeline/utf8.h"

namespace penstock {
namespace {

constexpr std::size_t kFirstIds = 12;
constexpr std::size_t kLastIds = 4;
constexpr std::size_t kTextCharacters = 300;

// Characters that move the cursor, end a line or turn the writing direction.
bool needs_escape(char32_t value) {
  return value < 0x20 || (value >= 0x7F && value < 0xA0) || value == 0x061C || value == 0xFEFF ||
         (value >= 0x200B && value <= 0x200F) || (value >= 0x2028 && value <= 0x202E) ||
         (value >= 0x2066 && value <= 0x2069);
}

std::string escape(char32_t value) {
  switch (value) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return value < 0x80 ? fmt::format("\\x{:02X}", static_cast<unsigned>(value))
                          : fmt::format("\\u{{{:04X}}}", static_cast<unsigned>(value));
  }
}

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80;
}

// Index of the first byte behind `characters` code points from the front.
std::size_t skip_forward(std::string_view text, std::size_t characters) {
  std::size_t index = 0;
  while (index < text.size() && characters > 0) {
    ++index;
    while (index < text.size() && is_continuation(text[index])) {
      ++index;
    }
    --characters;
  }
  return index;
}

// Index of the first byte of the last `characters` code points.
std::size_t skip_backward(std::string_view text, std::size_t characters) {
  std::size_t index = text.size();
  while (index > 0 && characters > 0) {
    --index;
    while (index > 0 && is_continuation(text[index])) {
      --index;
    }
    --characters;
  }
  return index;
}

std::string boundary(std::int64_t begin, std::int64_t end, std::string_view what) {
  return fmt::format("  {:>13}  {}\n", fmt::format("{}-{}", begin, end), what);
}

std::string source_of(const Segment& segment) {
  return fmt::format("{}, from its token {}",
                     to_string(SourcePosition{segment.shard, segment.record, segment.byte_offset}),
                     segment.document_token);
}

}  // namespace

std::string visible(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const Utf8Character character = first_utf8_character(text);
    if (character.length == 0) {
      escaped += fmt::format("\\x{:02X}", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    if (character.code_point == '\\') {
      escaped += "\\\\";
    } else if (needs_escape(character.code_point)) {
      escaped += escape(character.code_point);
    } else {
      escaped += text.substr(0, character.length);
    }
    text.remove_prefix(character.length);
  }
  return escaped;
}

std::string shortened(std::string_view utf8, std::size_t characters) {
  const std::size_t tail = characters / 4;
  const std::size_t head_end = skip_forward(utf8, characters - tail);
  const std::size_t tail_begin = skip_backward(utf8, tail);
  if (head_end >= tail_begin) {
    return std::string(utf8);
  }
  return std::string(utf8.substr(0, head_end)) + " ... " + std::string(utf8.substr(tail_begin));
}

std::string short_ids(const std::vector<TokenId>& ids) {
  std::string text;
  for (std::size_t index = 0; index < ids.size(); ++index) {
    if (ids.size() > kFirstIds + kLastIds && index == kFirstIds) {
      text += "... ";
      index = ids.size() - kLastIds;
    }
    text += fmt::format("{} ", ids[index]);
  }
  return text + '(' + counted(std::ssize(ids), "id") + ')';
}

std::string row_text(const Batch& batch,
                     std::int64_t row,
                     std::int64_t row_number,
                     const TokenDecoder* decoder) {
  const std::int64_t row_begin = row * batch.row_length;
  const std::int64_t row_end = row_begin + batch.row_length;
  std::int64_t tokens_end = row_begin;  // behind the row's last real token
  std::string boundaries;
  for (const Segment& segment : batch.segments) {
    if (segment.begin >= row_begin && segment.begin < row_end) {
      boundaries +=
          boundary(segment.begin - row_begin, segment.end - row_begin, source_of(segment));
      tokens_end = segment.end;
    }
  }
  if (tokens_end < row_end) {
    boundaries += boundary(tokens_end - row_begin, batch.row_length, "padding");
  }

  const auto cells = batch.tokens.begin();
  std::string text = fmt::format("row {} (row {} of batch {})\n", row_number, row, batch.index);
  text += "  ids      " + short_ids({cells + row_begin, cells + row_end}) + '\n';
  if (decoder != nullptr) {
    const std::string decoded = decoder->decode({cells + row_begin, cells + tokens_end});
    text += "  text     " + visible(shortened(decoded, kTextCharacters)) + '\n';
  }
  return text + "  columns        document\n" + boundaries;
}

}  // namespace penstock
