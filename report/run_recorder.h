#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "pipeline/pipeline.h"
#include "report/device_clock.h"
#include "report/figures_inbox.h"
#include "report/history_builder.h"
#include "report/periodic_call.h"
#include "report/run_data.h"
#include "report/run_folder.h"

namespace penstock {

// Keeps the history of a run while it goes on, in memory (about 200 bytes a row) and in a run
// folder if there is one, from a thread of its own: what the run does is never held up. A folder
// that can no longer be written ends the writing, not the run.
class RunRecorder {
 public:
  // Listens to `pipeline`, which outlives it and has not begun to run. `kept` is the history that
  // this run continues. Throws FileError where the folder cannot be written.
  RunRecorder(Pipeline& pipeline, const std::optional<RunFolder>& folder, RunData kept);

  // From when the run begins, until stop(), which takes what was told last. Any thread, each once.
  void start();
  void stop();

  // Why not everything was written; empty where it was. Any thread.
  std::string problem() const;

  // Calls `look` with all there is. The run's history does not grow meanwhile, so it should be
  // quick. Any thread.
  void look(const std::function<void(const RunData&)>& look) const;

  // How far a reader has come.
  struct Position {
    std::size_t metrics = 0;
    std::size_t occupancy = 0;
    std::size_t samples = 0;
  };
  // A copy of what has come since. Any thread.
  RunData since(const Position& position) const;

 private:
  void record(bool is_last);
  // Why not all was written; empty where it was.
  std::string write(const RunData& added, bool is_last);

  const Pipeline& pipeline_;
  const std::shared_ptr<FiguresInbox> inbox_;
  const std::shared_ptr<DeviceClock> device_clock_;
  // Of the thread that records.
  std::optional<RunFolderWriter> writer_;
  std::int64_t synced_ns_ = 0;
  HistoryBuilder builder_;

  mutable std::mutex mutex_;
  // Protected by mutex_.
  RunData data_;
  std::string problem_;

  std::optional<PeriodicCall> calls_;  // last: its thread uses the others
};

}  // namespace penstock
