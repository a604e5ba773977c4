#include "stages/tokenizer/sentencepiece_tokenizer.h"

#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include <sentencepiece_processor.h>

#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/library_danger.h"
#include "stages/tokenizer/model_file.h"
#include "stages/tokenizer/sentencepiece_model.h"

namespace penstock {
namespace {

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

// A text longer than this is encoded alone. The lock bounds memory; the library is thread-safe
// without it, but needs about 165 bytes for each byte of the text, which no memory credit counts.
constexpr std::size_t kLongTextBytes = std::size_t{1} << 20;

class LibraryEncoder final : public Encoder {
 public:
  LibraryEncoder(const sentencepiece::SentencePieceProcessor& processor, std::mutex& long_texts)
      : processor_(processor), long_texts_(long_texts) {}

  void encode(std::string_view text, std::vector<TokenId>& ids) override {
    std::unique_lock<std::mutex> turn;
    if (text.size() > kLongTextBytes) {
      turn = std::unique_lock(long_texts_);
    }
    encoded_.clear();
    check(processor_.Encode(text, &encoded_));
    ids.insert(ids.end(), encoded_.begin(), encoded_.end());
  }

 private:
  const sentencepiece::SentencePieceProcessor& processor_;
  std::mutex& long_texts_;
  std::vector<int> encoded_;
};

class SentencePieceTokenizer final : public Tokenizer {
 public:
  // `fast` is null where the library is to encode.
  SentencePieceTokenizer(std::unique_ptr<const sentencepiece::SentencePieceProcessor> processor,
                         std::unique_ptr<const FastEngine> fast,
                         std::size_t cache_bytes,
                         std::string engine)
      : processor_(std::move(processor)),
        fast_(std::move(fast)),
        cache_bytes_(cache_bytes),
        engine_(std::move(engine)) {}

  std::unique_ptr<Encoder> make_encoder() const override {
    auto library = std::make_unique<LibraryEncoder>(*processor_, long_texts_);
    return fast_ ? fast_->make_encoder(std::move(library), cache_bytes_) : std::move(library);
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

  std::string model() const override { return processor_->serialized_model_proto(); }
  std::string engine() const override { return engine_; }
  std::int64_t vocabulary_size() const override { return processor_->GetPieceSize(); }
  std::optional<TokenId> bos_id() const override { return if_defined(processor_->bos_id()); }
  std::optional<TokenId> eos_id() const override { return if_defined(processor_->eos_id()); }
  std::optional<TokenId> pad_id() const override { return if_defined(processor_->pad_id()); }

 private:
  const std::unique_ptr<const sentencepiece::SentencePieceProcessor> processor_;
  const std::unique_ptr<const FastEngine> fast_;
  const std::size_t cache_bytes_;
  const std::string engine_;
  mutable std::mutex long_texts_;
};

// The fast engine, if the options ask for one and there is one.
FastEngineResult choose_engine(EngineChoice choice, const SentencePieceModel& model) {
  if (choice == EngineChoice::kLibrary) {
    return {nullptr, "as configured"};
  }
  FastEngineResult result = make_fast_engine(model);
  if (choice == EngineChoice::kFast && !result.engine) {
    throw EngineRefused(result.refusal);
  }
  return result;
}

std::runtime_error no_model_error(const std::string& path, const std::string& reason) {
  return model_file_error(path,
                          "it is not a SentencePiece model, or it is damaged" +
                              (reason.empty() ? reason : " (" + reason + ")"));
}

SentencePieceModel read_model(const std::string& path, const std::string& bytes) {
  try {
    return parse_sentencepiece_model(bytes);
  } catch (const std::runtime_error& error) {
    throw no_model_error(path, error.what());
  }
}

// The library's exceptions are those of the double array that it makes of the pieces.
std::unique_ptr<const sentencepiece::SentencePieceProcessor> load_library(
    const std::string& path, const std::string& bytes) {
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  sentencepiece::util::Status status;
  try {
    status = processor->LoadFromSerializedProto(bytes);
  } catch (const std::exception& error) {
    throw model_file_error(
        path, std::string("the SentencePiece library cannot take it: ") + error.what());
  }
  if (!status.ok()) {
    throw no_model_error(path, reason_of(status));
  }
  return processor;
}

}  // namespace

std::shared_ptr<const Tokenizer> load_sentencepiece(const std::string& path,
                                                    SentencePieceOptions options) {
  const std::string bytes = read_model_file(path);
  const SentencePieceModel model = read_model(path, bytes);
  if (const std::string danger = library_danger(model); !danger.empty()) {
    throw model_file_error(path, danger);
  }
  auto processor = load_library(path, bytes);
  FastEngineResult fast = choose_engine(options.engine, model);
  std::string engine = fast.engine ? "fast engine (" + fast.engine->summary() + ")"
                                   : "SentencePiece library (" + fast.refusal + ")";
  return std::make_shared<SentencePieceTokenizer>(
      std::move(processor), std::move(fast.engine), options.cache_bytes, std::move(engine));
}

}  // namespace penstock
