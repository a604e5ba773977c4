#include "stages/write_npy.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/atomic_file.h"
#include "pipeline/batch.h"
#include "pipeline/errors.h"
#include "pipeline/sink.h"
#include "stages/npy.h"

namespace penstock {
namespace {

static_assert(std::endian::native == std::endian::little, "ids are written as they lie in memory");

constexpr std::int64_t kUint16Values = std::int64_t{std::numeric_limits<std::uint16_t>::max()} + 1;

template <typename T>
std::string_view bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

// Writes the rows of every batch that hold real tokens, padding of the last row included, as one
// array of shape (rows, row_length). The header is written last, when the number of rows is known.
class NpyWriter final : public Sink {
 public:
  // Throws FileError.
  NpyWriter(const std::string& path, bool narrow, std::int64_t row_length)
      : file_(path), narrow_(narrow), row_length_(row_length) {
    file_.write(std::string(kNpyHeaderBytes, '\0'));
  }

  void consume(std::shared_ptr<const Batch> batch, Completion done) override {
    try {
      write(*batch);
    } catch (...) {
      done.fail(std::current_exception());
      return;
    }
    batch.reset();
    done.done();
  }

  void finish() override {
    file_.write_at(0, npy_header(narrow_ ? "<u2" : "<u4", rows_, row_length_));
    file_.commit();
  }

  std::string why_not_resumable() const override {
    return "its file appears when a run is over, so an earlier run has left none to go on with";
  }

  std::vector<Result> results() const override {
    return {{"path", file_.path()},
            {"rows", rows_},
            {"row_length", row_length_},
            {"dtype", std::string(narrow_ ? "uint16" : "uint32")},
            {"bytes", file_.size()}};
  }

 private:
  void write(const Batch& batch) {
    if (rows_ > 0 && batch.row_length != row_length_) {
      throw std::logic_error("the row length changed from " + std::to_string(row_length_) + " to " +
                             std::to_string(batch.row_length) + " at batch " +
                             std::to_string(batch.index));
    }
    row_length_ = batch.row_length;
    const auto cells = static_cast<std::size_t>(batch.num_rows * batch.row_length);
    const auto ids = std::span(batch.tokens).first(cells);
    file_.write(narrow_ ? bytes_of(narrowed(ids)) : bytes_of(ids));
    rows_ += batch.num_rows;
  }

  // Valid until the next call. The loop has no branch, so that compilers vectorise it.
  std::span<const std::uint16_t> narrowed(std::span<const TokenId> ids) {
    narrow_ids_.resize(ids.size());
    TokenId all_bits = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      narrow_ids_[i] = static_cast<std::uint16_t>(ids[i]);
      all_bits |= ids[i];
    }
    if (all_bits >= kUint16Values) {
      const TokenId largest = *std::max_element(ids.begin(), ids.end());
      throw std::logic_error("token id " + std::to_string(largest) +
                             " is outside the model's vocabulary and does not fit 16 bits");
    }
    return narrow_ids_;
  }

  AtomicFile file_;
  const bool narrow_;
  std::int64_t row_length_;
  std::int64_t rows_ = 0;
  std::vector<std::uint16_t> narrow_ids_;
};

// Whether ids are written in 16 bits.
bool is_narrow(const StageConfig& config, const StreamInfo& stream) {
  const std::string& dtype = config.text("dtype");
  const bool fits = stream.vocabulary_size && *stream.vocabulary_size <= kUint16Values;
  if (dtype == "uint16" && !fits) {
    throw config.error("dtype",
                       stream.vocabulary_size
                           ? "got 'uint16', but the vocabulary has " +
                                 std::to_string(*stream.vocabulary_size) +
                                 " ids, and 16 bits hold " + std::to_string(kUint16Values)
                           : "got 'uint16', but the size of the vocabulary is not known");
  }
  return fits && dtype != "uint32";
}

std::unique_ptr<Sink> make_writer(const StageConfig& config, const BuildContext& context) {
  const bool narrow = is_narrow(config, context.stream);
  const std::optional<BatchShape>& shape = context.stream.batch_shape;
  const std::string& path = config.text("path");
  try {
    context.files.add_output(path);
    return std::make_unique<NpyWriter>(path, narrow, shape ? shape->row_length : 0);
  } catch (const std::runtime_error& error) {
    throw config.error("path", error.what());
  }
}

}  // namespace

void register_write_npy(StageRegistry& registry) {
  registry.add({"write_npy",
                "Writes the rows to one NumPy .npy file, a two-dimensional array of token ids.",
                Payload::kBatch,
                Payload::kNone,
                Ordering::kInOrder,
                {Option::text("path",
                              "File to write, in a folder that exists. It appears under this name "
                              "when the run is over, and replaces an older one."),
                 Option::choice("dtype",
                                "The type of an id in the file. auto: uint16 where the vocabulary "
                                "has at most 65,536 ids, else uint32.",
                                {"auto", "uint16", "uint32"})
                     .or_else(std::string("auto"))},
                SinkFactory(make_writer)});
}

}  // namespace penstock
