// A plug-in that cannot be set up, and says so with an error of its own: what reads the error runs
// code of the plug-in.

#include <exception>

#include "pipeline/plugin.h"

namespace {

class NoLicence final : public std::exception {
 public:
  const char* what() const noexcept override { return "no licence"; }
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry&) {
  throw NoLicence();
}
