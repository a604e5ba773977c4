#include "pipeline/source.h"

#include <stdexcept>

namespace penstock {

void Source::go_on_from(int lane, const LanePosition&) {
  throw std::logic_error("lane " + std::to_string(lane) +
                         " cannot go on from a place: " + "the source does not tell places");
}

}  // namespace penstock
