// A plug-in with stages that do nothing, for custom_stage_bench.

#include "pipeline/plugin.h"

namespace {

template <typename Payload>
class NoOp final : public penstock::Transform<Payload, Payload> {
 public:
  explicit NoOp(const penstock::StageConfig&) {}
  Payload process(Payload chunk) override { return chunk; }
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_transform<NoOp<penstock::DocumentChunk>>("no_op", "Does nothing.", {});
  registry.add_transform<NoOp<penstock::TokenChunk>>("no_op_tokens", "Does nothing.", {});
}
