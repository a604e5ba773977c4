#include "tests/stages/tokenizer/model_writer.h"

#include <protozero/pbf_writer.hpp>

namespace penstock::testing {

void ModelWriter::add_piece(const std::string& text, float score, PieceTypeNumber type) {
  if (!names_.insert(text).second) {
    return;
  }
  std::string piece;
  protozero::pbf_writer writer(piece);
  writer.add_string(1, text);
  writer.add_float(2, score);
  writer.add_enum(3, type);
  protozero::pbf_writer(bytes_).add_message(1, piece);
}

void ModelWriter::add_byte_pieces() {
  for (unsigned byte = 0; byte < 256; ++byte) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    add_piece(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", 0, kByte);
  }
}

std::string ModelWriter::finish(const Flags& flags) const {
  std::string trainer;
  protozero::pbf_writer trainer_writer(trainer);
  trainer_writer.add_enum(3, flags.type);
  trainer_writer.add_bool(24, flags.whitespace_as_suffix);
  trainer_writer.add_bool(35, flags.byte_fallback);
  std::string normalizer;
  protozero::pbf_writer normalizer_writer(normalizer);
  if (!flags.charsmap.empty()) {
    normalizer_writer.add_bytes(2, flags.charsmap);
  }
  normalizer_writer.add_bool(3, flags.dummy_prefix);
  normalizer_writer.add_bool(4, flags.remove_extra_whitespaces);
  std::string bytes = bytes_;
  protozero::pbf_writer writer(bytes);
  writer.add_message(2, trainer);
  writer.add_message(3, normalizer);
  if (!flags.denormalizer_charsmap.empty()) {
    std::string denormalizer;
    protozero::pbf_writer(denormalizer).add_bytes(2, flags.denormalizer_charsmap);
    writer.add_message(5, denormalizer);
  }
  return bytes;
}

}  // namespace penstock::testing
