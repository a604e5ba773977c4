#include "stages/tokenizer/sentencepiece_tokenizer.h"

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <sentencepiece_processor.h>

#include "pipeline/errors.h"

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
    throw load_error(path, errno != 0 ? error_text(errno) : "the file ended too early");
  }
  return bytes;
}

std::optional<TokenId> if_defined(int id) {
  return id < 0 ? std::nullopt : std::optional<TokenId>(static_cast<TokenId>(id));
}

// What the library says, without the "FILE.cc(LINE) [CONDITION] " of its source that may precede
// it. Empty where nothing else is said.
std::string reason_of(const sentencepiece::util::Status& status) {
  const std::string message = status.message();
  const std::size_t condition = message.find(") [");
  const bool has_source = message.substr(0, condition).find(".cc(") != std::string::npos;
  if (condition == std::string::npos || !has_source) {
    return message;
  }
  const std::size_t reason = message.find_first_not_of(' ', message.find("] ", condition) + 1);
  return reason == std::string::npos ? "" : message.substr(reason);
}

void check(const sentencepiece::util::Status& status) {
  if (!status.ok()) {
    const std::string reason = reason_of(status);
    throw TokenizerError("SentencePiece failed" + (reason.empty() ? reason : ": " + reason));
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
    const std::string reason = reason_of(status);
    throw load_error(path,
                     "it is not a SentencePiece model, or it is damaged" +
                         (reason.empty() ? reason : " (" + reason + ")"));
  }
  return std::make_shared<SentencePieceTokenizer>(std::move(processor));
}

}  // namespace penstock
