#include "tests/apps/sample_report.h"

namespace penstock {

RunReport sample_report() {
  RunSummary summary;
  summary.finished = true;
  summary.wall_seconds = 2;
  summary.cpu_seconds = 3;
  summary.threads = 2;
  summary.memory_limit = std::int64_t{1} << 30;
  summary.peak_in_flight_bytes = 3 << 20;
  summary.peak_resident_bytes = 50 << 20;
  summary.total_input_bytes = 745'825;
  summary.input_bytes = 745'825;
  summary.records = 1038;
  summary.documents = 1036;
  summary.text_bytes = 3'100'000;
  summary.batches = 24;
  summary.rejects = 2;
  summary.tokens = {.in = 800'000, .out = 790'000, .dropped = 10'000, .padded = 7, .repeated = 5};
  summary.delivered_tokens = 790'000;
  summary.all_packed = true;

  StageSummary read;
  read.name = "read";
  read.width = 1;
  read.chunks = 13;
  read.records = 1038;
  read.bytes_in = 745'825;
  read.bytes_out = 3'244'520;
  read.rejects = 1;
  read.busy_seconds = 0.1;
  read.blocked_seconds = 1.5;
  read.busy_share = 0.05;
  StageSummary tokenize;
  tokenize.name = "tokenize";
  tokenize.width = 2;
  tokenize.chunks = 13;
  tokenize.documents = 1036;
  tokenize.tokens = 800'000;
  tokenize.bytes_in = 3'100'000;
  tokenize.bytes_out = 3'200'000;
  tokenize.rejects = 1;
  tokenize.busy_seconds = 3.6;
  tokenize.busy_share = 0.9;
  tokenize.note = "fast engine: BPE";
  StageSummary write;
  write.name = "write_npy";
  write.chunks = 24;
  write.tokens = 790'000;
  write.busy_seconds = 0.2;
  write.busy_share = 0.1;
  summary.stages = {read, tokenize, write};
  summary.sinks = {
      {"write_npy",
       {{"path", std::string("out.npy")}, {"rows", std::int64_t{768}}, {"mean_row", 1028.5}}}};
  summary.limiting_stage = "tokenize";
  summary.limit_reason = "its threads are busy 90 % of the time";

  RunReport report;
  report.config = "configs/demo.yaml";
  report.started = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  report.summary = summary;
  return report;
}

}  // namespace penstock
