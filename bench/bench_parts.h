#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock::bench {

// The built-in stages, and a stage `byte_tokens` whose tokens are the text's bytes: the cheapest
// tokenizer that there can be, to see what everything around it costs.
StageRegistry bench_registry();

// read -> parse -> tokenizer -> pack -> discard over `paths`; `tokenizer` is YAML of the stage.
PipelineConfig bench_config(const std::string& paths,
                            const std::string& tokenizer,
                            int threads,
                            int lanes);

// The same stages, built by the same factories but without a graph.
class LooseParts {
 public:
  LooseParts(const PipelineConfig& config, const StageRegistry& registry);

  // The source's next chunk, dealt round-robin over its lanes; nothing at the end. One thread.
  std::optional<Chunk> next();
  // What parse and tokenizer make of it, by instances of this slot alone.
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
  std::vector<std::vector<std::unique_ptr<Stage>>> instances_;  // [slot][stage]
  std::unique_ptr<BatchAssembler> assembler_;
  std::vector<Batch> full_;
  std::vector<bool> ended_;
  std::size_t turn_ = 0;
};

}  // namespace penstock::bench
