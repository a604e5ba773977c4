// A plug-in that registers a stage of its own and one that is there already.

#include "pipeline/plugin.h"

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add({"own", "", {}, {}, {}, {}, penstock::SinkFactory()});
  registry.add({"parse", "", {}, {}, {}, {}, penstock::SinkFactory()});
}
