#include "apps/all_stages.h"

#include "gpu/register_device.h"
#include "stages/register_stages.h"

namespace penstock {

StageRegistry all_stages() {
  StageRegistry registry;
  register_stages(registry);
  register_device(registry);
  return registry;
}

}  // namespace penstock
