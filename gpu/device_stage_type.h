#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/device_stage.h"
#include "pipeline/option.h"
#include "pipeline/stage_config.h"
#include "pipeline/stage_registry.h"

namespace penstock::gpu {

class Device;

// What the factory of a device stage gets beside its options; valid during the call.
struct DeviceStageContext {
  BatchShape shape;          // of every batch
  const StreamInfo& stream;  // what is known of the tokens
  FileClaims& files;         // to tell of every file that the stage reads or writes, before it does
  std::int64_t max_in_flight = 5;  // batches whose work is enqueued and not done
  int threads = 1;                 // of the run; must not shape what is computed
  Device* device = nullptr;        // that the stage is made for; outlives it
  BatchReader read_batches = {};   // of other shards
  // Tells figures beside those of reports to whoever listens to the run. To be kept; for the device
  // thread. May be empty.
  std::function<void(std::vector<Result>)> tell = {};
  // Of the checkpoint from which the run goes on: the stage's own files. Empty where it begins.
  std::string resume_folder = {};
  bool makes_checkpoints = false;  // a stage that saves may reserve what it needs for that
  std::int64_t first_batch = 0;    // index of the first batch that comes
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
  DeviceStageFactory on_host;   // empty where it needs CUDA
  DeviceStageFactory on_cuda;   // empty in a build without CUDA
  bool reports = false;         // DeviceStage::next_report() gives reports
  std::string plugin = {};      // that registers it; set by add_device_stage()
};

// Registers a kind of device stage, as a choice of the option `stage` of the sink `device`, which
// is registered with the first one. At least one of its factories is given; with `kind: auto`, a
// stage for the host alone runs there. Throws std::logic_error for a name registered twice, a stage
// without a factory, and an option that `device` has.
void add_device_stage(StageRegistry& registry, DeviceStageType type);

// checksum, gemm_load, lm_score, lm_train
std::vector<DeviceStageType> built_in_device_stages();

}  // namespace penstock::gpu
