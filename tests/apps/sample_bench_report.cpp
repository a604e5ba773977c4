#include "tests/apps/sample_bench_report.h"

namespace penstock {
namespace {

// `share` of 10 ns a byte.
BenchStage stage(const std::string& name, int node, std::optional<int> width, double share) {
  const double cost = share * 1e-8;
  return {name, node, width, {cost, cost / 1.25, cost * 1.25}, cost * 2};
}

}  // namespace

BenchReport sample_bench_report() {
  BenchReport report;
  report.config = "configs/demo.yaml";
  report.started = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  report.wall_seconds = 9.8;
  report.rounds = 5;
  report.processors = 2;
  report.chunks = 256;
  report.text_bytes = 64'000'000;
  report.tokens = 20'000'000;
  report.timed_text_bytes = 32'000'000;
  report.timed_tokens = 8'000'000;
  report.stages = {stage("read", 0, 4, 0.005),
                   stage("decompress", 0, 4, 0.175),
                   stage("parse", 1, std::nullopt, 0.1),
                   stage("tokenize", 1, std::nullopt, 0.71),
                   stage("pack", 2, 1, 0.01)};
  BenchRun one;
  one.threads = 1;
  one.ceiling = 1e8;
  one.bytes_per_second = {9.8e7, 9.6e7, 9.9e7};
  one.share = {0.98, 0.97, 0.99};
  one.cores_used = 1;
  one.peak_resident_bytes = 60 << 20;
  one.peak_in_flight_bytes = 3 << 20;
  BenchRun two;
  two.threads = 2;
  two.ceiling = 2e8;
  two.bytes_per_second = {1.86e8, 1.8e8, 1.9e8};
  two.share = {0.93, 0.9, 0.95};
  two.cores_used = 1.98;
  two.peak_resident_bytes = 80 << 20;
  two.peak_in_flight_bytes = 6 << 20;
  report.runs = {one, two};
  return report;
}

}  // namespace penstock
