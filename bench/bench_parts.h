#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock::bench {

// The built-in stages, and a stage `byte_tokens` whose tokens are bytes of the text: the cheapest
// tokenizer that there can be, to see what everything around it costs. With bytes_per_token: 4 it
// makes about as many tokens as a real one.
StageRegistry bench_registry();

// read -> parse -> tokenizer -> pack -> discard over `paths`; `tokenizer` is YAML of the stage.
// `overrides` as parse_config() takes them.
PipelineConfig bench_config(const std::vector<std::string>& paths,
                            const std::string& tokenizer,
                            int threads,
                            int lanes,
                            const std::vector<std::string>& overrides = {});

// The same stages, built by the same factories but without a graph.
class LooseParts {
 public:
  using Stages = std::vector<std::unique_ptr<Stage>>;

  LooseParts(const PipelineConfig& config, const StageRegistry& registry);

  // The source's next chunk, dealt round-robin over its lanes; nothing at the end. One thread.
  std::optional<Chunk> next();
  // parse and tokenizer: the instances of this slot alone.
  Stages& stages(std::size_t slot);
  // What they make of a chunk.
  Chunk transform(Chunk chunk, std::size_t slot);
  // Packs and discards. One thread, in order.
  void pack(Chunk chunk);
  // Packs the rest; the number of tokens in all.
  std::int64_t finish();

 private:
  StreamInfo stream_;
  Metrics metrics_;
  FileClaims files_;
  std::unique_ptr<Source> source_;
  std::vector<InstanceFactory> factories_;
  std::vector<Stages> instances_;  // by slot
  std::unique_ptr<BatchAssembler> assembler_;
  std::vector<Batch> full_;
  SpareMemory spare_;
  std::vector<bool> ended_;
  std::size_t turn_ = 0;
};

}  // namespace penstock::bench
