#include "stages/tokenizer/unigram_lattice.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stages/tokenizer/model_refused.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kLettersOfModel = 3;

std::string random_letters(std::mt19937& random, unsigned letters, std::size_t length) {
  std::string text(length, '\0');
  for (char& letter : text) {
    letter = static_cast<char>('a' + random() % letters);
  }
  return text;
}

// Pieces of few letters whose scores are multiples of 1/8, so that ties and near ties abound.
SentencePieceModel model_of_ties(std::mt19937& random, double near) {
  SentencePieceModel model;
  model.pieces.push_back({"<unk>", 0, PieceType::kUnknown});
  for (int i = 0; i < 60; ++i) {
    const std::string text = random_letters(random, kLettersOfModel, 1 + random() % 5);
    bool is_new = true;
    for (const Piece& piece : model.pieces) {
      is_new = is_new && piece.text != text;
    }
    if (is_new) {
      const double score = -1.0 - static_cast<double>(text.size()) -
                           static_cast<double>(random() % 8) / 8 +
                           near * static_cast<double>(random() % 100);
      model.pieces.push_back({text,
                              static_cast<float>(score),
                              random() % 20 == 0 ? PieceType::kUserDefined : PieceType::kNormal});
    }
  }
  return model;
}

TEST(UnigramLattice, ItsProofsHoldForTheLibrarysArithmetic) {
  std::mt19937 random(29);
  UnigramLattice::Workspace workspace;
  std::size_t proved = 0;
  std::size_t differing = 0;
  for (int round = 0; round < 60; ++round) {
    const UnigramLattice lattice(model_of_ties(random, std::ldexp(1.0, -(round % 20) - 2)));
    for (int i = 0; i < 400; ++i) {
      // One letter is in no piece.
      const std::string text = random_letters(random, kLettersOfModel + 1, 1 + random() % 30);
      std::vector<TokenId> path;
      std::vector<UnigramLattice::Proof> proofs;
      lattice.best_path(text, workspace, path, proofs);
      const UnigramLattice::Proof& proof = proofs.front();
      path.resize(proof.num_ids);
      const double scale = std::ldexp(1.0, static_cast<int>(random() % 24));
      const float score =
          -static_cast<float>(scale * (0.5 + static_cast<double>(random() % 1000) / 2000));
      std::vector<TokenId> rounded;
      lattice.rounded_path(text.substr(0, proof.num_bytes), score, workspace, rounded);
      const bool is_proved =
          proof.exponent >= 0 &&
          std::abs(score) + proof.deepest + proof.num_bytes + 1 < std::ldexp(1.0, proof.exponent);
      if (is_proved) {
        ++proved;
        ASSERT_EQ(path, rounded) << text << " behind " << score;
      } else if (path != rounded) {
        ++differing;
      }
    }
  }
  EXPECT_GT(proved, 5000U);
  EXPECT_GT(differing, 100U);  // or nothing would be shown
}

TEST(UnigramLattice, StopsWhereNoPieceCrosses) {
  SentencePieceModel model;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"ab", -1, PieceType::kNormal},
                  {"bc", -2, PieceType::kNormal},
                  {"\xE2\x96\x81", -1, PieceType::kNormal},
                  {"c d", -1, PieceType::kNormal}};
  const UnigramLattice lattice(model);
  UnigramLattice::Workspace workspace;
  std::vector<TokenId> path;
  std::vector<UnigramLattice::Proof> proofs;
  lattice.best_path("abcd d", workspace, path, proofs);
  EXPECT_EQ(path, (std::vector<TokenId>{1, 0, 0, 3, 0}));
  std::vector<std::pair<std::uint32_t, std::uint32_t>> parts;
  for (const UnigramLattice::Proof& proof : proofs) {
    parts.emplace_back(proof.num_bytes, proof.num_ids);
  }
  EXPECT_EQ(parts,
            (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{3, 2}, {1, 1}, {1, 1}, {1, 1}}));
}

TEST(UnigramLattice, LeavesUnusedAndControlPiecesOut) {
  SentencePieceModel model;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"a", -1, PieceType::kUnused},
                  {"b", -1, PieceType::kControl},
                  {"c", -1, PieceType::kNormal}};
  const UnigramLattice lattice(model);
  UnigramLattice::Workspace workspace;
  std::vector<TokenId> path;
  lattice.rounded_path("abc", 0, workspace, path);
  EXPECT_EQ(path, (std::vector<TokenId>{0, 0, 3}));
}

TEST(UnigramLattice, RefusesScoresThatCannotBeAddedUp) {
  SentencePieceModel model;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown}, {"a", NAN, PieceType::kNormal}};
  try {
    UnigramLattice lattice(model);
    FAIL() << "not refused";
  } catch (const ModelRefused& error) {
    EXPECT_THAT(error.what(), HasSubstr("a piece has the score"));
  }
}

}  // namespace
}  // namespace penstock
