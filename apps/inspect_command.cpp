#include "apps/inspect_command.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include "apps/exit_status.h"
#include "apps/keep_rows.h"
#include "apps/number_text.h"
#include "apps/row_text.h"
#include "apps/standard_streams.h"
#include "apps/stop_signal.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/pipeline.h"

namespace penstock {
namespace {

using KeptBatches = std::vector<std::shared_ptr<const Batch>>;

// Prints up to `rows` rows and returns how many there were.
std::int64_t print_rows(const KeptBatches& batches,
                        std::int64_t rows,
                        const TokenDecoder* decoder) {
  std::int64_t printed = 0;
  for (const auto& batch : batches) {
    const std::int64_t here = std::min(batch->num_rows, rows - printed);
    for (std::int64_t row = 0; row < here; ++row) {
      write_standard_output(row_text(*batch, row, printed, decoder) + '\n');
      ++printed;
    }
  }
  return printed;
}

// Runs the pipeline and returns why it failed, or nothing.
std::string run_error(Pipeline& pipeline, const std::stop_token& stop) {
  try {
    pipeline.run(stop);
    return {};
  } catch (const std::exception& error) {
    return full_message(error);
  }
}

}  // namespace

int inspect_command(const ConfigText& text,
                    const std::vector<std::string>& overrides,
                    std::int64_t rows,
                    const StageRegistry& registry) {
  const PipelineConfig config = load_config(text, registry, overrides);
  StopSignal signals([](int signal) { ::_exit(kExitSignalBase + signal); });
  KeptBatches batches;
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<KeepRows>(rows, signals.source(), batches));
  Pipeline pipeline(config, registry, std::move(sinks));

  const std::string error = run_error(pipeline, signals.source().get_token());
  // Whoever should read the rows may never do so.
  signals.release();
  const std::int64_t printed = print_rows(batches, rows, pipeline.stream().decoder.get());
  if (printed == rows) {
    // What happened behind the rows that were asked for does not matter here.
    return kExitSuccess;
  }
  if (!error.empty()) {
    write_standard_error("penstock: " + error + '\n');
    return kExitRunFailed;
  }
  if (signals.received() != 0) {
    return kExitSignalBase + signals.received();
  }
  write_standard_output(
      fmt::format("The output has {}; {} were asked for.\n", counted(printed, "row"), rows));
  return kExitSuccess;
}

}  // namespace penstock
