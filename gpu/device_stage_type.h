#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "gpu/device_stage.h"
#include "pipeline/option.h"
#include "pipeline/stage_config.h"
#include "pipeline/stage_registry.h"

namespace penstock::gpu {

// What the factory of a device stage gets beside its options; valid during the call.
struct DeviceStageContext {
  BatchShape shape;          // of every batch
  const StreamInfo& stream;  // what is known of the tokens
  FileClaims& files;         // to tell of every file that the stage reads or writes, before it does
  std::int64_t max_in_flight = 5;  // batches whose work is enqueued and not done
  int threads = 1;                 // of the run; must not shape what is computed
  Device* device = nullptr;        // that the stage is made for; outlives it
  BatchReader read_batches = {};   // of other shards
};

// Makes a device stage, on the device thread, with its device current. The config holds the options
// of `device` and of the stage. Throws std::runtime_error (ConfigError for an option).
using DeviceStageFactory =
    std::function<std::unique_ptr<DeviceStage>(const StageConfig&, const DeviceStageContext&)>;

// Everything that `device` knows of a kind of device stage.
struct DeviceStageType {
  std::string name;             // as in `device: {stage: NAME}`, snake_case
  std::string summary;          // one sentence
  std::vector<Option> options;  // beside those of `device`; there with this stage alone
  DeviceStageFactory on_host;
  DeviceStageFactory on_cuda;  // empty in a build without CUDA
};

// checksum, gemm_load, lm_score, lm_train
std::vector<DeviceStageType> built_in_device_stages();

}  // namespace penstock::gpu
