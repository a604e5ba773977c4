#include "gpu/peak_flops.h"

#include <array>
#include <utility>

namespace penstock::gpu {

std::optional<double> peak_flops(const std::string& device) {
  // A name that holds another one comes first.
  constexpr std::array<std::pair<const char*, double>, 14> kGpus = {{
      {"GH200", 989.4e12},
      {"H200", 989.4e12},
      {"H100 NVL", 835.5e12},
      {"H100 PCIe", 756e12},
      {"H100", 989.4e12},
      {"H20", 148e12},
      {"B200", 2250e12},
      {"A100", 312e12},
      {"A800", 312e12},
      {"L40S", 362e12},
      {"L40", 181e12},
      {"L4", 121e12},
      {"A40", 149.7e12},
      {"A30", 165e12},
  }};
  for (const auto& [name, flops] : kGpus) {
    const std::size_t at = device.find(name);
    if (at != std::string::npos && (at == 0 || device[at - 1] == ' ')) {
      return flops;
    }
  }
  return std::nullopt;
}

}  // namespace penstock::gpu
