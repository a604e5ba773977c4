#include "stages/discard.h"

namespace penstock {

void register_discard(StageRegistry& registry) {
  registry.add({"discard",
                "Drops every batch: shows what a pipeline can do where nothing waits for its "
                "output.",
                Payload::kBatch,
                Payload::kNone,
                Ordering::kInOrder,
                {},
                SinkFactory([](const StageConfig&, const BuildContext&) {
                  return std::make_unique<DiscardSink>();
                })});
}

}  // namespace penstock
