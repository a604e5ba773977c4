#pragma once

#include <memory>

#include "pipeline/sink.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// Lets go of every batch at once.
class DiscardSink final : public Sink {
 public:
  void consume(std::shared_ptr<const Batch>, Completion done) override { done.done(); }
};

// Registers the sink `discard`.
void register_discard(StageRegistry& registry);

}  // namespace penstock
