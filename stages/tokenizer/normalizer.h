#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "pipeline/byte_buffer.h"
#include "stages/tokenizer/byte_trie.h"
#include "stages/tokenizer/charsmap.h"
#include "stages/tokenizer/code_point_flags.h"
#include "stages/tokenizer/sentencepiece_model.h"

namespace penstock {

// Does to a text what the SentencePiece library does before it looks for pieces, with one
// difference: a space, and a U+2581 that stood in the text, become the byte ' '. (In the library's
// result, and in pieces, both are U+2581.) Immutable: every thread may use the same one.
class Normalizer {
 public:
  // Throws std::runtime_error with the reason for a model whose rules cannot be followed to the
  // letter, or are damaged.
  explicit Normalizer(const SentencePieceModel& model);

  // Before the result there is a byte, which means nothing: some that go through it look at the
  // byte before each one.
  static constexpr std::size_t kMargin = 1;

  // Returns the result, which `buffer` holds. `text` is valid UTF-8.
  std::string_view normalize(std::string_view text, ByteBuffer& buffer) const;

  // What the library would do with one character after the other: see normalizer.cpp.
  struct Step {
    std::string_view output;
    std::size_t length = 0;  // of the text that it stands for
  };
  Step step(std::string_view text) const;

  // How a character is treated, by its flags. One without any is copied, unless the character
  // behind it has kContinues: then the two may be replaced together.
  static constexpr std::uint8_t kNeedsStep = 1;
  static constexpr std::uint8_t kContinues = 2;

  // ASCII characters as sets: bit `c / 16` of byte `c % 16` is set for the character `c`.
  using AsciiSet = std::array<std::uint8_t, 16>;
  struct Tables {
    AsciiSet becomes_space{};
    AsciiSet becomes_lower_case{};
    AsciiSet needs_step{};
    CodePointFlags flags;
    bool removes_spaces = false;
  };
  const Tables& tables() const noexcept { return tables_; }

 private:
  void add_user_defined(const SentencePieceModel& model);
  void add_charsmap_roles();
  void fill_ascii_sets();

  Charsmap charsmap_;
  ByteTrie user_defined_;
  bool has_user_defined_ = false;
  bool add_prefix_ = false;
  bool add_suffix_ = false;
  bool copies_ = false;  // all but U+2581 and prefix
  Tables tables_;
};

}  // namespace penstock
