#include "bench/bench_parts.h"

#include <algorithm>
#include <utility>

#include "stages/register_stages.h"

namespace penstock::bench {
namespace {

class ByteTokens final : public Transform<DocumentChunk, TokenChunk> {
 public:
  explicit ByteTokens(const StageConfig& config)
      : bytes_per_token_(static_cast<std::size_t>(config.integer("bytes_per_token"))) {}

  TokenChunk process(DocumentChunk chunk) override {
    auto tokens = continue_chunk<TokenChunk>(chunk);
    std::size_t size = 0;
    for (const Document& document : chunk.documents) {
      size += document.text.size() / bytes_per_token_ + 1;
    }
    tokens.ids.reserve(size);
    tokens.documents.reserve(chunk.documents.size());
    for (const Document& document : chunk.documents) {
      for (std::size_t at = 0; at < document.text.size(); at += bytes_per_token_) {
        tokens.ids.push_back(static_cast<unsigned char>(document.text[at]));
      }
      tokens.documents.push_back({std::ssize(tokens.ids), document.record, document.byte_offset});
    }
    release(chunk, tokens.spare);
    return tokens;
  }

 private:
  const std::size_t bytes_per_token_;
};

}  // namespace

StageRegistry bench_registry() {
  StageRegistry registry;
  register_stages(registry);
  registry.add_transform<ByteTokens>(
      "byte_tokens",
      "The bytes of the text as tokens.",
      {Option::integer("bytes_per_token", "Every n-th byte is a token, the first one included.")
           .in_range(1, 64)
           .or_else(std::int64_t{1})});
  return registry;
}

PipelineConfig bench_config(const std::vector<std::string>& paths,
                            const std::string& tokenizer,
                            int threads,
                            int lanes,
                            const std::vector<std::string>& overrides) {
  std::string list;
  for (const std::string& path : paths) {
    list += (list.empty() ? "'" : ", '") + path + "'";
  }
  const std::string yaml = "threads: " + std::to_string(threads) +
                           "\npipeline:\n- read: {lanes: " + std::to_string(lanes) + ", paths: [" +
                           list + "]}\n- parse\n- " + tokenizer +
                           "\n- pack: {batch_size: 8, sequence_length: 1024}\n- discard\n";
  return parse_config(yaml, "bench.yaml", bench_registry(), overrides);
}

LooseParts::LooseParts(const PipelineConfig& config, const StageRegistry& registry) {
  StageMetrics& row = metrics_.add("all", 1);
  for (const StageConfig& stage : config.stages) {
    const StageType& type = *registry.find(stage.stage());
    const BuildContext context{stream_, metrics_, row, files_, 1};
    if (const auto* make_source = std::get_if<SourceFactory>(&type.factory)) {
      source_ = (*make_source)(stage, context);
    } else if (const auto* prepare = std::get_if<StageFactory>(&type.factory)) {
      factories_.push_back((*prepare)(stage, context));
    } else if (const auto* make_assembler = std::get_if<AssemblerFactory>(&type.factory)) {
      assembler_ = (*make_assembler)(stage, context);
    }
  }
  ended_.resize(static_cast<std::size_t>(source_->lanes()));
  constexpr std::size_t kSlots = 64;
  instances_.resize(kSlots);
}

std::optional<Chunk> LooseParts::next() {
  while (std::find(ended_.begin(), ended_.end(), false) != ended_.end()) {
    const std::size_t lane = turn_;
    turn_ = (turn_ + 1) % ended_.size();
    if (ended_[lane]) {
      continue;
    }
    source_->reuse(static_cast<int>(lane), std::move(spare_));
    std::optional<Chunk> chunk = source_->next(static_cast<int>(lane), {});
    if (chunk) {
      return chunk;
    }
    ended_[lane] = true;
  }
  return std::nullopt;
}

LooseParts::Stages& LooseParts::stages(std::size_t slot) {
  Stages& stages = instances_.at(slot);
  if (stages.empty()) {
    for (const InstanceFactory& make : factories_) {
      stages.push_back(make());
    }
  }
  return stages;
}

Chunk LooseParts::transform(Chunk chunk, std::size_t slot) {
  for (const auto& stage : stages(slot)) {
    chunk = stage->process_chunk(std::move(chunk));
  }
  return chunk;
}

void LooseParts::pack(Chunk chunk) {
  auto& tokens = std::get<TokenChunk>(chunk);
  assembler_->add(tokens, full_);
  for (Batch& batch : full_) {
    assembler_->reuse(std::move(batch));
  }
  full_.clear();
  spare_ = std::move(tokens.spare);
  release(tokens, spare_);
}

std::int64_t LooseParts::finish() {
  assembler_->finish(full_);
  full_.clear();
  return assembler_->account().out;
}

}  // namespace penstock::bench
