#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

std::string utf8_of(char32_t code_point);

// Makes texts out of what tokenizers get wrong: runs of spaces, U+2581 in the text, control and
// zero bytes, marks that combine, special pieces, emoji, unknown scripts, very long words. Valid
// UTF-8.
class AdversarialText {
 public:
  explicit AdversarialText(unsigned seed) : random_(seed) {}

  // Texts will also have this in them.
  void add_fragment(std::string fragment) { fragments_.push_back(std::move(fragment)); }
  std::string next();

 private:
  std::string fragment();
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

  std::mt19937 random_;
  unsigned num_texts_ = 0;
  std::vector<std::string> fragments_;
};

}  // namespace penstock::testing
