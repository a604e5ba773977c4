#include "pipeline/assembler.h"

#include <stdexcept>
#include <string>

namespace penstock {

void BatchAssembler::go_on_from(std::int64_t next_batch, const TokenAccount&) {
  throw std::logic_error("the assembler cannot go on with batch " + std::to_string(next_batch));
}

}  // namespace penstock
