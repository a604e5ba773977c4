// A plug-in that forgets to register.

#include "pipeline/interface_version.h"

extern "C" const char* interface_mark() {
  return penstock::kInterfaceMark;
}
