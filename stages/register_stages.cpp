#include "stages/register_stages.h"

#include "stages/discard.h"
#include "stages/pack.h"
#include "stages/parse.h"
#include "stages/read.h"
#include "stages/tokenize.h"
#include "stages/tokenize_bytes.h"
#include "stages/write_npy.h"

namespace penstock {

void register_stages(StageRegistry& registry) {
  register_read(registry);
  register_parse(registry);
  register_tokenize(registry);
  register_tokenize_bytes(registry);
  register_pack(registry);
  register_write_npy(registry);
  register_discard(registry);
}

}  // namespace penstock
