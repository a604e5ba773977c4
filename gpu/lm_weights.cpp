#include "gpu/lm_weights.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "gpu/philox.h"
#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"

namespace penstock::gpu {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr std::uint32_t kEmbeddingStream = 0;
constexpr std::uint32_t kMixStream = 1;
constexpr std::uint32_t kProjectionStream = 2;

constexpr const char* kEmbedding = "embedding.weight";
constexpr const char* kMix = "mix.weight";
constexpr const char* kProjection = "projection.weight";

// What the format's own implementation allows.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
// More is a slip; the product of two does not overflow.
constexpr std::uint64_t kMaxDimension = std::uint64_t{1} << 30;

constexpr std::uint16_t kExponentBits = 0x7F80;

// From -1 to 1, exact in fp32.
float symmetric_uniform(std::uint32_t word) {
  constexpr std::int32_t kHalf = 1 << 23;
  return static_cast<float>(static_cast<std::int32_t>(word >> 8) - kHalf) / kHalf;
}

template <typename ScaleOf>
std::vector<Bf16> seeded_tensor(std::int64_t size,
                                std::uint64_t seed,
                                std::uint32_t stream,
                                ScaleOf scale_of_element) {
  std::vector<Bf16> elements(static_cast<std::size_t>(size));
  for (std::size_t begin = 0; begin < elements.size(); begin += 4) {
    const PhiloxBlock block = philox_block(seed, begin / 4, stream);
    const std::size_t end = std::min(begin + 4, elements.size());
    for (std::size_t i = begin; i < end; ++i) {
      elements[i] = to_bf16(scale_of_element(i) * symmetric_uniform(block.words[i - begin]));
    }
  }
  return elements;
}

float half_to_float(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1F;
  const int fraction = half & 0x3FF;
  const float sign = (half & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 0x1F) {
    return fraction == 0 ? sign * INFINITY : NAN;
  }
  if (exponent == 0) {
    return sign * std::ldexp(static_cast<float>(fraction), -24);
  }
  return sign * std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
}

template <typename Element, typename Convert>
std::vector<Bf16> convert_elements(std::string_view bytes, Convert convert) {
  std::vector<Bf16> elements(bytes.size() / sizeof(Element));
  for (std::size_t i = 0; i < elements.size(); ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    elements[i] = convert(element);
  }
  return elements;
}

struct ElementType {
  std::uint64_t bytes = 0;
  std::vector<Bf16> (*convert)(std::string_view bytes) = nullptr;
};

const std::map<std::string, ElementType>& element_types() {
  static const std::map<std::string, ElementType> types = {
      {"BF16",
       {2,
        [](std::string_view bytes) {
          return convert_elements<Bf16>(bytes, [](Bf16 value) { return value; });
        }}},
      {"F16",
       {2,
        [](std::string_view bytes) {
          return convert_elements<std::uint16_t>(
              bytes, [](std::uint16_t value) { return to_bf16(half_to_float(value)); });
        }}},
      {"F32", {4, [](std::string_view bytes) { return convert_elements<float>(bytes, to_bf16); }}},
  };
  return types;
}

// Where a tensor's bytes lie in the data behind the header.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Matrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<Bf16> elements;
};

// A safetensors file: the length of the header, 8 bytes; the header, a JSON object; the data.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path)
      : path_(path), size_(size_of(path)), file_(path, std::ios::binary) {
    if (!file_) {
      throw FileError("cannot open '" + path_ + "': " + error_text(errno));
    }
    read_header();
    check_layout();
  }

  // A two-dimensional tensor in bf16.
  Matrix matrix(const std::string& name) {
    const auto tensor = header_.find(name);
    if (tensor == header_.end()) {
      throw wrong(name, "is not in the file");
    }
    const auto [rows, columns] = shape(name, *tensor);
    const ElementType& type = element_type(name, *tensor);
    const ByteRange range = byte_range(name, *tensor);
    if (range.end - range.begin != rows * columns * type.bytes) {
      throw wrong(name,
                  "has " + std::to_string(range.end - range.begin) + " bytes, expected " +
                      std::to_string(rows * columns * type.bytes) + " for its shape and type");
    }
    Matrix matrix{static_cast<std::int64_t>(rows),
                  static_cast<std::int64_t>(columns),
                  type.convert(read(data_begin_ + range.begin, range.end - range.begin))};
    check_finite(name, matrix.elements);
    return matrix;
  }

  std::runtime_error wrong(const std::string& tensor, const std::string& reason) const {
    return std::runtime_error("'" + path_ + "': tensor '" + tensor + "' " + reason);
  }

 private:
  using Json = nlohmann::json;

  static std::uint64_t size_of(const std::string& path) {
    std::error_code error;
    const std::uint64_t size = std::filesystem::file_size(path, error);
    if (error) {
      throw FileError("cannot open '" + path + "': " + error.message());
    }
    return size;
  }

  std::runtime_error no_safetensors(const std::string& reason) const {
    return std::runtime_error("'" + path_ + "' is no safetensors file: " + reason);
  }

  // The range is known to lie in the file.
  std::string read(std::uint64_t begin, std::uint64_t length) {
    std::string bytes(static_cast<std::size_t>(length), '\0');
    file_.seekg(static_cast<std::streamoff>(begin));
    if (!file_.read(bytes.data(), static_cast<std::streamsize>(length))) {
      throw FileError("cannot read '" + path_ + "': " + error_text(errno));
    }
    return bytes;
  }

  void read_header() {
    std::uint64_t length = 0;
    if (size_ < sizeof length) {
      throw no_safetensors("it has " + std::to_string(size_) + " bytes");
    }
    std::memcpy(&length, read(0, sizeof length).data(), sizeof length);
    if (length > kMaxHeaderBytes || length > size_ - sizeof length) {
      throw no_safetensors("its header would have " + std::to_string(length) +
                           " bytes, and the file has " + std::to_string(size_));
    }
    header_ = Json::parse(read(sizeof length, length), nullptr, false);
    if (!header_.is_object()) {
      throw no_safetensors("its header is no JSON object");
    }
    header_.erase("__metadata__");
    data_begin_ = sizeof length + length;
  }

  // The tensors lie one behind the other and fill the file.
  void check_layout() const {
    std::vector<std::pair<ByteRange, std::string>> ranges;
    for (const auto& [name, tensor] : header_.items()) {
      ranges.emplace_back(byte_range(name, tensor), name);
    }
    std::sort(ranges.begin(), ranges.end(), [](const auto& left, const auto& right) {
      return std::pair(left.first.begin, left.first.end) <
             std::pair(right.first.begin, right.first.end);
    });
    std::uint64_t end = 0;
    for (const auto& [range, name] : ranges) {
      if (range.begin != end) {
        throw wrong(name,
                    "begins at byte " + std::to_string(range.begin) + " of the data, expected " +
                        std::to_string(end) + ", where the tensor before it ends");
      }
      end = range.end;
    }
    if (end != size_ - data_begin_) {
      throw no_safetensors("its tensors end at byte " + std::to_string(end) +
                           " of the data, and it has " + std::to_string(size_ - data_begin_));
    }
  }

  ByteRange byte_range(const std::string& name, const Json& tensor) const {
    const std::vector<std::uint64_t> offsets = numbers(name, tensor, "data_offsets");
    const std::uint64_t data_bytes = size_ - data_begin_;
    if (offsets[0] > offsets[1] || offsets[1] > data_bytes) {
      throw wrong(name,
                  "has data_offsets " + std::to_string(offsets[0]) + " to " +
                      std::to_string(offsets[1]) + ", and the file has " +
                      std::to_string(data_bytes) + " bytes of data; it may be cut off");
    }
    return {offsets[0], offsets[1]};
  }

  std::pair<std::uint64_t, std::uint64_t> shape(const std::string& name, const Json& tensor) const {
    const std::vector<std::uint64_t> dimensions = numbers(name, tensor, "shape");
    for (const std::uint64_t dimension : dimensions) {
      if (dimension < 1 || dimension > kMaxDimension) {
        throw wrong(name, "has a dimension of " + std::to_string(dimension));
      }
    }
    return {dimensions[0], dimensions[1]};
  }

  const ElementType& element_type(const std::string& name, const Json& tensor) const {
    const auto text = tensor.find("dtype");
    if (text == tensor.end() || !text->is_string()) {
      throw wrong(name, "has no dtype");
    }
    const auto type = element_types().find(text->get<std::string>());
    if (type == element_types().end()) {
      throw wrong(name, "has dtype " + text->get<std::string>() + ", expected BF16, F16 or F32");
    }
    return type->second;
  }

  // The two whole numbers that are the field's value.
  std::vector<std::uint64_t> numbers(const std::string& name,
                                     const Json& tensor,
                                     const char* field) const {
    const auto value = tensor.find(field);
    const bool found = tensor.is_object() && value != tensor.end() && value->is_array();
    if (!found || !std::all_of(value->begin(), value->end(), [](const Json& number) {
          return number.is_number_unsigned();
        })) {
      throw wrong(name, std::string("has no ") + field + " of whole numbers");
    }
    if (value->size() != 2) {
      throw wrong(name,
                  std::string("has ") + std::to_string(value->size()) + " numbers in " + field +
                      ", expected 2");
    }
    return value->get<std::vector<std::uint64_t>>();
  }

  void check_finite(const std::string& name, const std::vector<Bf16>& elements) const {
    const auto found = std::find_if(elements.begin(), elements.end(), [](Bf16 element) {
      return (element & kExponentBits) == kExponentBits;
    });
    if (found != elements.end()) {
      throw wrong(name,
                  "has an element, number " + std::to_string(found - elements.begin()) +
                      " from 0, that is not finite in bf16");
    }
  }

  const std::string path_;
  const std::uint64_t size_;
  std::ifstream file_;
  Json header_;
  std::uint64_t data_begin_ = 0;
};

std::string shape_text(const Matrix& matrix) {
  return "[" + std::to_string(matrix.rows) + ", " + std::to_string(matrix.columns) + "]";
}

std::string_view bytes_of(const std::vector<Bf16>& elements) {
  return {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(Bf16)};
}

}  // namespace

Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) {
    return static_cast<Bf16>(bits >> 16 | 0x40);
  }
  return static_cast<Bf16>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float to_float(Bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

LmWeights seeded_lm_weights(std::int64_t vocabulary,
                            std::int64_t width,
                            std::int64_t window,
                            std::uint64_t seed) {
  const auto unit_scale = static_cast<float>(std::sqrt(3.0));
  const auto projection_scale = static_cast<float>(std::sqrt(9.0 / static_cast<double>(width)));
  LmWeights weights{vocabulary, width, window, {}, {}, {}};
  weights.embedding = seeded_tensor(
      vocabulary * width, seed, kEmbeddingStream, [=](std::size_t) { return unit_scale; });
  weights.mix = seeded_tensor(window * width, seed, kMixStream, [=](std::size_t i) {
    return std::ldexp(unit_scale, -static_cast<int>(i / static_cast<std::size_t>(width)));
  });
  weights.projection = seeded_tensor(
      vocabulary * width, seed, kProjectionStream, [=](std::size_t) { return projection_scale; });
  return weights;
}

LmWeights read_lm_weights(const std::string& path) {
  SafetensorsFile file(path);
  Matrix embedding = file.matrix(kEmbedding);
  Matrix mix = file.matrix(kMix);
  Matrix projection = file.matrix(kProjection);
  if (mix.columns != embedding.columns) {
    throw file.wrong(kMix,
                     "has shape " + shape_text(mix) + ", expected [window, " +
                         std::to_string(embedding.columns) + "], the width of " + kEmbedding);
  }
  if (projection.rows != embedding.rows || projection.columns != embedding.columns) {
    throw file.wrong(kProjection,
                     "has shape " + shape_text(projection) + ", expected " + shape_text(embedding) +
                         ", that of " + kEmbedding);
  }
  return {embedding.rows,
          embedding.columns,
          mix.rows,
          std::move(embedding.elements),
          std::move(mix.elements),
          std::move(projection.elements)};
}

void write_lm_weights(const LmWeights& weights, const std::string& path) {
  constexpr std::size_t kAlignment = 8;  // of the data, as the format's own implementation has it
  nlohmann::ordered_json header;
  std::size_t end = 0;
  const auto add = [&](const char* name, std::int64_t rows, const std::vector<Bf16>& elements) {
    const std::size_t begin = std::exchange(end, end + elements.size() * sizeof(Bf16));
    header[name] = {
        {"dtype", "BF16"}, {"shape", {rows, weights.width}}, {"data_offsets", {begin, end}}};
  };
  add(kEmbedding, weights.vocabulary, weights.embedding);
  add(kMix, weights.window, weights.mix);
  add(kProjection, weights.vocabulary, weights.projection);
  std::string text = header.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();

  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), sizeof length});
  file.write(text);
  for (const std::vector<Bf16>* elements :
       {&weights.embedding, &weights.mix, &weights.projection}) {
    file.write(bytes_of(*elements));
  }
  file.commit();
}

}  // namespace penstock::gpu
