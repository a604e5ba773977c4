#include "tests/stages/tokenizer/adversarial_text.h"

namespace penstock::testing {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kFragments[] = {
    " ",
    "  ",
    "   ",
    "        ",
    "\xE2\x96\x81",
    "\xE2\x96\x81\xE2\x96\x81",
    " \xE2\x96\x81 ",
    "\xE2\x96\x82",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "\0"sv,
    "\x01",
    "\x7F",
    "a",
    "the",
    " The",
    " quick",
    "'s",
    "fi",
    ",",
    ".",
    "...",
    "--",
    "-",
    "====",
    "________",
    "(",
    ")",
    "\"",
    "<",
    "{}",
    "0",
    "2026",
    "1,000.50",
    "AAAAAAAAAAAAAAAA",
    "internationalization",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<0x0A>",
    "<eop>",
    "<mask>",
    "<sep_0>",
    "[REFERENCE_DOC_19]",
    "[REFERENCE_DOC_",
    "<extra_id_0>",
    "\xC3\xA9",
    "e\xCC\x81",
    "\xCC\x81",
    ">\xCC\xB8",
    " \xCC\x81",
    "\xEF\xAC\x81",
    "\xE2\x80\xA6",
    "\xE3\x80\x80",
    "\xC2\xA0",
    "\xE2\x80\x8B",
    "\xEF\xBB\xBF",
    "\xC2\xB4",
    "\xE2\x82\xAC",
    "\xEF\xBC\xA1",
    "\xEF\xBC\x9Csep",
    "\xEF\xB7\xBA",
    "\xE3\x81\x8B\xE3\x82\x99",
    "\xE6\xBC\xA2\xE5\xAD\x97",
    "\xD0\xBF\xD1\x80\xD0\xB8",
    "\xED\x95\x9C",
    "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB",
    "\xF0\x9F\x98\x80",
    "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9",
};

}  // namespace

std::string utf8_of(char32_t code_point) {
  std::string text;
  const auto continuation = [&](unsigned shift) {
    text += static_cast<char>(0x80U | (code_point >> shift & 0x3FU));
  };
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    text += static_cast<char>(0xC0U | code_point >> 6U);
    continuation(0);
  } else if (code_point < 0x10000) {
    text += static_cast<char>(0xE0U | code_point >> 12U);
    continuation(6);
    continuation(0);
  } else {
    text += static_cast<char>(0xF0U | code_point >> 18U);
    continuation(12);
    continuation(6);
    continuation(0);
  }
  return text;
}

std::string AdversarialText::next() {
  ++num_texts_;
  std::string text;
  const unsigned parts = 1 + below(num_texts_ % 50 == 0 ? 400 : 14);
  for (unsigned i = 0; i < parts; ++i) {
    text += fragment();
  }
  if (num_texts_ % 977 == 0) {
    text += std::string(3000, 'x');
  }
  return text;
}

std::string AdversarialText::fragment() {
  const unsigned kind = below(10);
  if (kind < 2 && !fragments_.empty()) {
    return fragments_[below(static_cast<unsigned>(fragments_.size()))];
  }
  if (kind < 7) {
    return std::string(kFragments[below(std::size(kFragments))]);
  }
  if (kind == 7) {
    return utf8_of(U'!' + below(94));
  }
  if (kind == 8) {
    return utf8_of(0xA0 + below(0x2500));
  }
  const char32_t code_point = 1 + below(0x1FFFF);
  const bool is_surrogate = code_point >= 0xD800 && code_point < 0xE000;
  return utf8_of(is_surrogate ? 0x4E00 : code_point);
}

}  // namespace penstock::testing
