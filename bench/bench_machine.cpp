#include "bench/bench_machine.h"

#include <cstdint>
#include <ctime>
#include <fstream>
#include <regex>
#include <string>
#include <thread>

#include <cuda_runtime_api.h>

#include "gpu/cuda/check.h"

namespace penstock::bench {
namespace {

// What the first line of the file that matches has in the parentheses; "unknown" where none does.
std::string first_match(const std::string& path, const std::string& pattern) {
  std::ifstream file(path);
  std::smatch match;
  for (std::string line; std::getline(file, line);) {
    if (std::regex_search(line, match, std::regex(pattern))) {
      return match[1];
    }
  }
  return "unknown";
}

// 13000 is "13.0"
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::vector<Result> describe_machine(int device) {
  cudaDeviceProp properties{};
  gpu::check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  int driver = 0;
  int runtime = 0;
  gpu::check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  gpu::check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return {{"processor", first_match("/proc/cpuinfo", "^model name\\s*: (.*)$")},
          {"cores", static_cast<std::int64_t>(std::thread::hardware_concurrency())},
          {"gpu", std::string(properties.name)},
          {"gpu_multiprocessors", static_cast<std::int64_t>(properties.multiProcessorCount)},
          {"gpu_memory_bytes", static_cast<std::int64_t>(properties.totalGlobalMem)},
          {"driver",
           first_match("/proc/driver/nvidia/version", "NVRM version:.*?\\s([0-9]+\\.[0-9.]+)\\s")},
          {"driver_cuda_version", version_text(driver)},
          {"runtime_cuda_version", version_text(runtime)}};
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm calendar{};
  gmtime_r(&now, &calendar);
  char text[sizeof "2026-01-31T12:34:56Z"] = {};
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &calendar);
  return text;
}

}  // namespace penstock::bench
