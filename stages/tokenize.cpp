#include "stages/tokenize.h"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "stages/content_fingerprint.h"
#include "stages/tokenizer/model_file.h"
#include "stages/tokenizer/sentencepiece_tokenizer.h"

namespace penstock {
namespace {

// What English text has at least with a vocabulary of usual size.
constexpr std::size_t kTextBytesPerToken = 4;

// Memory credits count capacity: what a chunk of short tokens made the ids grow by beyond a quarter
// more than they need is worth a copy to give back.
void give_back_unused(std::vector<TokenId>& ids) {
  if (ids.capacity() > ids.size() + ids.size() / 4) {
    ids.shrink_to_fit();
  }
}

class Decoder final : public TokenDecoder {
 public:
  explicit Decoder(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}

  std::string decode(const std::vector<TokenId>& ids) const override {
    return tokenizer_->decode(ids);
  }
  std::string model() const override { return tokenizer_->model(); }

 private:
  const std::shared_ptr<const Tokenizer> tokenizer_;
};

EngineChoice to_engine_choice(const std::string& text) {
  if (text == "fast") {
    return EngineChoice::kFast;
  }
  return text == "library" ? EngineChoice::kLibrary : EngineChoice::kAuto;
}

std::shared_ptr<const Tokenizer> load_model(const StageConfig& config, FileClaims& files) {
  const std::string& path = config.text("model");
  try {
    files.add_input(path);
    return load_sentencepiece(path,
                              {.engine = to_engine_choice(config.text("engine")),
                               .cache_bytes = static_cast<std::size_t>(config.integer("cache"))});
  } catch (const EngineRefused& refusal) {
    throw config.error("engine",
                       "got 'fast', but the fast engine cannot be used with the model '" + path +
                           "': " + refusal.what() + "; 'auto' takes the library then");
  } catch (const std::runtime_error& error) {
    throw config.error("model", error.what());
  }
}

// The id to add, if the option asks for one.
std::optional<TokenId> wanted(const StageConfig& config,
                              const std::string& option,
                              const std::string& kind,
                              std::optional<TokenId> id) {
  if (!config.boolean(option)) {
    return std::nullopt;
  }
  if (!id) {
    throw config.error(
        option, "got 'true', but the model '" + config.text("model") + "' has no " + kind + " id");
  }
  return id;
}

InstanceFactory make_factory(const StageConfig& config, const BuildContext& context) {
  std::shared_ptr<const Tokenizer> tokenizer = load_model(config, context.files);
  const Tokenize::Options options{wanted(config, "add_bos", "bos", tokenizer->bos_id()),
                                  wanted(config, "add_eos", "eos", tokenizer->eos_id())};
  context.stream.fingerprint[context.own_row.name + ".model"] =
      describe_content(read_model_file(config.text("model")));
  context.stream.vocabulary_size = tokenizer->vocabulary_size();
  context.stream.pad_id = tokenizer->pad_id();
  context.stream.eos_id = tokenizer->eos_id();
  context.stream.decoder = std::make_shared<Decoder>(tokenizer);
  context.own_row.note = tokenizer->engine();
  return [tokenizer = std::move(tokenizer), options] {
    return std::make_unique<Tokenize>(tokenizer, options);
  };
}

}  // namespace

Tokenize::Tokenize(std::shared_ptr<const Tokenizer> tokenizer, Options options)
    : tokenizer_(std::move(tokenizer)), encoder_(tokenizer_->make_encoder()), options_(options) {}

TokenChunk Tokenize::process(DocumentChunk chunk) {
  auto tokens = continue_chunk<TokenChunk>(chunk);
  std::size_t text_bytes = 0;
  for (const Document& document : chunk.documents) {
    text_bytes += document.text.size();
  }
  tokens.ids.reserve(text_bytes / kTextBytesPerToken);
  tokens.documents.reserve(chunk.documents.size());
  for (const Document& document : chunk.documents) {
    const std::size_t begin = tokens.ids.size();
    try {
      append(document, tokens);
    } catch (const TokenizerError& error) {
      tokens.ids.resize(begin);
      tokens.rejects.push_back({{tokens.position.shard, document.record, document.byte_offset},
                                error.what(),
                                std::string(document.text),
                                std::ssize(document.text),
                                {}});
    }
  }
  give_back_unused(tokens.ids);
  release(chunk, tokens.spare);
  return tokens;
}

void Tokenize::append(const Document& document, TokenChunk& tokens) {
  std::vector<TokenId>& ids = tokens.ids;
  const std::size_t begin = ids.size();
  if (options_.bos_id) {
    ids.push_back(*options_.bos_id);
  }
  const std::size_t text_begin = ids.size();
  encoder_->encode(document.text, ids);
  if (ids.size() == text_begin) {
    ids.resize(begin);
  } else if (options_.eos_id) {
    ids.push_back(*options_.eos_id);
  }
  tokens.documents.push_back({std::ssize(ids), document.record, document.byte_offset});
}

void register_tokenize(StageRegistry& registry) {
  registry.add(
      {"tokenize",
       "Turns documents into token ids with a SentencePiece model.",
       Payload::kDocuments,
       Payload::kTokens,
       Ordering::kParallel,
       {Option::text("model", "Path of the SentencePiece model, of any type."),
        Option::boolean("add_bos",
                        "Whether the model's begin-of-sequence id goes before every document.")
            .or_else(false),
        Option::boolean("add_eos",
                        "Whether the model's end-of-sequence id goes behind every document.")
            .or_else(false),
        Option::choice("engine",
                       "What encodes: the SentencePiece library, an engine of our own that gives "
                       "the same ids much faster, or the fast one where it can be proved to do so "
                       "with this model (penstock inspect-model shows the proof).",
                       {"auto", "fast", "library"})
            .or_else(std::string("auto"))
            .without_effect_on_stream(),
        Option::bytes("cache",
                      "Memory of each thread for words that it has seen; only the fast engine has "
                      "it. It is a fixed size, whatever the input is.")
            .in_range(0, 68719476736.0)
            .or_else(std::int64_t{16} << 20)
            .without_effect_on_stream()},
       StageFactory(make_factory)});
}

}  // namespace penstock
