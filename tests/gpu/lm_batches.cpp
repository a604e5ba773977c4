#include "tests/gpu/lm_batches.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>

#include "stages/pack.h"

namespace penstock::gpu {
namespace {

// Of the parts of `pack`'s input that do not matter here there is as little as it takes.
TokenChunk chunk_of(const std::vector<std::vector<TokenId>>& documents) {
  TokenChunk chunk;
  chunk.position.shard = std::make_shared<const std::string>("test.jsonl");
  for (const std::vector<TokenId>& document : documents) {
    chunk.ids.insert(chunk.ids.end(), document.begin(), document.end());
    chunk.documents.push_back({std::ssize(chunk.ids), ++chunk.num_records, 0});
  }
  return chunk;
}

template <typename T>
const T& result_value(const std::vector<Result>& results, const std::string& name) {
  const auto found = std::find_if(
      results.begin(), results.end(), [&](const Result& result) { return result.name == name; });
  if (found == results.end()) {
    throw std::out_of_range("no result '" + name + "'");
  }
  return std::get<T>(found->value);
}

}  // namespace

std::vector<Batch> random_batches(const BatchShape& shape,
                                  std::int64_t vocabulary,
                                  std::int64_t count,
                                  std::int64_t num_padding,
                                  std::uint64_t seed) {
  const std::int64_t num_cells = count * shape.cells() - num_padding;
  const std::int64_t num_rows = (num_cells + shape.row_length - 1) / shape.row_length;
  const std::int64_t num_repeated = (num_rows - 1) * (shape.row_length - shape.sequence_length);
  std::mt19937_64 random(seed);
  const auto below = [&](std::int64_t bound) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
  };
  std::vector<std::vector<TokenId>> documents;
  for (std::int64_t left = num_cells - num_repeated; left > 0;) {
    const std::int64_t length = std::min(left, 1 + below(shape.sequence_length));
    std::vector<TokenId>& document = documents.emplace_back();
    for (std::int64_t i = 0; i < length; ++i) {
      document.push_back(static_cast<TokenId>(below(vocabulary)));
    }
    left -= length;
  }
  std::vector<Batch> batches = packed(shape, documents, static_cast<TokenId>(vocabulary));
  if (std::ssize(batches) != count || batches.back().num_tokens != shape.cells() - num_padding) {
    throw std::invalid_argument("no batches have that padding");
  }
  return batches;
}

std::vector<Batch> packed(const BatchShape& shape,
                          const std::vector<std::vector<TokenId>>& documents,
                          TokenId pad_id) {
  const std::map<std::string, OptionValue> options = {
      {"batch_size", shape.batch_size},
      {"sequence_length", shape.sequence_length},
      {"shifted_targets", shape.row_length > shape.sequence_length},
      {"drop_last", false},
      {"pad_id", std::int64_t{pad_id}}};
  Packer packer(StageConfig("pack", "test.yaml:1:1", options, {}), StreamInfo());
  std::vector<Batch> batches;
  packer.add(chunk_of(documents), batches);
  packer.finish(batches);
  return batches;
}

LmWeights exact_lm_weights(std::int64_t vocabulary,
                           std::int64_t width,
                           std::int64_t window,
                           std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto tensor = [&](std::int64_t rows) {
    std::vector<Bf16> elements(static_cast<std::size_t>(rows * width));
    for (Bf16& element : elements) {
      const int eighths = static_cast<int>(random() % 9) - 4;
      element = to_bf16(static_cast<float>(eighths) / 8);
    }
    return elements;
  };
  return {vocabulary, width, window, tensor(vocabulary), tensor(window), tensor(vocabulary)};
}

StageConfig device_stage_config(const std::vector<Option>& options,
                                const std::map<std::string, OptionValue>& values) {
  std::map<std::string, OptionValue> all;
  for (const Option& option : options) {
    all[option.name] = option.default_value.value();
  }
  std::map<std::string, std::string> locations;
  for (const auto& [name, value] : values) {
    all.at(name) = value;
    locations[name] = "test.yaml:" + name;
  }
  return StageConfig("device", "test.yaml:1:1", std::move(all), std::move(locations));
}

std::vector<Result> run_stage(Device& device,
                              DeviceStage& stage,
                              const std::vector<Batch>& batches,
                              std::int64_t report_every,
                              std::vector<Report>* reports) {
  const auto take_reports = [&] {
    while (std::optional<Report> report = stage.next_report()) {
      if (reports != nullptr) {
        reports->push_back(*std::move(report));
      }
    }
  };
  std::unique_ptr<StagingSlot> slot;
  for (const Batch& batch : batches) {
    if (!slot) {
      slot = device.make_slot({batch.batch_size, batch.sequence_length, batch.row_length});
    }
    slot->wait_until_writable();
    stage.hand_over(batch);
    stage.enqueue(slot->upload(batch), device.compute_stream());
    slot->release();
    if (report_every > 0 && (batch.index + 1) % report_every == 0) {
      stage.enqueue_report(device.compute_stream());
    }
    take_reports();
  }
  std::vector<Result> results = stage.results();
  take_reports();
  return results;
}

std::int64_t integer_result(const std::vector<Result>& results, const std::string& name) {
  return result_value<std::int64_t>(results, name);
}

double number_result(const std::vector<Result>& results, const std::string& name) {
  return result_value<double>(results, name);
}

std::string text_result(const std::vector<Result>& results, const std::string& name) {
  return result_value<std::string>(results, name);
}

std::vector<double> row_result(const std::vector<Result>& results, const std::string& name) {
  return result_value<std::vector<double>>(results, name);
}

}  // namespace penstock::gpu
