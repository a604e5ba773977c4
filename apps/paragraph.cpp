#include "apps/paragraph.h"

#include <algorithm>
#include <cstddef>

namespace penstock {

std::string paragraph(const std::string& head, const std::string& text) {
  constexpr std::size_t kColumns = 100;
  std::string lines = head;
  std::size_t column = head.size();
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (column + 1 + end - begin > kColumns) {
      lines += '\n' + std::string(head.size(), ' ');
      column = head.size();
    }
    lines += ' ' + text.substr(begin, end - begin);
    column += 1 + end - begin;
    begin = end + 1;
  }
  return lines + '\n';
}

}  // namespace penstock
