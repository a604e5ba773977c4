#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::bench {

// Shards of the shipped sample, repeated until they hold about `megabytes` (10^6 bytes) of JSON
// lines in all, in a temporary folder that is removed with this object. zstd level 3, a frame a
// shard.
class BenchCorpus {
 public:
  BenchCorpus(int megabytes, int shards);
  ~BenchCorpus();
  BenchCorpus(const BenchCorpus&) = delete;
  BenchCorpus& operator=(const BenchCorpus&) = delete;

  std::string pattern() const { return folder_ + "/*.jsonl.zst"; }
  const std::vector<std::string>& paths() const { return paths_; }
  std::int64_t raw_bytes() const { return raw_bytes_; }

 private:
  std::string folder_;
  std::vector<std::string> paths_;
  std::int64_t raw_bytes_ = 0;
};

// The model that is shipped with the sample: BPE, 8,000 pieces, byte fallback.
std::string sample_model();

}  // namespace penstock::bench
