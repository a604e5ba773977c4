#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "pipeline/byte_buffer.h"
#include "stages/tokenizer/ascii_mapping.h"
#include "stages/tokenizer/byte_trie.h"
#include "stages/tokenizer/charsmap.h"
#include "stages/tokenizer/code_point_flags.h"
#include "stages/tokenizer/sentencepiece_model.h"
#include "stages/tokenizer/text_kernels.h"

namespace penstock {

// Does to a text what the SentencePiece library does before it looks for pieces, with one
// difference: a space, and a U+2581 that stood in the text, become the byte ' '. (In the library's
// result, and in pieces, both are U+2581.) Immutable: every thread may use the same one.
class Normalizer {
 public:
  // Where all characters that no piece has are the same to who reads the result, `unknown` may
  // stand for them: an ASCII character that is one itself. (It need not stand for all.) Throws
  // ModelRefused for a model whose rules cannot be followed to the letter, or are damaged.
  Normalizer(const SentencePieceModel& model,
             TextKernels kernels,
             std::optional<char> unknown = std::nullopt);

  // Before the result there is a byte, which means nothing: some that go through it look at the
  // byte before each one.
  static constexpr std::size_t kMargin = 1;

  // Returns the result, which `buffer` holds. `text` is valid UTF-8.
  std::string_view normalize(std::string_view text, ByteBuffer& buffer) const;

 private:
  class Run;

  // What comes out for the front of a text.
  struct Step {
    std::string_view output;
    std::size_t length = 0;  // of the text that it stands for
  };

  // How a character is treated, by its flags. One without any is copied, unless the character
  // behind it has kContinues: then the two may be replaced together.
  static constexpr std::uint8_t kNeedsStep = 1;
  static constexpr std::uint8_t kContinues = 2;
  static constexpr std::uint8_t kUnknown = 4;  // unknown_ stands for it

  void keep_known(const SentencePieceModel& model);
  void add_user_defined(const SentencePieceModel& model);
  void add_charsmap_roles();
  void fill_mapping();
  Step step(std::string_view text) const;
  std::string_view without_leading_spaces(std::string_view text) const;

  const TextKernels kernels_;
  const std::optional<char> unknown_;
  Charsmap charsmap_;
  ByteTrie user_defined_;
  bool has_user_defined_ = false;
  bool add_prefix_ = false;
  bool add_suffix_ = false;
  bool removes_spaces_ = false;
  bool copies_ = false;  // all but U+2581 and prefix
  AsciiMapping mapping_;
  CodePointFlags flags_;
};

}  // namespace penstock
