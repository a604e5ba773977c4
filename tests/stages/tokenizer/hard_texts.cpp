#include "tests/stages/tokenizer/hard_texts.h"

#include <algorithm>
#include <random>
#include <sstream>

#include <nlohmann/json.hpp>

#include "pipeline/utf8.h"
#include "tests/stages/built_transform.h"

namespace penstock::testing {
namespace {

std::string utf8(char32_t character) {
  const auto byte = [](char32_t value) { return static_cast<char>(value); };
  if (character < 0x80) {
    return {byte(character)};
  }
  if (character < 0x800) {
    return {byte(0xC0 | character >> 6), byte(0x80 | (character & 0x3F))};
  }
  if (character < 0x10000) {
    return {byte(0xE0 | character >> 12),
            byte(0x80 | (character >> 6 & 0x3F)),
            byte(0x80 | (character & 0x3F))};
  }
  return {byte(0xF0 | character >> 18),
          byte(0x80 | (character >> 12 & 0x3F)),
          byte(0x80 | (character >> 6 & 0x3F)),
          byte(0x80 | (character & 0x3F))};
}

const std::vector<std::string> kFragments = {" ",
                                             "  ",
                                             "   ",
                                             "        ",
                                             "\xE2\x96\x81",
                                             "\xE2\x96\x81\xE2\x96\x81",
                                             " \xE2\x96\x81 ",
                                             "\xE2\x96",
                                             "\n",
                                             "\n\n",
                                             "\t",
                                             "\r\n",
                                             "a",
                                             "the",
                                             " The",
                                             " quick",
                                             "ing",
                                             "tion",
                                             ",",
                                             ".",
                                             ", ",
                                             ". ",
                                             "...",
                                             "--",
                                             "====",
                                             "________",
                                             "0",
                                             "2026",
                                             " 1,000",
                                             "<s>",
                                             "</s>",
                                             "<unk>",
                                             "<0x0A>",
                                             "[",
                                             "<",
                                             "\xC3\xA9",
                                             "e\xCC\x81",
                                             "\xCC\x81",
                                             "\xEF\xAC\x81",
                                             "\xE2\x80\xA6",
                                             "\xE2\x80\x9C",
                                             "\xE3\x80\x80",
                                             "\xC2\xA0",
                                             "\xE6\xBC\xA2\xE5\xAD\x97",
                                             "\xE3\x81\xAE",
                                             "\xD0\xBF\xD1\x80\xD0\xB8",
                                             "\xF0\x9F\x98\x80",
                                             "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9",
                                             "\xE2\x80\x8B",
                                             "\xEF\xBB\xBF",
                                             "\x01",
                                             "\x7F",
                                             "\xED\x95\x9C",
                                             "\xEF\xBC\xA1",
                                             "\xE2\x82\xAC",
                                             "-",
                                             "(",
                                             ")",
                                             "\"",
                                             "'s",
                                             "fi",
                                             "AAAAAAAAAAAAAAAA",
                                             "https://example.org/a_b?c=d&e=%20",
                                             "\xEF\xBF\xBD",
                                             "\xE1\x88\xB0\xE1\x88\x8B\xE1\x88\x9D",
                                             "\xE0\xB8\xAA\xE0\xB8\xA7\xE0\xB8\xB1"};

char32_t random_character(std::mt19937& random) {
  switch (random() % 4) {
    case 0:
      return 33 + random() % 94;
    case 1:
      return random() % 0x300;
    case 2:
      return 0xA0 + random() % 0x2500;
    default: {
      const char32_t character = random() % 0x20000;
      return character >= 0xD800 && character < 0xE000 ? U'\x4E00' : character;
    }
  }
}

// Pieces of the model, special ones above all, and how they begin.
std::vector<std::string> pieces_of(const SentencePieceModel& model, std::mt19937& random) {
  std::vector<std::string> pieces;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kUserDefined) {
      pieces.push_back(piece.text);
      pieces.push_back(piece.text.substr(0, piece.text.size() / 2));
      pieces.push_back(piece.text + piece.text);
    }
  }
  for (int i = 0; i < 60; ++i) {
    pieces.push_back(model.pieces[random() % model.pieces.size()].text);
  }
  return pieces;
}

// Half a user-defined symbol may be half a character.
std::string valid_utf8(const std::string& text) {
  std::string valid;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = first_utf8_character(std::string_view(text).substr(at)).length;
    valid += text.substr(at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return valid;
}

}  // namespace

std::vector<std::string> hard_texts(const SentencePieceModel& model, std::size_t count) {
  std::mt19937 random(5);
  const std::vector<std::string> pieces = pieces_of(model, random);
  std::vector<std::string> texts = {"", " ", "a", std::string(1, '\0')};
  while (texts.size() < count) {
    const std::size_t num_fragments = 1 + random() % (texts.size() % 50 == 0 ? 400 : 14);
    std::string text;
    for (std::size_t i = 0; i < num_fragments; ++i) {
      switch (random() % 10) {
        case 0:
        case 1:
          text += utf8(random_character(random));
          break;
        case 2:
        case 3:
          text += pieces[random() % pieces.size()];
          break;
        default:
          text += kFragments[random() % kFragments.size()];
      }
    }
    if (texts.size() % 500 == 0) {
      text += std::string(3000, 'x') + utf8(random_character(random)) + std::string(1500, '-');
    }
    texts.push_back(valid_utf8(text));
  }
  return texts;
}

std::vector<std::string> sample_documents(std::size_t count) {
  std::vector<std::string> texts;
  for (const char* shard : {"sample_00.jsonl.zst", "sample_01.jsonl.zst"}) {
    const std::string bytes =
        read_zstd_file(std::string(PENSTOCK_SOURCE_DIR "/data/sample/") + shard);
    const auto lines = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
    const std::size_t step = std::max<std::size_t>(1, 2 * lines / count);
    std::istringstream stream(bytes);
    std::size_t number = 0;
    for (std::string line; std::getline(stream, line);) {
      if (number++ % step == 0) {
        texts.push_back(nlohmann::json::parse(line).at("text").get<std::string>());
      }
    }
  }
  return texts;
}

}  // namespace penstock::testing
