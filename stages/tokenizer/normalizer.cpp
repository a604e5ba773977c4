#include "stages/tokenizer/normalizer.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "pipeline/utf8.h"
#include "stages/tokenizer/normalizer_run.h"

// The library's algorithm, with a space where it has U+2581: at every place of the text, a
// user-defined symbol stands for itself, else the longest rule of the charsmap applies, else a
// character is copied. Where extra white space is removed, spaces at the front of what comes out
// are left out when what came out before ended with one, or nothing did, and at the end of the text
// all trailing ones are taken back. (A U+2581 in the text is not a space to the first part of this,
// but is to the second.)
namespace penstock {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
constexpr char32_t kSpaceMarkCodePoint = 0x2581;
constexpr char32_t kAsciiEnd = 0x80;

void add_to(Normalizer::AsciiSet& set, char32_t character) {
  set[character % 16] |= static_cast<std::uint8_t>(1U << character / 16);
}

// Copies `text` with a space for each U+2581; returns the end of the copy.
char* copy_with_spaces(std::string_view text, char* out) {
  for (;;) {
    const std::size_t mark = std::min(text.find(kSpaceMark), text.size());
    std::memcpy(out, text.data(), mark);
    out += mark;
    if (mark == text.size()) {
      return out;
    }
    *out++ = ' ';
    text.remove_prefix(mark + kSpaceMark.size());
  }
}

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

Normalizer::Normalizer(const SentencePieceModel& model)
    : add_prefix_(model.normalizer.add_dummy_prefix && !model.treat_whitespace_as_suffix),
      add_suffix_(model.normalizer.add_dummy_prefix && model.treat_whitespace_as_suffix) {
  if (!model.normalizer.escape_whitespaces) {
    throw std::runtime_error("it does not escape white space");
  }
  tables_.removes_spaces = model.normalizer.remove_extra_whitespaces;
  if (!model.normalizer.charsmap.empty()) {
    charsmap_ = Charsmap(model.normalizer.charsmap);
  }
  copies_ = charsmap_.empty() && !tables_.removes_spaces;
  add_user_defined(model);
  add_charsmap_roles();
  tables_.flags.add(kSpaceMarkCodePoint, kNeedsStep);
  fill_ascii_sets();
}

// The text is only looked at for a user-defined symbol where that can make a difference: where it
// keeps a rule from being applied, or keeps spaces. Of one character, it keeps that character from
// being replaced on its own, or with those behind it, where there is a step in any case.
void Normalizer::add_user_defined(const SentencePieceModel& model) {
  std::vector<ByteTrie::Entry> entries;
  for (const Piece& piece : model.pieces) {
    if (piece.type != PieceType::kUserDefined) {
      continue;
    }
    if (!is_utf8(piece.text) || piece.text.find('\0') != std::string::npos) {
      throw std::runtime_error("a user-defined symbol is not valid UTF-8 or has a zero byte");
    }
    const Utf8Character first = first_utf8_character(piece.text);
    const bool has_space = piece.text.find(' ') != std::string::npos;
    if (charsmap_.empty() && !has_space) {
      continue;
    }
    entries.push_back({piece.text, 0});
    if (has_space || first.length < piece.text.size() ||
        charsmap_.longest_rule(piece.text).length > 0) {
      tables_.flags.add(first.code_point, kNeedsStep);
    }
  }
  has_user_defined_ = !entries.empty();
  user_defined_ = ByteTrie(std::move(entries));
}

void Normalizer::add_charsmap_roles() {
  charsmap_.visit_roles([this](char32_t code_point, Charsmap::Role role) {
    std::uint8_t flags = role.continues ? kContinues : 0;
    if (role.is_replaced && code_point >= kAsciiEnd) {
      flags |= kNeedsStep;
    }
    tables_.flags.add(code_point, flags);
  });
}

void Normalizer::fill_ascii_sets() {
  for (char32_t character = 0; character < kAsciiEnd; ++character) {
    const char text = static_cast<char>(character);
    const Charsmap::Rule rule = charsmap_.longest_rule({&text, 1});
    const std::string_view becomes =
        rule.length == 0 ? std::string_view(&text, 1) : rule.replacement;
    const bool is_upper = text >= 'A' && text <= 'Z';
    const char lower = static_cast<char>(text | 0x20);
    if (tables_.flags[character] != 0) {
      add_to(tables_.needs_step, character);
    } else if (becomes == " ") {
      add_to(tables_.becomes_space, character);
    } else if (is_upper && becomes == std::string_view(&lower, 1)) {
      add_to(tables_.becomes_lower_case, character);
    } else if (becomes != std::string_view(&text, 1)) {
      add_to(tables_.needs_step, character);
    }
  }
}

Normalizer::Step Normalizer::step(std::string_view text) const {
  if (has_user_defined_) {
    const std::size_t length = user_defined_.longest_prefix(text).length;
    if (length > 0) {
      return {text.substr(0, length), length};
    }
  }
  const Charsmap::Rule rule = charsmap_.longest_rule(text);
  if (rule.length > 0) {
    return {rule.replacement, rule.length};
  }
  // One byte at least, so that text which is not valid UTF-8 comes to an end, too.
  const std::size_t length = std::max<std::size_t>(1, first_utf8_character(text).length);
  return {text.substr(0, length), length};
}

std::string_view Normalizer::normalize(std::string_view text, ByteBuffer& buffer) const {
  if (tables_.removes_spaces) {
    while (!text.empty()) {
      const Step first = step(text);
      if (first.output != " ") {
        break;
      }
      text.remove_prefix(first.length);
    }
  }
  if (text.empty()) {
    return {};
  }
  NormalizerRun run(*this, text, buffer);
  if (add_prefix_) {
    *run.out++ = ' ';
  }
  if (copies_) {
    run.out = copy_with_spaces(text, run.out);
  } else {
    normalize_blocks(tables_, run);
  }
  const char* const begin = buffer.data() + kMargin;
  if (tables_.removes_spaces) {
    while (run.out > begin && run.out[-1] == ' ') {
      --run.out;
    }
  }
  if (add_suffix_) {
    *run.out++ = ' ';
  }
  buffer.resize(static_cast<std::size_t>(run.out - buffer.data()));
  return between(begin, run.out);
}

NormalizerRun::NormalizerRun(const Normalizer& text_normalizer,
                             std::string_view text,
                             ByteBuffer& text_buffer)
    : normalizer(text_normalizer),
      buffer(text_buffer),
      in(text.data()),
      end(text.data() + text.size()),
      out(nullptr),
      removes_spaces(text_normalizer.tables().removes_spaces),
      after_space(removes_spaces) {
  // A prefix or a suffix, and what is written behind the end of a block.
  buffer.clear();
  buffer.reserve(Normalizer::kMargin + text.size() + 1 + kBlock);
  *buffer.data() = 0;
  out = buffer.data() + Normalizer::kMargin;
}

void NormalizerRun::step() {
  const Normalizer::Step done = normalizer.step(between(in, end));
  in += done.length;
  std::string_view output = done.output;
  while (after_space && output.starts_with(' ')) {
    output.remove_prefix(1);
  }
  if (output.empty()) {
    return;
  }
  after_space = removes_spaces && output.ends_with(' ');
  const auto written = static_cast<std::size_t>(out - buffer.data());
  const std::size_t needed =
      written + output.size() + static_cast<std::size_t>(end - in) + 1 + kBlock;
  if (needed > buffer.capacity()) {
    buffer.resize(written);
    buffer.reserve(needed + buffer.capacity() / 2);
    out = buffer.data() + written;
  }
  out = copy_with_spaces(output, out);
}

}  // namespace penstock
