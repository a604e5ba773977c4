#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "pipeline/checkpoint_schedule.h"

namespace penstock {

// Writes a checkpoint every so many batches to a folder, on a thread of its own while the run goes
// on, and keeps the last few. One is under way at a time, from where the first sink comes to its
// batch until it is on disk: what sinks come to meanwhile is left out. One that cannot be written
// leaves nothing behind, and the ones before as they are. One run at a time uses a folder.
class CheckpointWriter final : public CheckpointSchedule {
 public:
  struct Options {
    std::string folder;      // made where it is missing, in a folder that exists
    std::int64_t every = 1;  // batches
    std::int64_t keep = 1;   // of the checkpoints in the folder
    // How many batches there are before the run; none but where it goes on from a checkpoint.
    std::int64_t next_batch = 0;
    // Called with a sentence: by the constructor for each damaged checkpoint that it sets aside, by
    // the writing thread when a checkpoint could not be written or an old one not be removed.
    std::function<void(const std::string&)> on_problem;
  };

  // Throws FileError where the folder cannot be used, where another run uses it, and where it holds
  // a checkpoint behind next_batch: that of another run, which would be taken for this one's. Where
  // a run goes on, one behind next_batch that is damaged gets ".damaged" behind its name instead.
  explicit CheckpointWriter(Options options);
  ~CheckpointWriter() override;

  bool is_due(std::int64_t batch_index) override;
  std::shared_ptr<PendingCheckpoint> begin(StreamPosition position, std::size_t num_parts) override;
  void finish() override;
  CheckpointCounts counts() const override;

 private:
  // Holds the folder's lock.
  class Lock;

  void run();
  // Whether none is under way; one is from then on.
  bool enter();
  void take(PendingCheckpoint::Content content);
  // Waits; nothing at the end.
  std::optional<PendingCheckpoint::Content> next_ready();
  void write(const PendingCheckpoint::Content& content, const std::string& path) const;
  // `error` is empty where there is none.
  void count(const std::string& path, const std::string& error);
  void remove_old() const;
  void tell(const std::string& problem) const;

  const Options options_;
  const std::unique_ptr<const Lock> lock_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Protected by mutex_.
  bool under_way_ = false;
  std::optional<PendingCheckpoint::Content> ready_;
  bool ended_ = false;
  CheckpointCounts counts_;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace penstock
