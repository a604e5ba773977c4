#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/result.h"

namespace penstock {

// A Completion was destroyed unfulfilled. The error behind it, if there is one, is told instead.
class DroppedBatch : public std::logic_error {
 public:
  DroppedBatch() : std::logic_error("the sink dropped a batch without completing it") {}
};

// A one-shot promise that a sink is finished with a batch. Move-only; any thread may fulfil it.
// Dropping it unfulfilled fails the run, so the graph can never wait for ever. Fulfilling it twice
// throws std::logic_error.
class Completion {
 public:
  // Called once, by whoever fulfils or drops the promise; null where all went well.
  using Callback = std::function<void(std::exception_ptr)>;

  // Made by the pipeline, and by tests of a sink. What is moved from promises nothing.
  explicit Completion(Callback callback) : callback_(std::move(callback)) {}
  Completion(Completion&& other) noexcept : callback_(std::exchange(other.callback_, nullptr)) {}
  Completion(const Completion&) = delete;
  Completion& operator=(Completion&&) = delete;
  Completion& operator=(const Completion&) = delete;
  ~Completion();

  // The batch's memory is no longer needed. Its credit goes back to the reader.
  void done();
  // The batch could not be handled: ends the run with this error.
  void fail(std::exception_ptr error);

 private:
  // Throws where there is none left.
  Callback take();

  Callback callback_;
};

// Takes batches in stream order.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  // Without finish() before it: leaves nothing under a final name. Fulfils or drops what is left of
  // its Completions, and returns when no thread uses one: behind a failure nothing else waits for
  // them.
  virtual ~Sink() = default;

  // Called by one of the pipeline's threads at a time. May return before the batch is finished
  // with, and then must fulfil `done` without waiting for a further batch. Throwing ends the run. A
  // parallel algorithm of oneTBB inside may run other stages' work on this thread meanwhile: hold
  // no lock across it. A batch is not changed while anyone has a pointer to it; when nobody has, a
  // later batch takes its memory, so keep no reference and no weak_ptr.
  virtual void consume(std::shared_ptr<const Batch> batch, Completion done) = 0;

  // The last batch has been completed: publish what was written. Not called when the run failed or
  // was stopped. Sinks finish in configuration order; when one fails here, those before it have
  // published.
  virtual void finish() {}

  // The run failed or was stopped: fulfil or drop every outstanding Completion soon, and that of a
  // consume() that is just beginning. Any thread, at any time, at most once.
  virtual void cancel() noexcept {}

  // Whether it has a state that a checkpoint must hold. If so, it calls add() of every
  // Batch::checkpoint that it is given, once, with its label and what writes its state as it is
  // behind that batch; also later than it completes the batch. When a run goes on from a
  // checkpoint, the sink is made with BuildContext::resume.
  virtual bool saves() const { return false; }
  // Why a run cannot go on from a checkpoint with this sink; empty where it can. Then the sink
  // begins with the batch behind the checkpoint.
  virtual std::string why_not_resumable() const { return {}; }

  // After finish(), or nothing.
  virtual std::vector<Result> results() const { return {}; }
};

}  // namespace penstock
