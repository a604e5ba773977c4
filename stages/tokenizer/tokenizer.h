#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"

namespace penstock {

// A text that a tokenizer cannot encode, or ids that it cannot decode; what() is a reason without a
// final stop.
class TokenizerError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Turns text into token ids, with what one thread keeps for it, such as a cache. One thread uses it
// at a time. It must not outlive the tokenizer that made it.
class Encoder {
 public:
  Encoder() = default;
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  virtual ~Encoder() = default;

  // Appends the ids of `text`, valid UTF-8; adds neither a begin nor an end of its own. Throws
  // TokenizerError and leaves `ids` as they were.
  virtual void encode(std::string_view text, std::vector<TokenId>& ids) = 0;
};

// Knows a vocabulary: makes what encodes with it and turns ids back into text. Immutable once
// built: every thread may use the same one.
class Tokenizer {
 public:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  virtual ~Tokenizer() = default;

  virtual std::unique_ptr<Encoder> make_encoder() const = 0;
  // Throws TokenizerError, for ids outside the vocabulary for instance.
  virtual std::string decode(const std::vector<TokenId>& ids) const = 0;
  // What to make the same tokenizer of again, as the bytes of a file.
  virtual std::string model() const = 0;

  // Which engine encodes and why, as one line without a final stop.
  virtual std::string engine() const = 0;
  virtual std::int64_t vocabulary_size() const = 0;
  // Begin of sequence, end of sequence and padding, where the vocabulary has them.
  virtual std::optional<TokenId> bos_id() const = 0;
  virtual std::optional<TokenId> eos_id() const = 0;
  virtual std::optional<TokenId> pad_id() const = 0;
};

}  // namespace penstock
