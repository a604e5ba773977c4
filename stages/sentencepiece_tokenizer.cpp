#include "stages/sentencepiece_tokenizer.h"

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <sentencepiece_processor.h>

namespace penstock {
namespace {

// A model is one protocol buffer, whose size is an int.
constexpr std::uintmax_t kLargestModelBytes = std::numeric_limits<std::int32_t>::max();

std::runtime_error load_error(const std::string& path, const std::string& reason) {
  return std::runtime_error("cannot load '" + path + "': " + reason);
}

// Size of the file, after making sure that it can be a model at all.
std::uintmax_t check_model_file(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (error) {
    throw load_error(path, error.message());
  }
  if (std::filesystem::is_directory(status)) {
    throw load_error(path, "it is a directory, expected a SentencePiece model");
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw load_error(path, "it is not a regular file, expected a SentencePiece model");
  }
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) {
    throw load_error(path, error.message());
  }
  if (size == 0) {
    throw load_error(path, "the file is empty, expected a SentencePiece model");
  }
  if (size > kLargestModelBytes) {
    throw load_error(path,
                     "the file has " + std::to_string(size) +
                         " bytes, a SentencePiece model has less than 2 GiB");
  }
  return size;
}

std::string read_model(const std::string& path) {
  std::string bytes(check_model_file(path), '\0');
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    throw load_error(
        path, errno != 0 ? std::generic_category().message(errno) : "the file ended too early");
  }
  return bytes;
}

std::optional<TokenId> if_defined(int id) {
  return id < 0 ? std::nullopt : std::optional<TokenId>(static_cast<TokenId>(id));
}

void check(const sentencepiece::util::Status& status) {
  if (!status.ok()) {
    throw TokenizerError("SentencePiece: " + status.ToString());
  }
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(
      std::unique_ptr<const sentencepiece::SentencePieceProcessor> processor)
      : processor_(std::move(processor)) {}

  void encode(std::string_view text, std::vector<TokenId>& ids) const override {
    std::vector<int> encoded;
    check(processor_->Encode(text, &encoded));
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }

  std::string decode(const std::vector<TokenId>& ids) const override {
    std::vector<int> signed_ids;
    signed_ids.reserve(ids.size());
    for (const TokenId id : ids) {
      if (id >= vocabulary_size()) {
        throw TokenizerError("the id " + std::to_string(id) + " is not in the vocabulary of " +
                             std::to_string(vocabulary_size()) + " ids");
      }
      signed_ids.push_back(static_cast<int>(id));
    }
    std::string text;
    check(processor_->Decode(signed_ids, &text));
    return text;
  }

  std::int64_t vocabulary_size() const override { return processor_->GetPieceSize(); }
  std::optional<TokenId> bos_id() const override { return if_defined(processor_->bos_id()); }
  std::optional<TokenId> eos_id() const override { return if_defined(processor_->eos_id()); }
  std::optional<TokenId> pad_id() const override { return if_defined(processor_->pad_id()); }

 private:
  const std::unique_ptr<const sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace

std::shared_ptr<const Tokenizer> load_sentencepiece(const std::string& path) {
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(read_model(path));
  if (!status.ok()) {
    throw load_error(path, "it is not a SentencePiece model (" + status.ToString() + ")");
  }
  return std::make_shared<SentencePieceTokenizer>(std::move(processor));
}

}  // namespace penstock
