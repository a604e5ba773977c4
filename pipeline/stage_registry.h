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
#include "pipeline/batch_stage.h"
#include "pipeline/file_claims.h"
#include "pipeline/metrics.h"
#include "pipeline/option.h"
#include "pipeline/sink.h"
#include "pipeline/source.h"
#include "pipeline/stage.h"
#include "pipeline/stage_config.h"
#include "pipeline/stream_position.h"

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

// What the chunk holds.
Payload payload_of(const Chunk& chunk);

// Turns ids back into text, for people to look at. Thread-safe.
class TokenDecoder {
 public:
  TokenDecoder() = default;
  TokenDecoder(const TokenDecoder&) = delete;
  TokenDecoder& operator=(const TokenDecoder&) = delete;
  virtual ~TokenDecoder() = default;
  // Ids that are none of the vocabulary become nothing.
  virtual std::string decode(const std::vector<TokenId>& ids) const = 0;
  // The tokenizer's model as the bytes of a file, for whoever keeps it with what is trained on its
  // ids; empty where it has none.
  virtual std::string model() const { return {}; }
};

// What stages further down need to know about the stream. Stages are built in configuration order,
// so each one reads what those before it wrote.
struct StreamInfo {
  std::optional<BatchShape> batch_shape;        // of every batch, once an assembler is built
  std::optional<std::int64_t> vocabulary_size;  // ids are below it
  std::optional<TokenId> pad_id;                // what the model pads with
  std::optional<TokenId> eos_id;                // what the model ends a document with
  std::shared_ptr<const TokenDecoder> decoder;  // null where ids cannot be turned into text
  // The options that shape the stream, as "label.option". Where an option is the name of something,
  // such as a file, the stage that knows its content puts that in the option's place.
  StreamFingerprint fingerprint;
};

// Where a run goes on that an earlier one began.
struct ResumePoint {
  StreamPosition position;  // behind the last batch before
  std::string folder;  // of the checkpoint; a sink's files are in its subfolder of the sink's label
};

// Reads the first batches, this many or as many as there are, of other shards in the way of the
// configuration that is being built. To be called while stages are built. Throws ConfigError, and
// what a run throws.
using BatchReader = std::function<std::vector<std::shared_ptr<const Batch>>(
    const std::vector<std::string>& paths, std::int64_t count)>;

// What a factory gets beside the stage's options.
struct BuildContext {
  StreamInfo& stream;     // to read, and to say what the stages behind have to know
  Metrics& metrics;       // for rows beside the stage's own; the reference outlives the stages
  StageMetrics& own_row;  // the stage's own row; the pipeline fills in what it can see from outside
  FileClaims& files;      // to tell of every file that the stage reads or writes, before it does
  int threads = 1;        // of the run; must not shape the output
  const ResumePoint* resume = nullptr;  // null where the run begins at the beginning
  BatchReader read_batches = {};        // empty where no configuration is being built
  bool makes_checkpoints = false;       // the configuration has a checkpoint_folder
};

using SourceFactory =
    std::function<std::unique_ptr<Source>(const StageConfig&, const BuildContext&)>;
using AssemblerFactory =
    std::function<std::unique_ptr<BatchAssembler>(const StageConfig&, const BuildContext&)>;
using BatchStageFactory =
    std::function<std::unique_ptr<BatchStage>(const StageConfig&, const BuildContext&)>;
using SinkFactory = std::function<std::unique_ptr<Sink>(const StageConfig&, const BuildContext&)>;
using InstanceFactory = std::function<std::unique_ptr<Stage>()>;
// Called once a run: checks the options, loads what the instances share, and returns what makes an
// instance. Instances are made by any thread, one at a time.
using StageFactory = std::function<InstanceFactory(const StageConfig&, const BuildContext&)>;

// The type is the stage's role.
using Factory =
    std::variant<SourceFactory, StageFactory, AssemblerFactory, BatchStageFactory, SinkFactory>;

// Whether a stage can have this name: snake_case, beginning with a lower-case letter.
bool is_stage_name(const std::string& name);

// Everything that the framework knows of a kind of stage.
struct StageType {
  std::string name;                         // as in configurations, snake_case
  std::string summary;                      // one sentence
  Payload input = Payload::kNone;           // kNone for a source
  Payload output = Payload::kNone;          // kNone for a sink
  Ordering ordering = Ordering::kParallel;  // of a transform's chunks
  std::vector<Option> options;              // no two of one name that could be there together
  Factory factory;                          // its type is the role
  std::string plugin = {};  // file name of the plug-in that registered it; set by the registry
};

// Knows the stages by name. Filled by explicit calls before use, never by static initialisers:
// those of register_stages() and register_device(), of a program's own, and of plug-ins (plugin.h).
// Factories throw ConfigError (StageConfig::error) for what is wrong with the options. Copies are
// independent of each other.
class StageRegistry {
 public:
  // Throws std::logic_error for a name that is not snake_case or registered twice, and for an
  // option declared twice. A source or transform gets the option `on_error` beside its own.
  void add(StageType type);

  // Registers a Transform whose constructor takes the StageConfig. The first instance is made when
  // the pipeline is built, so that what its constructor throws is told before anything runs.
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
           // std::function copies what it holds; instances are made one at a time.
           auto first = std::make_shared<std::unique_ptr<Stage>>(std::make_unique<T>(config));
           return [config, first]() -> std::unique_ptr<Stage> {
             return *first ? std::move(*first) : std::make_unique<T>(config);
           };
         })});
  }

  // Registers a Source that names the chunks it gives (using Output = DocumentChunk) and whose
  // constructor takes the StageConfig, and the BuildContext where it asks for it.
  template <typename T>
  void add_source(std::string name, std::string summary, std::vector<Option> options) {
    add({std::move(name),
         std::move(summary),
         Payload::kNone,
         payload_of<typename T::Output>(),
         Ordering::kParallel,
         std::move(options),
         SourceFactory(&make_part<T>)});
  }

  // Registers a BatchStage; its constructor as that of a source.
  template <typename T>
  void add_batch_stage(std::string name, std::string summary, std::vector<Option> options) {
    add({std::move(name),
         std::move(summary),
         Payload::kBatch,
         Payload::kBatch,
         Ordering::kInOrder,
         std::move(options),
         BatchStageFactory(&make_part<T>)});
  }

  // Registers a Sink; its constructor as that of a source.
  template <typename T>
  void add_sink(std::string name, std::string summary, std::vector<Option> options) {
    add({std::move(name),
         std::move(summary),
         Payload::kBatch,
         Payload::kNone,
         Ordering::kInOrder,
         std::move(options),
         SinkFactory(&make_part<T>)});
  }

  // Makes a known stage by another factory of the same role from now on, for measurements. Throws
  // std::logic_error where it is not known or its role is another.
  void replace_factory(const std::string& name, Factory factory);

  // Puts another declaration in the place of one that is known. Throws as add() does, and where
  // there is none of this name.
  void replace(StageType type);

  // Registers what `register_stages` adds as stages of the plug-in with this file name: all of
  // them, or none where it throws.
  void add_plugin(const std::string& plugin,
                  const std::function<void(StageRegistry&)>& register_stages);
  // The plug-in whose stages are being registered; empty for others.
  const std::string& plugin() const { return plugin_; }

  // Null where there is none; valid until the registry changes.
  const StageType* find(const std::string& name) const;
  std::vector<std::string> names() const;  // sorted
  // By name.
  const std::map<std::string, StageType>& types() const { return types_; }

 private:
  template <typename T>
  static std::unique_ptr<T> make_part(const StageConfig& config, const BuildContext& context) {
    if constexpr (std::constructible_from<T, const StageConfig&, const BuildContext&>) {
      return std::make_unique<T>(config, context);
    } else {
      return std::make_unique<T>(config);
    }
  }

  static void check(const StageType& type);

  std::map<std::string, StageType> types_;
  std::string plugin_;
};

}  // namespace penstock
