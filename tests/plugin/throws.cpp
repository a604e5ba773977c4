// A plug-in that cannot be set up.

#include "pipeline/plugin.h"

extern "C" void penstock_register_stages(penstock::StageRegistry&) {
  throw 42;
}
