#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/chunk.h"

namespace penstock {

enum class OnError { kFail, kSkip, kQuarantine };

// Judges rejects in stream order, so that which one ends a run never depends on timing. Used by
// one thread at a time.
class ErrorPolicy {
 public:
  struct Options {
    // A count when at least 1, a share of all records when below 1, no reject allowed when 0, no
    // bound when absent. The share is looked at from the 100th record on and at the end.
    std::optional<double> max_errors;
    // JSON lines; opened (as PATH.partial) on construction if not empty.
    std::string quarantine_path;
  };

  // Throws FileError where the quarantine file cannot be created.
  explicit ErrorPolicy(Options options);
  ~ErrorPolicy();
  ErrorPolicy(const ErrorPolicy&) = delete;
  ErrorPolicy& operator=(const ErrorPolicy&) = delete;

  // Before anything else: what an earlier run counted.
  void go_on_from(std::int64_t records, std::int64_t rejects);
  // Counts the records of a chunk, before its rejects are judged.
  void count_records(std::int64_t records);
  // Throws RecordError where the reject or the budget ends the run; FileError where the quarantine
  // file cannot be written.
  void judge(const Reject& reject, OnError on_error);
  // The stream is over: judges the share and publishes the quarantine file.
  void finish();
  // Publishes the quarantine file of a run that ends early: what is in it is complete so far. Does
  // nothing after finish(). Throws FileError.
  void publish();

  std::int64_t rejects() const { return rejects_; }

 private:
  class Quarantine;
  void check_budget(bool at_end) const;

  Options options_;
  std::unique_ptr<Quarantine> quarantine_;
  std::int64_t records_ = 0;
  std::int64_t rejects_ = 0;
  std::string last_reject_;  // described; kept only where there is a budget to exceed
};

// "stage 'parse': shard x, record 3, byte 120: reason; the record begins: ..."
std::string describe(const Reject& reject);

}  // namespace penstock
