#include "text_figures.h"

#include <algorithm>
#include <cstddef>
#include <unordered_set>
#include <utility>

#include "pipeline/utf8.h"

namespace {

constexpr std::string_view kSpace = " \t\r\n\v\f";
constexpr std::string_view kEllipsis = "\u2026";

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return lower;
}

std::vector<std::string> lower_case(std::vector<std::string> texts) {
  for (std::string& text : texts) {
    text = lower_case(text);
  }
  return texts;
}

std::string_view trimmed(std::string_view text, std::string_view off) {
  const std::size_t begin = std::min(text.find_first_not_of(off), text.size());
  return text.substr(begin, text.find_last_not_of(off) + 1 - begin);
}

// Takes the part up to the next of `delimiters`, or all of it, off the front of `text`.
std::string_view take_part(std::string_view& text, std::string_view delimiters) {
  const std::size_t size = std::min(text.find_first_of(delimiters), text.size());
  const std::string_view part = text.substr(0, size);
  text.remove_prefix(std::min(size + 1, text.size()));
  return part;
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++times;
  }
  return times;
}

// Without Unicode's tables: nearly right, see README.md.
bool is_letter(char32_t c) {
  if (c < 0x80) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }
  const bool is_symbol = (c >= 0x2000 && c < 0x2c00) || (c >= 0x3000 && c < 0x3040);
  return c >= 0xaa && c < 0x1f000 && !is_symbol;
}

struct WordShape {
  std::size_t characters = 0;
  bool has_letter = false;
};

WordShape shape_of(std::string_view word) {
  WordShape shape;
  while (!word.empty()) {
    const penstock::Utf8Character c = penstock::first_utf8_character(word);
    shape.has_letter = shape.has_letter || is_letter(c.code_point);
    ++shape.characters;
    word.remove_prefix(std::max<std::size_t>(c.length, 1));
  }
  return shape;
}

bool begins_with_bullet(std::string_view line) {
  constexpr std::string_view kBullets[] = {"-", "*", "\u2022", "\u2023", "\u25aa", "\u25cf"};
  return std::any_of(std::begin(kBullets), std::end(kBullets), [line](std::string_view bullet) {
    return line.starts_with(bullet);
  });
}

double share(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

// Counts which lines or paragraphs have been there before.
class Repeats {
 public:
  void add(std::string_view text) {
    const bool is_repeated = !seen_.insert(text).second;
    const auto bytes = static_cast<double>(text.size());
    number_ += 1;
    bytes_ += bytes;
    repeated_ += is_repeated ? 1 : 0;
    repeated_bytes_ += is_repeated ? bytes : 0;
  }
  double number() const { return number_; }
  double repeated() const { return share(repeated_, number_); }
  double repeated_bytes() const { return share(repeated_bytes_, bytes_); }

 private:
  std::unordered_set<std::string_view> seen_;
  double number_ = 0;
  double bytes_ = 0;
  double repeated_ = 0;
  double repeated_bytes_ = 0;
};

bool ends_sentence(std::string_view word) {
  const std::size_t last = word.find_last_not_of("\"')]");
  return last != std::string_view::npos &&
         (word[last] == '.' || word[last] == '!' || word[last] == '?');
}

}  // namespace

TextMeter::TextMeter(std::vector<std::string> stop_words, std::vector<std::string> forbidden)
    : stop_words_(lower_case(std::move(stop_words))),
      forbidden_(lower_case(std::move(forbidden))) {}

TextFigures TextMeter::measure(std::string_view text) const {
  const std::string lower = lower_case(text);
  TextFigures figures;  // sums first, then divided
  std::unordered_set<std::string_view> stop_words_found;
  Repeats lines;
  Repeats paragraphs;

  const auto add_word = [&](std::string_view word) {
    const WordShape shape = shape_of(word);
    figures.words += 1;
    figures.word_length += static_cast<double>(shape.characters);
    figures.alphabetic += shape.has_letter ? 1 : 0;
    figures.sentences += ends_sentence(word) ? 1 : 0;
    const std::string_view bare = trimmed(word, ".,;:!?\"'()[]");
    if (std::find(stop_words_.begin(), stop_words_.end(), bare) != stop_words_.end()) {
      stop_words_found.insert(bare);
    }
  };

  std::string_view rest = lower;
  std::string_view paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty()) {
      paragraphs.add(std::exchange(paragraph, {}));
    }
  };
  while (!rest.empty()) {
    std::string_view line = trimmed(take_part(rest, "\n"), kSpace);
    if (line.empty()) {
      end_paragraph();
      continue;
    }
    const char* const begin = paragraph.empty() ? line.data() : paragraph.data();
    paragraph = {begin, static_cast<std::size_t>(line.data() + line.size() - begin)};
    lines.add(line);
    figures.bullets += begins_with_bullet(line) ? 1 : 0;
    figures.ellipses += line.ends_with("...") || line.ends_with(kEllipsis) ? 1 : 0;
    while (!line.empty()) {
      if (const std::string_view word = take_part(line, kSpace); !word.empty()) {
        add_word(word);
      }
    }
  }
  end_paragraph();

  const auto num_ellipses = count(lower, "...") + count(lower, kEllipsis);
  const auto has_phrase = [&lower](const std::string& phrase) {
    return lower.find(phrase) != std::string::npos;
  };
  figures.word_length = share(figures.word_length, figures.words);
  figures.alphabetic = share(figures.alphabetic, figures.words);
  figures.stop_words = static_cast<double>(stop_words_found.size());
  figures.symbols =
      share(static_cast<double>(std::max(count(lower, "#"), num_ellipses)), figures.words);
  figures.forbidden =
      static_cast<double>(std::count_if(forbidden_.begin(), forbidden_.end(), has_phrase));
  figures.bullets = share(figures.bullets, lines.number());
  figures.ellipses = share(figures.ellipses, lines.number());
  figures.repeated_lines = lines.repeated();
  figures.repeated_line_bytes = lines.repeated_bytes();
  figures.repeated_paragraphs = paragraphs.repeated();
  figures.repeated_paragraph_bytes = paragraphs.repeated_bytes();
  return figures;
}
