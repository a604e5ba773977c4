#include "stages/tokenizer/piece_text.h"

#include <cstddef>
#include <cstring>

namespace penstock {
namespace {

// Where the next U+2581 begins, at or behind `from`; the size of the text where there is none.
std::size_t find_space_symbol(std::string_view text, std::size_t from) {
  while (from < text.size()) {
    const void* const found = std::memchr(text.data() + from, kSpaceSymbol[0], text.size() - from);
    if (found == nullptr) {
      break;
    }
    from = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    if (text.substr(from).starts_with(kSpaceSymbol)) {
      return from;
    }
    ++from;
  }
  return text.size();
}

}  // namespace

char* append_with_spaces(std::string_view text, char* to) {
  std::size_t from = 0;
  for (;;) {
    const std::size_t symbol = find_space_symbol(text, from);
    if (symbol != from) {
      std::memcpy(to, text.data() + from, symbol - from);
      to += symbol - from;
    }
    if (symbol == text.size()) {
      return to;
    }
    *to++ = ' ';
    from = symbol + kSpaceSymbol.size();
  }
}

std::string with_spaces(std::string_view text) {
  std::string result(text.size(), '\0');
  result.resize(static_cast<std::size_t>(append_with_spaces(text, result.data()) - result.data()));
  return result;
}

}  // namespace penstock
