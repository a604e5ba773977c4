#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "pipeline/assembler.h"
#include "pipeline/batch.h"
#include "pipeline/file_claims.h"
#include "pipeline/metrics.h"
#include "pipeline/option.h"
#include "pipeline/sink.h"
#include "pipeline/source.h"
#include "pipeline/stage.h"
#include "pipeline/stage_config.h"

namespace penstock {

// What flows between two stages.
enum class Payload { kNone, kBytes, kDocuments, kTokens, kBatch };
std::string to_string(Payload payload);

template <typename T>
constexpr Payload payload_of() {
  if constexpr (std::is_same_v<T, ByteChunk>) {
    return Payload::kBytes;
  } else if constexpr (std::is_same_v<T, DocumentChunk>) {
    return Payload::kDocuments;
  } else {
    static_assert(std::is_same_v<T, TokenChunk>, "not a chunk type");
    return Payload::kTokens;
  }
}

// Turns ids back into text, for people to look at. Thread-safe.
class TokenDecoder {
 public:
  TokenDecoder() = default;
  TokenDecoder(const TokenDecoder&) = delete;
  TokenDecoder& operator=(const TokenDecoder&) = delete;
  virtual ~TokenDecoder() = default;
  virtual std::string decode(const std::vector<TokenId>& ids) const = 0;
};

// What stages further down need to know about the stream. Stages are built in configuration order,
// so each one reads what those before it wrote.
struct StreamInfo {
  std::optional<BatchShape> batch_shape;
  std::optional<std::int64_t> vocabulary_size;
  std::optional<TokenId> pad_id;  // what the model pads with
  std::optional<TokenId> eos_id;
  std::shared_ptr<const TokenDecoder> decoder;
};

// Reads the first batches, this many or as many as there are, of other shards in the way of the
// configuration that is being built. To be called while stages are built. Throws ConfigError, and
// what a run throws.
using BatchReader = std::function<std::vector<std::shared_ptr<const Batch>>(
    const std::vector<std::string>& paths, std::int64_t count)>;

// What a factory gets beside the stage's options.
struct BuildContext {
  StreamInfo& stream;
  Metrics& metrics;       // for rows beside the stage's own; the reference outlives the stages
  StageMetrics& own_row;  // the stage's own row; the pipeline fills in what it can see from outside
  FileClaims& files;      // to tell of every file that the stage reads or writes, before it does
  int threads = 1;        // of the run; must not shape the output
  BatchReader read_batches = {};  // empty where no configuration is being built
};

using SourceFactory =
    std::function<std::unique_ptr<Source>(const StageConfig&, const BuildContext&)>;
using AssemblerFactory =
    std::function<std::unique_ptr<BatchAssembler>(const StageConfig&, const BuildContext&)>;
using SinkFactory = std::function<std::unique_ptr<Sink>(const StageConfig&, const BuildContext&)>;
using InstanceFactory = std::function<std::unique_ptr<Stage>()>;
// Called once a run: checks the options, loads what the instances share, and returns what makes an
// instance. Instances are made by any thread, one at a time.
using StageFactory = std::function<InstanceFactory(const StageConfig&, const BuildContext&)>;

// The type is the stage's role.
using Factory = std::variant<SourceFactory, StageFactory, AssemblerFactory, SinkFactory>;

// Everything that the framework knows of a kind of stage.
struct StageType {
  std::string name;     // as in configurations, snake_case
  std::string summary;  // one sentence
  Payload input = Payload::kNone;
  Payload output = Payload::kNone;
  Ordering ordering = Ordering::kParallel;
  std::vector<Option> options;
  Factory factory;
};

// Knows the stages by name. Filled by explicit calls before use, never by static initialisers.
// Factories throw ConfigError (StageConfig::error) for what is wrong with the options.
class StageRegistry {
 public:
  // Throws std::logic_error for a name registered twice or an option declared twice. A source or
  // transform gets the option `on_error` beside its own.
  void add(StageType type);

  // Registers a Transform whose constructor takes the StageConfig.
  template <typename T>
  requires std::constructible_from<T, const StageConfig&>
  void add_transform(std::string name,
                     std::string summary,
                     std::vector<Option> options,
                     Ordering ordering = Ordering::kParallel) {
    add({std::move(name),
         std::move(summary),
         payload_of<typename T::Input>(),
         payload_of<typename T::Output>(),
         ordering,
         std::move(options),
         StageFactory([](const StageConfig& config, const BuildContext&) -> InstanceFactory {
           return [config] { return std::make_unique<T>(config); };
         })});
  }

  // Makes a known stage by another factory of the same role from now on, for measurements. Throws
  // std::logic_error where it is not known or its role is another.
  void replace_factory(const std::string& name, Factory factory);

  const StageType* find(const std::string& name) const;
  std::vector<std::string> names() const;  // sorted
  const std::map<std::string, StageType>& types() const { return types_; }

 private:
  std::map<std::string, StageType> types_;
};

}  // namespace penstock
