#include "pipeline/endless_source.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <stdexcept>
#include <utility>

namespace penstock {
// A source and what it was built with, for one lane.
struct EndlessSource::Pass {
  StreamInfo stream;
  FileClaims files;
  Metrics metrics;
  std::map<std::string, std::int64_t> counted_ns;  // of each row, see count_time()
  std::unique_ptr<Source> source;
};

EndlessSource::EndlessSource(SourceFactory factory, StageConfig config, const BuildContext& first)
    : factory_(std::move(factory)),
      config_(std::move(config)),
      threads_(first.threads),
      metrics_(first.metrics),
      first_(factory_(config_, first)),
      lanes_(static_cast<std::size_t>(std::max(0, first_->lanes()))) {}

EndlessSource::~EndlessSource() = default;

std::optional<Chunk> EndlessSource::next(int lane_number, const std::stop_token& stop) {
  Lane& lane = lanes_.at(static_cast<std::size_t>(lane_number));
  while (true) {
    Source& source = lane.pass ? *lane.pass->source : *first_;
    std::optional<Chunk> chunk = source.next(lane_number, stop);
    count_time(lane);
    if (!chunk && (stop.stop_requested() || (lane.chunks == 0 && lane.passes == 1))) {
      return std::nullopt;
    }
    if (lane.chunks == 0) {
      check_first(chunk, lane);
    }
    if (chunk) {
      ++lane.chunks;
      return chunk;
    }
    lane.pass = begin_pass();
    ++lane.passes;
    lane.chunks = 0;
  }
}

void EndlessSource::reuse(int lane_number, SpareMemory spare) {
  const Lane& lane = lanes_.at(static_cast<std::size_t>(lane_number));
  (lane.pass ? *lane.pass->source : *first_).reuse(lane_number, std::move(spare));
}

void EndlessSource::check_first(const std::optional<Chunk>& chunk, Lane& lane) {
  const std::int64_t size = chunk ? content_bytes(*chunk) + info(*chunk).num_records : 0;
  if (lane.passes == 1) {
    lane.first_chunk_size = size;
  } else if (!chunk || size != lane.first_chunk_size) {
    throw std::runtime_error(
        "the input is not the same when it is read again; it has to be in files, not in a pipe");
  }
}

std::unique_ptr<EndlessSource::Pass> EndlessSource::begin_pass() {
  const std::lock_guard lock(mutex_);
  auto pass = std::make_unique<Pass>();
  StageMetrics& row = pass->metrics.add(metrics_.rows().front().name, 1);
  pass->source =
      factory_(config_, BuildContext{pass->stream, pass->metrics, row, pass->files, threads_});
  return pass;
}

void EndlessSource::count_time(Lane& lane) {
  if (!lane.pass) {
    return;
  }
  for (StageMetrics& row : metrics_.rows()) {
    for (const StageMetrics& own : lane.pass->metrics.rows()) {
      if (own.name == row.name) {
        std::int64_t& counted = lane.pass->counted_ns[own.name];
        const std::int64_t now = own.busy.total_ns();
        row.busy.add(now - std::exchange(counted, now));
      }
    }
  }
}

int EndlessSource::passes() const {
  int most = 1;
  for (const Lane& lane : lanes_) {
    most = std::max(most, lane.passes);
  }
  return most;
}

}  // namespace penstock
