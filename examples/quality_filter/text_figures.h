#pragma once

#include <string>
#include <string_view>
#include <vector>

// What the rules of the quality filter look at. Words are parted by white space, lines by '\n',
// paragraphs by blank lines; blank lines do not count. Shares are of 1; those of nothing are 0.
struct TextFigures {
  double words = 0;
  double word_length = 0;  // mean, in characters
  double alphabetic = 0;   // share of words with at least one letter
  double stop_words = 0;   // different ones
  double symbols = 0;      // '#' or ellipses a word, whichever are more
  double sentences = 0;    // words that end with . ! or ?
  double forbidden = 0;    // different forbidden phrases
  double bullets = 0;      // share of lines that begin with a bullet
  double ellipses = 0;     // share of lines that end with an ellipsis
  // Shares of what has been in the text before, by number and by bytes.
  double repeated_lines = 0;
  double repeated_line_bytes = 0;
  double repeated_paragraphs = 0;
  double repeated_paragraph_bytes = 0;
};

// Measures texts, which must be valid UTF-8. Immutable.
class TextMeter {
 public:
  // Both are compared without regard to the case of ASCII letters.
  TextMeter(std::vector<std::string> stop_words, std::vector<std::string> forbidden);

  TextFigures measure(std::string_view text) const;

 private:
  const std::vector<std::string> stop_words_;  // in lower case, as those below
  const std::vector<std::string> forbidden_;
};
