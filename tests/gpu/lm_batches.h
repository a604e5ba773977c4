#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "gpu/device_stage.h"
#include "gpu/lm_weights.h"
#include "pipeline/batch.h"
#include "pipeline/option.h"
#include "pipeline/stage_config.h"

namespace penstock::gpu {

// `count` batches of random tokens of random documents, several a row, as `pack` makes them.
// row_length of the shape is sequence_length, or one more for rows with shifted targets. The last
// `num_padding` cells of the last batch, fewer than a batch has, are padding; they hold an id that
// is not in the vocabulary. The same for the same arguments.
std::vector<Batch> random_batches(const BatchShape& shape,
                                  std::int64_t vocabulary,
                                  std::int64_t count,
                                  std::int64_t num_padding,
                                  std::uint64_t seed);

// The batches that `pack` makes of the documents, from index 0; padded with `pad_id`.
std::vector<Batch> packed(const BatchShape& shape,
                          const std::vector<std::vector<TokenId>>& documents,
                          TokenId pad_id);

// Weights of which the logits are exact in fp32, in any order of summation, and of which many
// logits are equal: small multiples of 1/8, random. For a width of at most 256.
LmWeights exact_lm_weights(std::int64_t vocabulary,
                           std::int64_t width,
                           std::int64_t window,
                           std::uint64_t seed);

// A configuration of a device stage: the defaults of the options, but for `values`, which count as
// written in "test.yaml".
StageConfig device_stage_config(const std::vector<Option>& options,
                                const std::map<std::string, OptionValue>& values);

// Feeds the batches to the stage through a slot of the device and gives its results. After every
// `report_every` batches asks for a report; 0 is never. `reports` gets what came back, if given.
std::vector<Result> run_stage(Device& device,
                              DeviceStage& stage,
                              const std::vector<Batch>& batches,
                              std::int64_t report_every = 0,
                              std::vector<Report>* reports = nullptr);

// The figure of that name. Throws std::out_of_range naming it where there is none, and
// std::bad_variant_access where it has another type.
std::int64_t integer_result(const std::vector<Result>& results, const std::string& name);
double number_result(const std::vector<Result>& results, const std::string& name);
std::string text_result(const std::vector<Result>& results, const std::string& name);
std::vector<double> row_result(const std::vector<Result>& results, const std::string& name);

}  // namespace penstock::gpu
