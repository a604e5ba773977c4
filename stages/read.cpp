#include "stages/read.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
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
#include "stages/decompressor.h"
#include "stages/shard_list.h"

namespace penstock {
namespace {

// Compressed bytes read, and text decompressed, in a step. Both stay in a core's second-level
// cache; larger steps were slower.
constexpr std::size_t kStepBytes = std::size_t{128} << 10;

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

struct CutOptions {
  RecordDelimiter delimiter = RecordDelimiter::kLine;
  std::size_t chunk_size = 0;
  std::size_t max_document = 0;
};

// Cuts the text of one shard after the other into chunks. Holds one chunk; grows beyond a chunk's
// usual size only for a record that is longer.
class RecordCutter {
 public:
  explicit RecordCutter(const CutOptions& options) : options_(options) {}

  void begin_shard(std::shared_ptr<const std::string> shard) {
    record_ = {std::move(shard), 1, 0};
    begin_chunk();
  }

  // Takes bytes from the front of `text`, all of them unless a chunk becomes complete. Returns how
  // many.
  std::size_t add(std::string_view text) {
    std::size_t taken = 0;
    while (taken < text.size() && !is_complete_) {
      const std::string_view rest = text.substr(taken);
      const std::string_view plain = rest.substr(0, plain_size(rest.size()));
      taken += plain.empty() ? add_to_record(rest) : add_plain(plain);
    }
    return taken;
  }

  bool is_complete() const { return is_complete_; }

  ByteChunk take_chunk() {
    chunk_.bytes = without_waste(std::move(chunk_.bytes));
    ByteChunk chunk = std::move(chunk_);
    begin_chunk();
    return chunk;
  }

  // The shard is over. What is left, if there is anything.
  std::optional<ByteChunk> end_shard() {
    if (too_long_ || chunk_.bytes.size() > record_begin_) {
      end_record(0);
    }
    if (chunk_.num_records == 0) {
      return std::nullopt;
    }
    return take_chunk();
  }

  // The shard cannot be read on: the whole records that are left, and a reject for the one at
  // which it stopped, of which there may be no byte yet.
  ByteChunk break_off(std::string reason) {
    constexpr std::size_t kMostRaw = std::size_t{64} << 10;
    Reject reject;
    if (too_long_) {
      reject = std::move(*too_long_);
      too_long_.reset();
    } else {
      const std::string_view raw = chunk_.bytes.view().substr(record_begin_);
      reject.raw = raw.substr(0, kMostRaw);
      reject.raw_bytes = std::ssize(raw);
    }
    reject.position = record_;
    reject.reason = std::move(reason);
    chunk_.rejects.push_back(std::move(reject));
    chunk_.bytes.resize(record_begin_);
    ++chunk_.num_records;
    return take_chunk();
  }

 private:
  // A chunk ends with this many records that are too long, so that a shard full of them is
  // reported bit by bit.
  static constexpr std::size_t kMostTooLong = 64;

  void begin_chunk() {
    chunk_ = {};
    chunk_.position = record_;
    chunk_.delimiter = options_.delimiter;
    record_begin_ = 0;
    is_complete_ = false;
  }

  // How many of the next bytes can neither complete the chunk nor make a record too long, whatever
  // they are.
  std::size_t plain_size(std::size_t size) const {
    const std::size_t held = chunk_.bytes.size();
    if (options_.delimiter == RecordDelimiter::kFile || too_long_ || held >= options_.chunk_size) {
      return 0;
    }
    const std::size_t most = std::min(size, options_.chunk_size - held - 1);
    return held - record_begin_ + most <= options_.max_document ? most : 0;
  }

  std::size_t add_plain(std::string_view bytes) {
    make_room(chunk_.bytes.size() + bytes.size(), false);
    chunk_.bytes.append(bytes);
    const std::int64_t newlines = std::count(bytes.begin(), bytes.end(), '\n');
    if (newlines > 0) {
      const std::size_t after_last = bytes.size() - bytes.rfind('\n') - 1;
      const std::size_t end = chunk_.bytes.size() - after_last;
      count_records(newlines, static_cast<std::int64_t>(end - record_begin_));
      record_begin_ = end;
    }
    return bytes.size();
  }

  // Adds to the record under way up to its end.
  std::size_t add_to_record(std::string_view bytes) {
    const std::size_t newline =
        options_.delimiter == RecordDelimiter::kLine ? bytes.find('\n') : std::string_view::npos;
    if (newline == std::string_view::npos) {
      extend_record(bytes, bytes.size());
      return bytes.size();
    }
    extend_record(bytes.substr(0, newline + 1), newline);
    end_record(1);
    return newline + 1;
  }

  // `bytes` are `length` bytes of the record, and its newline where that is reached.
  void extend_record(std::string_view bytes, std::size_t length) {
    const std::size_t record_length = chunk_.bytes.size() - record_begin_ + length;
    if (too_long_) {
      too_long_->raw_bytes += static_cast<std::int64_t>(length);
    } else if (record_length > options_.max_document) {
      give_up_record(bytes.substr(0, length));
    } else {
      make_room(chunk_.bytes.size() + bytes.size(), bytes.size() > length);
      chunk_.bytes.append(bytes);
    }
  }

  void end_record(std::int64_t newline_bytes) {
    auto length = static_cast<std::int64_t>(chunk_.bytes.size() - record_begin_);
    if (too_long_) {
      length = too_long_->raw_bytes + newline_bytes;
      reject_too_long();
    }
    count_records(1, length);
    record_begin_ = chunk_.bytes.size();
    is_complete_ = record_begin_ >= options_.chunk_size || chunk_.rejects.size() >= kMostTooLong;
  }

  // The next record begins `length` bytes of text later.
  void count_records(std::int64_t count, std::int64_t length) {
    chunk_.num_records += count;
    record_.record += count;
    record_.byte_offset += length;
  }

  // From here on the record is only measured.
  void give_up_record(std::string_view more) {
    constexpr std::size_t kMostRaw = 80;
    const std::string_view held = chunk_.bytes.view().substr(record_begin_);
    too_long_.emplace();
    too_long_->position = record_;
    too_long_->raw = held.substr(0, kMostRaw);
    too_long_->raw += more.substr(0, kMostRaw - too_long_->raw.size());
    too_long_->raw_bytes = std::ssize(held) + std::ssize(more);
    chunk_.bytes.resize(record_begin_);
    if (chunk_.bytes.capacity() > usual_capacity()) {
      chunk_.bytes = copy_of(chunk_.bytes, usual_capacity());
    }
  }

  void reject_too_long() {
    too_long_->reason = "record of " + std::to_string(too_long_->raw_bytes) +
                        " bytes is longer than max_document (" +
                        format_bytes(static_cast<std::int64_t>(options_.max_document)) + ")";
    chunk_.rejects.push_back(std::move(*too_long_));
    too_long_.reset();
  }

  // The last record of a chunk goes beyond chunk_size; an eighth is room for most of them.
  std::size_t usual_capacity() const { return options_.chunk_size + options_.chunk_size / 8; }

  // `is_final`: the chunk will not grow beyond `size`, unless that is within the usual.
  void make_room(std::size_t size, bool is_final) {
    const std::size_t capacity = chunk_.bytes.capacity();
    if (size <= capacity) {
      return;
    }
    if (size <= usual_capacity()) {
      chunk_.bytes.reserve(usual_capacity());
    } else if (is_final) {
      chunk_.bytes.reserve(size);
    } else {
      const std::size_t most = options_.chunk_size + options_.max_document;
      chunk_.bytes.reserve(std::max(size, std::min(capacity + capacity / 2, most)));
    }
  }

  static ByteBuffer copy_of(const ByteBuffer& bytes, std::size_t capacity) {
    ByteBuffer copy(capacity);
    copy.append(bytes.view());
    return copy;
  }

  // Capacity is what memory credits count.
  static ByteBuffer without_waste(ByteBuffer bytes) {
    const bool is_tight = bytes.capacity() <= bytes.size() + bytes.size() / 4;
    return is_tight ? std::move(bytes) : copy_of(bytes, bytes.size());
  }

  const CutOptions options_;
  ByteChunk chunk_;                 // being filled
  SourcePosition record_;           // where the record under way begins
  std::size_t record_begin_ = 0;    // the same in chunk_.bytes
  std::optional<Reject> too_long_;  // the record under way, if it has become too long
  bool is_complete_ = false;
};

struct Rows {
  StageMetrics& read;
  StageMetrics& decompress;
};

// Reads its shards one after the other, with one of them open at a time.
class Lane {
 public:
  Lane(std::vector<Shard> shards, const CutOptions& options, std::int64_t max_window, Rows rows)
      : shards_(std::move(shards)), max_window_(max_window), rows_(rows), cutter_(options) {}

  std::optional<ByteChunk> next(const std::stop_token& stop) {
    while (!stop.stop_requested() && (file_ || next_shard_ < shards_.size())) {
      std::optional<ByteChunk> chunk;
      try {
        chunk = file_ ? step(stop) : open_shard();
      } catch (const ShardError& error) {
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

 private:
  std::optional<ByteChunk> open_shard() {
    if (input_buffer_.empty()) {
      input_buffer_.resize(kStepBytes);
      text_buffer_.resize(kStepBytes);
    }
    const Shard& shard = shards_[next_shard_++];
    cutter_.begin_shard(shard.name);
    file_.emplace(shard);
    return std::nullopt;
  }

  void close_shard() {
    file_.reset();
    decompressor_.reset();
    input_ = {};
    text_ = {};
    input_ended_ = false;
  }

  // Cuts, or decompresses, or reads a little. Returns a chunk when one is complete.
  std::optional<ByteChunk> step(const std::stop_token& stop) {
    if (!text_.empty()) {
      return cut();
    }
    if (decompress()) {
      return std::nullopt;
    }
    if (!input_ended_) {
      read(stop);
      return std::nullopt;
    }
    decompressor_->finish();
    close_shard();
    return cutter_.end_shard();
  }

  std::optional<ByteChunk> cut() {
    const BusyTimer timer(rows_.decompress.busy);
    text_.remove_prefix(cutter_.add(text_));
    if (!cutter_.is_complete()) {
      return std::nullopt;
    }
    return cutter_.take_chunk();
  }

  // Returns whether it got anywhere; otherwise it needs more input.
  bool decompress() {
    if (!decompressor_) {
      return false;
    }
    const BusyTimer timer(rows_.decompress.busy);
    const auto [consumed, produced] = decompressor_->step(input_, text_buffer_);
    input_.remove_prefix(consumed);
    text_ = {text_buffer_.data(), produced};
    rows_.decompress.bytes_in.fetch_add(static_cast<std::int64_t>(consumed),
                                        std::memory_order_relaxed);
    rows_.decompress.bytes_out.fetch_add(static_cast<std::int64_t>(produced),
                                         std::memory_order_relaxed);
    return consumed > 0 || produced > 0;
  }

  void read(const std::stop_token& stop) {
    const BusyTimer timer(rows_.read.busy);
    const std::size_t size = file_->read_full(input_buffer_, stop);
    rows_.read.bytes_in.fetch_add(static_cast<std::int64_t>(size), std::memory_order_relaxed);
    if (stop.stop_requested()) {
      return;  // with a part of a step: next() gives nothing more
    }
    input_ = {input_buffer_.data(), size};
    input_ended_ = size == 0;
    if (!decompressor_) {
      decompressor_ = make_decompressor(input_, max_window_);
    }
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

  const std::vector<Shard> shards_;
  const std::int64_t max_window_;
  const Rows rows_;
  RecordCutter cutter_;
  std::size_t next_shard_ = 0;

  // Of the open shard.
  std::optional<InputFile> file_;
  std::unique_ptr<Decompressor> decompressor_;  // from the first bytes on
  std::string_view input_;                      // read, not yet decompressed
  std::string_view text_;                       // decompressed, not yet cut
  bool input_ended_ = false;

  std::vector<char> input_buffer_;
  std::vector<char> text_buffer_;
};

class ShardReader final : public Source {
 public:
  ShardReader(const std::vector<Shard>& shards,
              std::size_t lanes,
              const CutOptions& options,
              std::int64_t max_window,
              Rows rows)
      : total_bytes_(sum_of_sizes(shards)) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      std::vector<Shard> own;
      for (std::size_t i = lane; i < shards.size(); i += lanes) {
        own.push_back(shards[i]);
      }
      lanes_.emplace_back(std::move(own), options, max_window, rows);
    }
  }

  int lanes() const override { return static_cast<int>(lanes_.size()); }

  std::optional<Chunk> next(int lane, const std::stop_token& stop) override {
    return lanes_.at(static_cast<std::size_t>(lane)).next(stop);
  }

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

  const std::optional<std::int64_t> total_bytes_;
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
  const Rows rows{context.own_row, context.metrics.add("decompress", static_cast<int>(lanes))};
  return std::make_unique<ShardReader>(
      list.shards, static_cast<std::size_t>(lanes), options, config.integer("max_window"), rows);
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
