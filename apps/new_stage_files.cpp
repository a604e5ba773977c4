#include "apps/new_stage_files.h"

#include <cctype>
#include <map>
#include <string_view>

namespace penstock {
namespace {

// In all texts, @name@ stands for min_length and @Name@ for MinLength.

// What is particular to a kind of stage.
struct Kind {
  std::string_view stage;   // NAME.cpp
  std::string_view test;    // NAME_test.cpp, behind what all tests begin with
  std::string_view stages;  // the configuration's list
};

constexpr std::string_view kDocumentStage = R"(#include "pipeline/plugin.h"

namespace {

// Keeps the documents of at least `least` bytes. There is an instance for each thread, and a chunk
// of many documents at a time; see "Document stage" in docs/writing-a-stage.md for how to change,
// split and merge them.
class @Name@ final
    : public penstock::Transform<penstock::DocumentChunk, penstock::DocumentChunk> {
 public:
  explicit @Name@(const penstock::StageConfig& config) : least_(config.integer("least")) {}

  penstock::DocumentChunk process(penstock::DocumentChunk chunk) override {
    std::erase_if(chunk.documents, [this](const penstock::Document& document) {
      return std::ssize(document.text) < least_;
    });
    return chunk;
  }

 private:
  const std::int64_t least_;
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_transform<@Name@>(
      "@name@",
      "Example: keeps long documents.",
      {penstock::Option::bytes("least", "The least length of a document.").or_else(20)});
}
)";

constexpr std::string_view kDocumentTest = R"(
TEST(@Name@, KeepsLongDocuments) {
  const auto kept = fakes::run_stage<penstock::DocumentChunk>(
      registry(), "@name@: {least: 3}", fakes::document_chunk({"ab", "abc", ""}));
  EXPECT_EQ(fakes::texts_of(kept), (std::vector<std::string>{"abc"}));
}
)";

constexpr std::string_view kTokenStage = R"(#include "pipeline/plugin.h"

namespace {

// Puts the id `to` in the place of the id `from`. There is an instance for each thread, and a chunk
// of many documents at a time.
class @Name@ final : public penstock::Transform<penstock::TokenChunk, penstock::TokenChunk> {
 public:
  explicit @Name@(const penstock::StageConfig& config)
      : from_(static_cast<penstock::TokenId>(config.integer("from"))),
        to_(static_cast<penstock::TokenId>(config.integer("to"))) {}

  penstock::TokenChunk process(penstock::TokenChunk chunk) override {
    for (penstock::TokenId& id : chunk.ids) {
      id = id == from_ ? to_ : id;
    }
    return chunk;
  }

 private:
  const penstock::TokenId from_;
  const penstock::TokenId to_;
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_transform<@Name@>(
      "@name@",
      "Example: puts one token id in the place of another.",
      {penstock::Option::integer("from", "The id that goes.").at_least(0),
       penstock::Option::integer("to", "The id that takes its place.").at_least(0)});
}
)";

constexpr std::string_view kTokenTest = R"(
TEST(@Name@, ReplacesAnId) {
  const auto tokens = fakes::run_stage<penstock::TokenChunk>(
      registry(), "@name@: {from: 1, to: 9}", fakes::token_chunk({{1, 2}, {3, 1}}));
  EXPECT_EQ(fakes::tokens_of(tokens), (std::vector<std::vector<penstock::TokenId>>{{9, 2}, {3, 9}}));
}
)";

constexpr std::string_view kBatchStage = R"(#include <cstddef>
#include <utility>

#include "pipeline/plugin.h"

namespace {

// Turns each row's tokens round. Gets the batches in stream order, one at a time.
class @Name@ final : public penstock::BatchStage {
 public:
  explicit @Name@(const penstock::StageConfig&) {}

  penstock::Batch process(penstock::Batch batch) override {
    for (std::int64_t row = 0; row < batch.batch_size; ++row) {
      const auto begin = batch.tokens.begin() + row * batch.row_length;
      std::reverse(begin, begin + batch.row_length);
    }
    return batch;
  }

  // It remembers nothing of earlier batches, so a run can go on from a checkpoint with it.
  std::string why_not_resumable() const override { return ""; }
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_batch_stage<@Name@>("@name@", "Example: turns rows round.", {});
}
)";

constexpr std::string_view kBatchTest = R"(
TEST(@Name@, TurnsRowsRound) {
  const auto batches = fakes::run_batch_stage(registry(), "@name@", {fakes::batch_of({{1, 2}, {3, 4}})});
  EXPECT_EQ(fakes::rows_of(batches.at(0)),
            (std::vector<std::vector<penstock::TokenId>>{{2, 1}, {4, 3}}));
}
)";

constexpr std::string_view kSourceStage = R"(#include "pipeline/plugin.h"

namespace {

// Gives `documents` numbered texts, in chunks of up to 100.
class @Name@ final : public penstock::Source {
 public:
  using Output = penstock::DocumentChunk;

  explicit @Name@(const penstock::StageConfig& config)
      : documents_(config.integer("documents")) {}

  // Lanes are read in parallel.
  int lanes() const override { return 1; }

  std::optional<penstock::Chunk> next(int /*lane*/, const std::stop_token& stop) override {
    if (next_ == documents_ || stop.stop_requested()) {
      return std::nullopt;
    }
    penstock::DocumentChunk chunk;
    // What errors and batches say of where something came from.
    chunk.position = {shard_, next_ + 1, 0};
    while (next_ < documents_ && chunk.documents.size() < 100) {
      ++next_;
      const std::string text = "This is text number " + std::to_string(next_) + ".";
      chunk.documents.push_back({chunk.arena.store(text), next_, 0});
    }
    chunk.num_records = std::ssize(chunk.documents);
    return chunk;
  }

 private:
  const std::int64_t documents_;
  const std::shared_ptr<const std::string> shard_ = std::make_shared<const std::string>("@name@");
  std::int64_t next_ = 0;  // documents given so far
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_source<@Name@>(
      "@name@",
      "Example: gives numbered texts.",
      {penstock::Option::integer("documents", "How many.").at_least(0).or_else(1000)});
}
)";

constexpr std::string_view kSourceTest = R"(
TEST(@Name@, GivesAllDocuments) {
  const auto run = fakes::run_source(registry(), "@name@: {documents: 150}");
  ASSERT_EQ(run.chunks.size(), 2U);
  const auto& last = std::get<penstock::DocumentChunk>(run.chunks[1]);
  EXPECT_EQ(fakes::texts_of(last).back(), "This is text number 150.");
  EXPECT_EQ(run.summary.records, 150);
}
)";

constexpr std::string_view kSinkStage = R"(#include "pipeline/plugin.h"

namespace {

// Counts the rows that hold tokens.
class @Name@ final : public penstock::Sink {
 public:
  explicit @Name@(const penstock::StageConfig&) {}

  // May return before it is finished with the batch; `done` then goes along, and may be called from
  // any thread.
  void consume(std::shared_ptr<const penstock::Batch> batch, penstock::Completion done) override {
    rows_ += batch->num_rows;
    done.done();
  }

  // After the last batch: the place to close or rename files.
  void finish() override {}

  std::vector<penstock::Result> results() const override { return {{"rows", rows_}}; }

 private:
  std::int64_t rows_ = 0;
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_sink<@Name@>("@name@", "Example: counts rows.", {});
}
)";

constexpr std::string_view kSinkTest = R"(
TEST(@Name@, CountsRows) {
  const auto run = fakes::run_sink(registry(), "@name@", {fakes::batch_of({{1, 2}, {3, 4}})});
  const auto& rows = run.summary.sinks.at(0).results.at(0);
  EXPECT_EQ(rows.name, "rows");
  EXPECT_EQ(std::get<std::int64_t>(rows.value), 2);
}
)";

constexpr std::string_view kDeviceStage = R"(#include "gpu/device_stage_type.h"
#include "pipeline/plugin.h"

#include "@name@.h"

namespace {

// Counts the cells that hold one token id, on the host. The kernel is in @name@.cu.
class @Name@ final : public penstock::gpu::DeviceStage {
 public:
  explicit @Name@(penstock::TokenId id) : id_(id) {}

  void enqueue(const penstock::gpu::DeviceBatch& batch, penstock::gpu::DeviceStream) override {
    count_ += std::count(batch.tokens, batch.tokens + batch.shape.cells(), id_);
  }

  std::vector<penstock::Result> results() override { return {{"count", count_}}; }

 private:
  const penstock::TokenId id_;
  std::int64_t count_ = 0;
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  penstock::gpu::add_device_stage(
      registry,
      {"@name@",
       "Example: counts a token id.",
       {penstock::Option::integer("id", "The token id to count.").at_least(0)},
       [](const penstock::StageConfig& config, const penstock::gpu::DeviceStageContext&) {
         return std::make_unique<@Name@>(
             static_cast<penstock::TokenId>(config.integer("id")));
       },
       @name@_on_cuda()});
}
)";

constexpr std::string_view kDeviceHeader = R"(#pragma once

#include "gpu/device_stage_type.h"

// Makes the stage for a CUDA device; empty where it was built without CUDA.
penstock::gpu::DeviceStageFactory @name@_on_cuda();
)";

constexpr std::string_view kDeviceWithoutCuda = R"(#include "@name@.h"

penstock::gpu::DeviceStageFactory @name@_on_cuda() {
  return {};
}
)";

constexpr std::string_view kDeviceCuda = R"(#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "@name@.h"

namespace {

using Counter = unsigned long long;

void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(call) + ": " + cudaGetErrorString(error));
  }
}

__global__ void count_id(const penstock::TokenId* tokens,
                         std::int64_t cells,
                         penstock::TokenId id,
                         Counter* count) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  Counter own = 0;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < cells;
       i += stride) {
    own += tokens[i] == id ? 1 : 0;
  }
  if (own > 0) {
    atomicAdd(count, own);
  }
}

// Counts on a CUDA device. Made and used by the device thread, with its device current.
class @Name@OnCuda final : public penstock::gpu::DeviceStage {
 public:
  explicit @Name@OnCuda(penstock::TokenId id) : id_(id) {
    check(cudaMalloc(&count_, sizeof(Counter)), "cudaMalloc");
    check(cudaMemset(count_, 0, sizeof(Counter)), "cudaMemset");
  }
  ~@Name@OnCuda() override { cudaFree(count_); }

  // Only enqueues: whoever waits for the device here makes it wait for the host.
  void enqueue(const penstock::gpu::DeviceBatch& batch,
               penstock::gpu::DeviceStream stream) override {
    stream_ = static_cast<cudaStream_t>(stream.handle);
    count_id<<<64, 256, 0, stream_>>>(batch.tokens, batch.shape.cells(), id_, count_);
    check(cudaGetLastError(), "count_id");
  }

  std::vector<penstock::Result> results() override {
    Counter count = 0;
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    check(cudaMemcpy(&count, count_, sizeof count, cudaMemcpyDeviceToHost), "cudaMemcpy");
    return {{"count", static_cast<std::int64_t>(count)}};
  }

 private:
  const penstock::TokenId id_;
  Counter* count_ = nullptr;        // device memory
  cudaStream_t stream_ = nullptr;  // of the latest batch
};

}  // namespace

penstock::gpu::DeviceStageFactory @name@_on_cuda() {
  return [](const penstock::StageConfig& config, const penstock::gpu::DeviceStageContext&) {
    return std::make_unique<@Name@OnCuda>(static_cast<penstock::TokenId>(config.integer("id")));
  };
}
)";

constexpr std::string_view kDeviceTest = R"(
TEST(@Name@, CountsAnIdOnTheHost) {
  const auto run = fakes::run_sink(registry(),
                            "device: {kind: cpu, stage: @name@, id: 7}",
                            {fakes::batch_of({{7, 2}, {3, 7}}), fakes::batch_of({{7, 7}, {7, 1}}, 1)});
  std::int64_t count = -1;
  for (const penstock::Result& result : run.summary.sinks.at(0).results) {
    if (result.name == "count") {
      count = std::get<std::int64_t>(result.value);
    }
  }
  EXPECT_EQ(count, 5);
}
)";

constexpr std::string_view kTestBegin = R"(#include <gtest/gtest.h>

#include "pipeline/plugin_loader.h"
#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace {

namespace fakes = penstock::testing;

// The stages of the plug-in, loaded as `penstock` loads it.
penstock::StageRegistry registry() {
  penstock::StageRegistry registry;
  penstock::load_plugin(PLUGIN, "", registry);
  return registry;
}
)";

constexpr std::string_view kTestEnd = R"(
}  // namespace
)";

constexpr std::string_view kCMakeBegin = R"(cmake_minimum_required(VERSION 3.25)
project(@name@ LANGUAGES CXX)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(penstock REQUIRED)
find_package(GTest REQUIRED)
)";

constexpr std::string_view kCMakePlugin = R"(
# To be named in a configuration, as in @name@.yaml.
add_library(@name@ MODULE @name@.cpp)
target_link_libraries(@name@ PRIVATE penstock::penstock)
)";

constexpr std::string_view kCMakeDevicePlugin = R"(
# The kernel, where there is a CUDA compiler (on the PATH, or named by CMAKE_CUDA_COMPILER).
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80)  # newer devices compile its code when it is loaded
  endif()
  enable_language(CUDA)
  set(kernel @name@.cu)
else()
  set(kernel @name@_without_cuda.cpp)
endif()

# To be named in a configuration, as in @name@.yaml.
add_library(@name@ MODULE @name@.cpp ${kernel})
target_compile_options(@name@ PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>)
target_link_libraries(@name@ PRIVATE penstock::penstock)
)";

constexpr std::string_view kCMakeTests = R"(
enable_testing()
add_executable(@name@_test @name@_test.cpp)
target_compile_definitions(@name@_test PRIVATE PLUGIN="$<TARGET_FILE:@name@>")
target_link_libraries(@name@_test PRIVATE penstock::testing GTest::gtest_main)
add_test(NAME @name@ COMMAND @name@_test)
add_test(NAME @name@.runs
  COMMAND penstock::program run @name@.yaml --set plugins=$<TARGET_FILE:@name@>
  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
)";

constexpr std::string_view kConfigBegin =
    R"(# Run it in this folder: penstock run @name@.yaml; penstock inspect @name@.yaml shows rows.
# The plug-in's path is relative to this file, those of input to where penstock is started.
plugins: [build/lib@name@.so]
pipeline:
)";

constexpr std::string_view kTexts =
    R"({"text": "Water flows through a penstock to a turbine."}
{"text": "Short."}
{"text": "A stage takes a chunk of documents and gives a chunk of documents."}
)";

constexpr std::string_view kReadme = R"(# @name@

A stage for Penstock, as a plug-in: `@name@.cpp` is the stage, `@name@_test.cpp` its test, `@name@.yaml` a pipeline
that it is part of.

    cmake -B build && cmake --build build && ctest --test-dir build
    penstock stages --plugin build/lib@name@.so @name@
    penstock run @name@.yaml

Where Penstock is not installed in `/usr`, `cmake` needs `-DCMAKE_PREFIX_PATH=PREFIX`, and `penstock` is
`PREFIX/bin/penstock`. A plug-in is built for exactly one
version of Penstock's interface; `penstock` says so where it is another.
)";

const std::map<std::string, Kind>& kinds() {
  static const std::map<std::string, Kind> kinds = {
      {"document",
       {kDocumentStage,
        kDocumentTest,
        "  - read: {paths: texts.jsonl}\n"
        "  - parse\n"
        "  - @name@: {least: 10}\n"
        "  - tokenize_bytes: {add_eos: true}\n"
        "  - pack: {batch_size: 2, sequence_length: 16}\n"
        "  - discard\n"}},
      {"token",
       {kTokenStage,
        kTokenTest,
        "  - read: {paths: texts.jsonl}\n"
        "  - parse\n"
        "  - tokenize_bytes: {add_eos: true}\n"
        "  - @name@: {from: 97, to: 65}\n"
        "  - pack: {batch_size: 2, sequence_length: 16}\n"
        "  - discard\n"}},
      {"batch",
       {kBatchStage,
        kBatchTest,
        "  - read: {paths: texts.jsonl}\n"
        "  - parse\n"
        "  - tokenize_bytes: {add_eos: true}\n"
        "  - pack: {batch_size: 2, sequence_length: 16}\n"
        "  - @name@\n"
        "  - discard\n"}},
      {"source",
       {kSourceStage,
        kSourceTest,
        "  - @name@: {documents: 1000}\n"
        "  - tokenize_bytes: {add_eos: true}\n"
        "  - pack: {batch_size: 2, sequence_length: 16}\n"
        "  - discard\n"}},
      {"sink",
       {kSinkStage,
        kSinkTest,
        "  - read: {paths: texts.jsonl}\n"
        "  - parse\n"
        "  - tokenize_bytes: {add_eos: true}\n"
        "  - pack: {batch_size: 2, sequence_length: 16}\n"
        "  - @name@\n"}},
      {"device",
       {kDeviceStage,
        kDeviceTest,
        "  - read: {paths: texts.jsonl}\n"
        "  - parse\n"
        "  - tokenize_bytes: {add_eos: true}\n"
        "  - pack: {batch_size: 2, sequence_length: 16}\n"
        "  - device: {stage: @name@, id: 97}\n"}},
  };
  return kinds;
}

// min_length -> MinLength
std::string in_pascal_case(const std::string& name) {
  std::string pascal;
  bool begins_word = true;
  for (const char c : name) {
    if (c == '_') {
      begins_word = true;
    } else {
      pascal += begins_word ? static_cast<char>(std::toupper(c)) : c;
      begins_word = false;
    }
  }
  return pascal;
}

void replace_all(std::string& text, std::string_view from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    text += part;
  }
  return text;
}

}  // namespace

const std::vector<std::string>& new_stage_kinds() {
  static const std::vector<std::string> names = {
      "document", "token", "batch", "source", "sink", "device"};
  return names;
}

std::vector<NewFile> new_stage_files(const std::string& name, const std::string& kind) {
  const Kind& texts = kinds().at(kind);
  const bool is_device = kind == "device";
  std::vector<NewFile> files = {
      {"CMakeLists.txt",
       joined({kCMakeBegin, is_device ? kCMakeDevicePlugin : kCMakePlugin, kCMakeTests})},
      {"README.md", std::string(kReadme)},
      {"@name@.cpp", std::string(texts.stage)},
      {"@name@.yaml", joined({kConfigBegin, texts.stages})},
      {"@name@_test.cpp", joined({kTestBegin, texts.test, kTestEnd})},
  };
  if (is_device) {
    files.push_back({"@name@.h", std::string(kDeviceHeader)});
    files.push_back({"@name@.cu", std::string(kDeviceCuda)});
    files.push_back({"@name@_without_cuda.cpp", std::string(kDeviceWithoutCuda)});
  }
  if (kind != "source") {
    files.push_back({"texts.jsonl", std::string(kTexts)});
  }
  for (NewFile& file : files) {
    for (std::string* text : {&file.path, &file.text}) {
      replace_all(*text, "@name@", name);
      replace_all(*text, "@Name@", in_pascal_case(name));
    }
  }
  return files;
}

}  // namespace penstock
