#pragma once

#include <set>
#include <string>

namespace penstock::testing {

// As sentencepiece_model.proto numbers them.
enum PieceTypeNumber {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// Writes the bytes of a SentencePiece model, piece by piece.
class ModelWriter {
 public:
  // Leaves out a piece whose text is there already.
  void add_piece(const std::string& text, float score, PieceTypeNumber type);
  void add_byte_pieces();

  struct Flags {
    int type = 1;
    bool byte_fallback = false;
    bool dummy_prefix = true;
    bool whitespace_as_suffix = false;
    bool remove_extra_whitespaces = false;
    std::string charsmap = {};
    std::string denormalizer_charsmap = {};
  };
  // A model with the pieces so far.
  std::string finish(const Flags& flags) const;

 private:
  std::set<std::string> names_;
  std::string bytes_;
};

}  // namespace penstock::testing
