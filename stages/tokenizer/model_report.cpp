#include "stages/tokenizer/model_report.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/model_file.h"
#include "stages/tokenizer/sentencepiece_model.h"
#include "stages/tokenizer/sentencepiece_tokenizer.h"
#include "stages/tokenizer/text_kernels.h"

namespace penstock {
namespace {

std::string row(std::string_view name, const std::string& text) {
  constexpr std::size_t kNameWidth = 16;
  std::string line = "  " + std::string(name);
  line.resize(std::max(line.size() + 1, kNameWidth), ' ');
  return line + text + '\n';
}

std::string count_pieces(const SentencePieceModel& model) {
  struct Kind {
    PieceType type;
    std::string_view name;
  };
  constexpr std::array<Kind, 6> kKinds = {{{PieceType::kNormal, "normal"},
                                           {PieceType::kUserDefined, "user-defined"},
                                           {PieceType::kControl, "control"},
                                           {PieceType::kUnknown, "unknown"},
                                           {PieceType::kByte, "byte"},
                                           {PieceType::kUnused, "unused"}}};
  std::string text = std::to_string(model.pieces.size());
  const char* separator = ": ";
  for (const Kind& kind : kKinds) {
    const auto count = std::count_if(model.pieces.begin(),
                                     model.pieces.end(),
                                     [&](const Piece& piece) { return piece.type == kind.type; });
    if (count > 0) {
      text += separator + std::to_string(count) + ' ' + std::string(kind.name);
      separator = ", ";
    }
  }
  return text;
}

std::string describe_normalizer(const SentencePieceModel& model) {
  const NormalizerSpec& spec = model.normalizer;
  std::string text = spec.name.empty() ? "without a name" : spec.name;
  text += spec.charsmap.empty() ? ", changes no characters"
                                : ", a table of " + std::to_string(spec.charsmap.size()) + " bytes";
  text += spec.add_dummy_prefix ? ", adds a space to each text" : ", adds no space";
  if (spec.add_dummy_prefix && model.treat_whitespace_as_suffix) {
    text += " at its end";
  }
  text += spec.remove_extra_whitespaces ? ", removes extra spaces" : ", keeps extra spaces";
  return text + (spec.escape_whitespaces ? "" : ", leaves spaces as they are");
}

// The text in quotes, with what does not print as \xHH.
std::string quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string result = "'";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte == 0x7F) {
      result += std::string("\\x") + kDigits[byte >> 4U] + kDigits[byte & 0xFU];
    } else {
      result += character;
    }
  }
  return result + "'";
}

std::string list_user_defined(const SentencePieceModel& model) {
  constexpr std::size_t kShown = 20;
  std::string text;
  std::size_t count = 0;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kUserDefined && count++ < kShown) {
      text += (text.empty() ? "" : " ") + quoted(piece.text);
    }
  }
  if (count > kShown) {
    text += " and " + std::to_string(count - kShown) + " more";
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::string model_report(const std::string& path) {
  const auto tokenizer = load_sentencepiece(path, {});
  const SentencePieceModel model = parse_sentencepiece_model(read_model_file(path));
  std::string text = path + ": a SentencePiece model of the type " + to_string(model.type) + "\n";
  text += row("pieces", count_pieces(model));
  text += row("normalizer", describe_normalizer(model));
  text += row("unknown", model.byte_fallback ? "a piece for each byte" : "one id for each run");
  text += row("user-defined", list_user_defined(model));
  text += row("engine", tokenizer->engine());
  std::string levels;
  for (const std::string& level : simd_levels()) {
    levels += (levels.empty() ? "" : ", ") + level;
  }
  text += row("SIMD", "of this machine, the best first: " + levels);
  const FastEngineResult fast = make_fast_engine(model);
  return fast.engine ? text + '\n' + fast.engine->report() : text;
}

}  // namespace penstock
