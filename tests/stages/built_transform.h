#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <zstd.h>

#include "pipeline/metrics.h"
#include "pipeline/stage_config.h"
#include "pipeline/stage_registry.h"

namespace penstock::testing {

// A transform made from its registration, as a run makes it.
class BuiltTransform {
 public:
  BuiltTransform(void (*register_stage)(StageRegistry&),
                 const std::string& name,
                 const std::map<std::string, OptionValue>& options,
                 FileClaims files = {})
      : files_(std::move(files)) {
    StageRegistry registry;
    register_stage(registry);
    const StageType& type = *registry.find(name);
    std::map<std::string, OptionValue> values;
    for (const Option& option : type.options) {
      values[option.name] = option.default_value.value_or(OptionValue());
    }
    for (const auto& [option, value] : options) {
      values.at(option) = value;
    }
    const StageConfig config(name, "test.yaml:3:5", values, {});
    const BuildContext context{stream_, metrics_, metrics_.add(name, 1), files_};
    make_ = std::get<StageFactory>(type.factory)(config, context);
    stage_ = make_();
  }

  template <typename To, typename From>
  To process(From chunk) {
    return std::get<To>(stage_->process_chunk(Chunk(std::move(chunk))));
  }

  // Another instance, for use by another thread.
  std::unique_ptr<Stage> make_instance() const { return make_(); }
  const StreamInfo& stream() const { return stream_; }
  const FileClaims& files() const { return files_; }

 private:
  StreamInfo stream_;
  Metrics metrics_;
  FileClaims files_;
  InstanceFactory make_;
  std::unique_ptr<Stage> stage_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path.string());
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

// The text of an undamaged zstd file.
inline std::string read_zstd_file(const std::filesystem::path& path) {
  const std::string compressed = read_file(path);
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx);
  std::string text;
  std::string piece(ZSTD_DStreamOutSize(), '\0');
  while (in.pos < in.size) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(result) != 0) {
      throw std::runtime_error(path.string() + ": " + ZSTD_getErrorName(result));
    }
    text.append(piece, 0, out.pos);
  }
  return text;
}

// A chunk that begins its shard, as a reader makes it.
inline ByteChunk make_byte_chunk(std::string_view bytes, const std::string& shard = "shard.jsonl") {
  ByteChunk chunk;
  chunk.position.shard = std::make_shared<const std::string>(shard);
  chunk.bytes.append(bytes);
  return chunk;
}

}  // namespace penstock::testing
