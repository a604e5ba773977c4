#include "stages/read.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/errors.h"
#include "stages/content_fingerprint.h"
#include "stages/decompressor.h"
#include "stages/parallel_frames.h"
#include "stages/record_cutter.h"
#include "stages/shard_list.h"

namespace penstock {
namespace {

// How often a wait for a pipe looks at the stop token.
constexpr int kPollMilliseconds = 100;

// An open shard as it is stored.
class InputFile {
 public:
  // Throws ShardError.
  explicit InputFile(const Shard& shard)
      : owns_descriptor_(shard.path != kStandardInput),
        // Regular files know no O_NONBLOCK; for a pipe it keeps open() from waiting for a writer.
        descriptor_(owns_descriptor_ ? open(shard.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
                                     : STDIN_FILENO) {
    struct stat status {};
    if (descriptor_ < 0) {
      throw ShardError("cannot open the shard: " + error_text(errno));
    }
    if (fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
      size_ = status.st_size - bytes_passed_over();
      posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() {
    if (owns_descriptor_) {
      close(descriptor_);
    }
  }

  // Bytes as stored, from where reading began; nothing for a pipe.
  std::optional<std::int64_t> size() const { return size_; }

  // Reads until `buffer` is full, so that what a step sees does not depend on how a pipe was
  // written. Fewer bytes mean the end of the file or a stop request. Throws ShardError.
  std::size_t read_full(std::span<char> buffer, const std::stop_token& stop) {
    std::size_t size = 0;
    while (size < buffer.size() && !stop.stop_requested()) {
      if (!size_ && !wait_readable()) {
        continue;
      }
      const ssize_t got = read(descriptor_, buffer.data() + size, buffer.size() - size);
      if (got == 0) {
        break;
      }
      if (got > 0) {
        size += static_cast<std::size_t>(got);
      } else if (errno != EINTR && errno != EAGAIN) {
        const int error_number = errno;
        throw ShardError("cannot read on from compressed byte " + std::to_string(offset_) + ": " +
                             error_text(error_number),
                         offset_);
      }
    }
    offset_ += static_cast<std::int64_t>(size);
    return size;
  }

 private:
  // Standard input may be a file of which another process has read the beginning.
  std::int64_t bytes_passed_over() const {
    return std::max<std::int64_t>(lseek(descriptor_, 0, SEEK_CUR), 0);
  }

  bool wait_readable() const {
    pollfd waiting{descriptor_, POLLIN, 0};
    return poll(&waiting, 1, kPollMilliseconds) > 0;
  }

  const bool owns_descriptor_;
  const int descriptor_;
  std::optional<std::int64_t> size_;
  std::int64_t offset_ = 0;
};

struct Rows {
  StageMetrics& read;
  StageMetrics& decompress;
  int most_threads = 1;  // that can decompress
};

// A shard with its place in the list of all lanes' shards, from 0.
struct LaneShard {
  Shard shard;
  std::int64_t index = 0;
};

// Reads its shards one after the other, with one of them open at a time.
class Lane {
 public:
  // `width`: how many frames may be decompressed at the same time.
  Lane(std::vector<LaneShard> shards,
       const CutOptions& options,
       std::int64_t max_window,
       int width,
       Rows rows)
      : shards_(std::move(shards)),
        max_window_(max_window),
        width_(width),
        rows_(rows),
        cutter_(options) {}

  void reuse(SpareMemory spare) { cutter_.reuse(std::move(spare)); }

  std::optional<ByteChunk> next(const std::stop_token& stop) {
    while (!stop.stop_requested() && (file_ || next_shard_ < shards_.size())) {
      std::optional<ByteChunk> chunk;
      try {
        chunk = file_ ? step(stop) : open_shard();
      } catch (const ShardError& error) {
        if (bytes_to_pass_ > 0) {
          throw_changed(std::string("cannot be read up to there: ") + error.what());
        }
        chunk = cutter_.break_off(describe(error));
        close_shard();
      }
      if (chunk) {
        rows_.decompress.chunks.fetch_add(1, std::memory_order_relaxed);
        rows_.decompress.records.fetch_add(chunk->num_records, std::memory_order_relaxed);
        return chunk;
      }
    }
    return std::nullopt;
  }

  LanePosition position() const {
    if (file_) {
      return {shards_[next_shard_ - 1].index, cutter_.position()};
    }
    if (next_shard_ < shards_.size()) {
      const LaneShard& next = shards_[next_shard_];
      return {next.index, {next.shard.name, start_.record, start_.byte_offset}};
    }
    return {shards_.back().index + 1, {}};
  }

  void go_on_from(const LanePosition& position) {
    const auto found = std::find_if(shards_.begin(), shards_.end(), [&](const LaneShard& shard) {
      return shard.index >= position.shard;
    });
    next_shard_ = static_cast<std::size_t>(found - shards_.begin());
    start_ = position.place;
  }

  // As stored, of the shards that are not read, pipes not counted.
  std::int64_t bytes_passed_over() const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < next_shard_; ++i) {
      sum += shards_[i].shard.size.value_or(0);
    }
    return sum;
  }

 private:
  std::optional<ByteChunk> open_shard() {
    if (input_buffer_.empty()) {
      input_buffer_.resize(kStepBytes);
    }
    const Shard& shard = shards_[next_shard_++].shard;
    SourcePosition begin = std::exchange(start_, {});
    begin.shard = shard.name;
    bytes_to_pass_ = begin.byte_offset;
    lines_to_pass_ = begin.record - 1;
    cutter_.begin_shard(std::move(begin));
    file_.emplace(shard);
    return std::nullopt;
  }

  void close_shard() {
    file_.reset();
    decompressor_.reset();
    input_ = {};
    input_ended_ = false;
    read_failure_ = nullptr;
  }

  // Decompresses or reads a little. Returns a chunk when one is complete.
  std::optional<ByteChunk> step(const std::stop_token& stop) {
    if (cutter_.is_complete()) {
      const BusyTimer timer(rows_.decompress.busy);
      return cutter_.take_chunk();
    }
    if (decompress()) {
      return std::nullopt;
    }
    if (!input_ended_) {
      read(stop);
      return std::nullopt;
    }
    if (read_failure_) {
      std::rethrow_exception(read_failure_);
    }
    decompressor_->finish();
    if (bytes_to_pass_ > 0) {
      throw_changed("ends " + std::to_string(bytes_to_pass_) + " bytes before");
    }
    close_shard();
    return cutter_.end_shard();
  }

  // Returns whether it got anywhere; otherwise it needs more input.
  bool decompress() {
    if (!decompressor_) {
      return false;
    }
    const BusyTimer timer(rows_.decompress.busy);
    std::span<char> room = cutter_.room();
    if (bytes_to_pass_ > 0) {
      room = room.first(std::min(room.size(), static_cast<std::size_t>(bytes_to_pass_)));
    }
    const auto [consumed, produced] = decompressor_->step(input_, room);
    input_.remove_prefix(consumed);
    if (bytes_to_pass_ > 0) {
      pass_over(room.first(produced));
    } else {
      cutter_.add(produced);
    }
    rows_.decompress.bytes_in.fetch_add(static_cast<std::int64_t>(consumed),
                                        std::memory_order_relaxed);
    rows_.decompress.bytes_out.fetch_add(static_cast<std::int64_t>(produced),
                                         std::memory_order_relaxed);
    return consumed > 0 || produced > 0;
  }

  // Text in front of where the lane goes on. There is no way to it but through what is compressed
  // before.
  void pass_over(std::span<const char> text) {
    bytes_to_pass_ -= std::ssize(text);
    lines_to_pass_ -= std::count(text.begin(), text.end(), '\n');
    if (bytes_to_pass_ == 0 && (lines_to_pass_ != 0 || text.back() != '\n')) {
      throw_changed("has other records before");
    }
  }

  [[noreturn]] void throw_changed(const std::string& how) const {
    throw std::runtime_error("the run is to go on at " + to_string(cutter_.position()) +
                             ", but the shard " + how + ": it is not what it was");
  }

  void read(const std::stop_token& stop) {
    const BusyTimer timer(rows_.read.busy);
    const std::size_t size = read_step(stop);
    rows_.read.bytes_in.fetch_add(static_cast<std::int64_t>(size), std::memory_order_relaxed);
    if (stop.stop_requested()) {
      return;  // with a part of a step: next() gives nothing more
    }
    input_ = {input_buffer_.data(), size};
    input_ended_ = size == 0;
    if (!decompressor_) {
      decompressor_ = open_decompressor();
    }
    if (input_ended_) {
      decompressor_->end_input();
    }
  }

  // An error is told when everything before it has been decompressed.
  std::size_t read_step(const std::stop_token& stop) {
    try {
      return file_->read_full(input_buffer_, stop);
    } catch (const ShardError&) {
      if (!decompressor_) {
        throw;
      }
      read_failure_ = std::current_exception();
      return 0;
    }
  }

  std::unique_ptr<Decompressor> open_decompressor() {
    std::unique_ptr<Decompressor> decompressor = make_decompressor(input_, max_window_);
    // A pipe is not waited for longer than necessary.
    if (width_ > 1 && file_->size() && decompressor->is_between_frames()) {
      return decompress_frames_in_parallel(
          std::move(decompressor), max_window_, width_, rows_.decompress, rows_.most_threads);
    }
    return decompressor;
  }

  std::string describe(const ShardError& error) const {
    std::string reason = error.what();
    if (error.intact()) {
      reason += "; the rest of the shard is lost";
    }
    if (error.intact() && file_->size()) {
      const std::int64_t size = *file_->size();
      reason += " (" + std::to_string(size - *error.intact()) + " of " + std::to_string(size) +
                " compressed bytes)";
    }
    return reason;
  }

  const std::vector<LaneShard> shards_;
  const std::int64_t max_window_;
  const int width_;
  const Rows rows_;
  RecordCutter cutter_;
  std::size_t next_shard_ = 0;
  SourcePosition start_;  // in the next shard

  // Of the open shard.
  std::int64_t bytes_to_pass_ = 0;  // of its text, in front of where the lane goes on
  std::int64_t lines_to_pass_ = 0;  // that end there
  std::optional<InputFile> file_;
  std::unique_ptr<Decompressor> decompressor_;  // from the first bytes on
  std::string_view input_;                      // read, not yet decompressed
  bool input_ended_ = false;
  std::exception_ptr read_failure_;

  std::vector<char> input_buffer_;
};

class ShardReader final : public Source {
 public:
  ShardReader(const std::vector<Shard>& shards,
              std::size_t lanes,
              const CutOptions& options,
              std::int64_t max_window,
              int width,
              Rows rows)
      : total_bytes_(sum_of_sizes(shards)) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      std::vector<LaneShard> own;
      for (std::size_t i = lane; i < shards.size(); i += lanes) {
        own.push_back({shards[i], static_cast<std::int64_t>(i)});
      }
      lanes_.emplace_back(std::move(own), options, max_window, width, rows);
    }
  }

  int lanes() const override { return static_cast<int>(lanes_.size()); }

  std::optional<Chunk> next(int lane, const std::stop_token& stop) override {
    return lanes_.at(static_cast<std::size_t>(lane)).next(stop);
  }

  void reuse(int lane, SpareMemory spare) override {
    lanes_.at(static_cast<std::size_t>(lane)).reuse(std::move(spare));
  }

  std::optional<LanePosition> position(int lane) const override {
    return lanes_.at(static_cast<std::size_t>(lane)).position();
  }

  void go_on_from(int lane, const LanePosition& position) override {
    Lane& from = lanes_.at(static_cast<std::size_t>(lane));
    from.go_on_from(position);
    if (total_bytes_) {
      *total_bytes_ -= from.bytes_passed_over();
    }
  }

  bool times_itself() const override { return true; }
  std::optional<std::int64_t> total_bytes() const override { return total_bytes_; }

 private:
  static std::optional<std::int64_t> sum_of_sizes(const std::vector<Shard>& shards) {
    std::int64_t sum = 0;
    for (const Shard& shard : shards) {
      if (!shard.size) {
        return std::nullopt;
      }
      sum += *shard.size;
    }
    return sum;
  }

  std::optional<std::int64_t> total_bytes_;
  std::deque<Lane> lanes_;
};

std::vector<Option> read_options() {
  constexpr double kKiB = 1024;
  constexpr double kMiB = kKiB * 1024;
  constexpr double kGiB = kMiB * 1024;
  return {
      Option::text_list("paths",
                        "The shards: files, folders (their files, but neither hidden ones "
                        "nor *.partial), glob patterns (matches sorted bytewise), or '-' for "
                        "standard input. zstd, gzip and plain text are told apart by content, not "
                        "by name."),
      Option::integer("lanes",
                      "How many shards are read and decompressed at the same time. Shapes the "
                      "order of the stream: lane l reads shards l, l + lanes, ...")
          .in_range(1, 256)
          .or_else(std::int64_t{4}),
      Option::bytes("chunk_size", "Text in a chunk, the unit of work; a chunk ends with a record.")
          .in_range(4 * kKiB, 64 * kMiB)
          .or_else(std::int64_t{256} << 10),
      Option::choice(
          "records", "What a record is: a line, or a whole shard ('file').", {"line", "file"})
          .or_else(std::string("line")),
      Option::bytes("max_document",
                    "A record that is longer is refused. Long documents cost memory beside "
                    "memory_limit: while it encodes a document, the SentencePiece library needs "
                    "about 165 bytes of memory for each byte of the document.")
          .in_range(1, 2 * kGiB)
          .or_else(std::int64_t{8} << 20),
      Option::bytes("max_window",
                    "Largest window of a zstd frame, a power of two: memory that a lane may need "
                    "beside memory_limit.")
          .in_range(kKiB, 2 * kGiB)
          .or_else(std::int64_t{128} << 20),
  };
}

void check_max_window(const StageConfig& config, std::vector<ConfigIssue>& issues) {
  const auto window = static_cast<std::uint64_t>(config.integer("max_window"));
  if (!std::has_single_bit(window)) {
    const ConfigError error =
        config.error("max_window",
                     "got " + std::to_string(window) + ", expected a power of two, such as " +
                         format_bytes(static_cast<std::int64_t>(std::bit_ceil(window))));
    issues.insert(issues.end(), error.issues().begin(), error.issues().end());
  }
}

ShardList list_and_claim(const std::vector<std::string>& paths, FileClaims& files) {
  if (paths.empty()) {
    return {{}, {"got '[]', expected at least one path"}};
  }
  ShardList list = list_shards(paths);
  for (const Shard& shard : list.shards) {
    if (shard.path == kStandardInput) {
      continue;
    }
    try {
      files.add_input(shard.path);
    } catch (const std::runtime_error& error) {
      list.problems.emplace_back(error.what());
    }
  }
  return list;
}

std::unique_ptr<Source> make_reader(const StageConfig& config, const BuildContext& context) {
  std::vector<ConfigIssue> issues;
  check_max_window(config, issues);
  const ShardList list = list_and_claim(config.text_list("paths"), context.files);
  for (const std::string& problem : list.problems) {
    const ConfigError error = config.error("paths", problem);
    issues.insert(issues.end(), error.issues().begin(), error.issues().end());
  }
  if (!issues.empty()) {
    throw ConfigError(issues);
  }
  // A lane without a shard deals no chunk, so it makes no difference to the stream.
  const std::int64_t lanes = std::min(config.integer("lanes"), std::ssize(list.shards));
  const CutOptions options{
      config.text("records") == "file" ? RecordDelimiter::kFile : RecordDelimiter::kLine,
      static_cast<std::size_t>(config.integer("chunk_size")),
      static_cast<std::size_t>(config.integer("max_document"))};
  StreamFingerprint& fingerprint = context.stream.fingerprint;
  fingerprint.erase(context.own_row.name + ".paths");
  add_shards(list.shards, context.own_row.name, fingerprint);
  // Where threads outnumber lanes, some help to decompress a lane's frames.
  const auto width =
      static_cast<int>((context.threads + lanes - 1) / std::max<std::int64_t>(lanes, 1));
  const Rows rows{context.own_row,
                  context.metrics.add("decompress", static_cast<int>(lanes)),
                  static_cast<int>(lanes) * width};
  return std::make_unique<ShardReader>(list.shards,
                                       static_cast<std::size_t>(lanes),
                                       options,
                                       config.integer("max_window"),
                                       width,
                                       rows);
}

}  // namespace

void register_read(StageRegistry& registry) {
  registry.add({"read",
                "Reads, decompresses and cuts shards into records.",
                Payload::kNone,
                Payload::kBytes,
                Ordering::kParallel,
                read_options(),
                SourceFactory(make_reader)});
}

}  // namespace penstock
