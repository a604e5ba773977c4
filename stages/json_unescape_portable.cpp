#include "stages/json_unescape.h"

namespace penstock {

JsonUnescape* fast_json_unescape() {
  return nullptr;
}

}  // namespace penstock
