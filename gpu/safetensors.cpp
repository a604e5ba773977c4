#include "gpu/safetensors.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "gpu/lm_weights.h"
#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"

namespace penstock::gpu {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

// What the format's own implementation allows.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
// More is a slip; the product of two does not overflow.
constexpr std::uint64_t kMaxDimension = std::uint64_t{1} << 30;
constexpr std::size_t kMaxDimensions = 2;

constexpr const char* kMetadata = "__metadata__";

std::uint64_t size_of(const std::string& path) {
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(path, error);
  if (error) {
    throw FileError("cannot open '" + path + "': " + error.message());
  }
  return size;
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
std::vector<float> convert_elements(const std::string& bytes, Convert convert) {
  std::vector<float> elements(bytes.size() / sizeof(Element));
  for (std::size_t i = 0; i < elements.size(); ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    elements[i] = convert(element);
  }
  return elements;
}

struct ElementType {
  std::uint64_t bytes = 0;
  std::vector<float> (*convert)(const std::string& bytes) = nullptr;
};

const std::map<std::string, ElementType>& element_types() {
  static const std::map<std::string, ElementType> types = {
      {"BF16",
       {2, [](const std::string& bytes) { return convert_elements<Bf16>(bytes, to_float); }}},
      {"F16",
       {2,
        [](const std::string& bytes) {
          return convert_elements<std::uint16_t>(bytes, half_to_float);
        }}},
      {"F32",
       {4,
        [](const std::string& bytes) {
          return convert_elements<float>(bytes, [](float value) { return value; });
        }}},
  };
  return types;
}

}  // namespace

struct SafetensorsReader::Header {
  nlohmann::json tensors;
  nlohmann::json metadata;
};

SafetensorsReader::SafetensorsReader(const std::string& path)
    : path_(path),
      size_(size_of(path)),
      file_(path, std::ios::binary),
      header_(std::make_unique<Header>()) {
  if (!file_) {
    throw FileError("cannot open '" + path_ + "': " + error_text(errno));
  }
  read_header();
  check_layout();
}

SafetensorsReader::~SafetensorsReader() = default;

bool SafetensorsReader::has(const std::string& name) const {
  return header_->tensors.contains(name);
}

std::vector<std::int64_t> SafetensorsReader::shape(const std::string& name) const {
  const std::vector<std::uint64_t> dimensions = numbers(name, "shape");
  for (const std::uint64_t dimension : dimensions) {
    if (dimension < 1 || dimension > kMaxDimension) {
      throw wrong(name, "has a dimension of " + std::to_string(dimension));
    }
  }
  return {dimensions.begin(), dimensions.end()};
}

std::vector<float> SafetensorsReader::elements(const std::string& name) {
  const std::vector<std::int64_t> dimensions = shape(name);
  if (dimensions.size() > kMaxDimensions) {
    throw wrong(name,
                "has " + std::to_string(dimensions.size()) +
                    " numbers in shape, expected at most " + std::to_string(kMaxDimensions));
  }
  const auto found = element_types().find(type(name));
  if (found == element_types().end()) {
    throw wrong(name, "has dtype " + type(name) + ", expected BF16, F16 or F32");
  }
  std::uint64_t bytes = found->second.bytes;
  for (const std::int64_t dimension : dimensions) {
    bytes *= static_cast<std::uint64_t>(dimension);
  }
  const ByteRange range = byte_range(name);
  if (range.end - range.begin != bytes) {
    throw wrong(name,
                "has " + std::to_string(range.end - range.begin) + " bytes, expected " +
                    std::to_string(bytes) + " for its shape and type");
  }
  return found->second.convert(read(data_begin_ + range.begin, bytes));
}

std::string SafetensorsReader::metadata(const std::string& key) const {
  const auto found = header_->metadata.find(key);
  const bool is_there = header_->metadata.is_object() && found != header_->metadata.end();
  return is_there && found->is_string() ? found->get<std::string>() : std::string();
}

std::runtime_error SafetensorsReader::wrong(const std::string& name,
                                            const std::string& reason) const {
  return std::runtime_error("'" + path_ + "': tensor '" + name + "' " + reason);
}

std::runtime_error SafetensorsReader::no_safetensors(const std::string& reason) const {
  return std::runtime_error("'" + path_ + "' is no safetensors file: " + reason);
}

// The range is known to lie in the file.
std::string SafetensorsReader::read(std::uint64_t begin, std::uint64_t length) {
  std::string bytes(static_cast<std::size_t>(length), '\0');
  file_.seekg(static_cast<std::streamoff>(begin));
  if (!file_.read(bytes.data(), static_cast<std::streamsize>(length))) {
    throw FileError("cannot read '" + path_ + "': " + error_text(errno));
  }
  return bytes;
}

void SafetensorsReader::read_header() {
  std::uint64_t length = 0;
  if (size_ < sizeof length) {
    throw no_safetensors("it has " + std::to_string(size_) + " bytes");
  }
  std::memcpy(&length, read(0, sizeof length).data(), sizeof length);
  if (length > kMaxHeaderBytes || length > size_ - sizeof length) {
    throw no_safetensors("its header would have " + std::to_string(length) +
                         " bytes, and the file has " + std::to_string(size_));
  }
  header_->tensors = nlohmann::json::parse(read(sizeof length, length), nullptr, false);
  if (!header_->tensors.is_object()) {
    throw no_safetensors("its header is no JSON object");
  }
  if (header_->tensors.contains(kMetadata)) {
    header_->metadata = std::move(header_->tensors[kMetadata]);
    header_->tensors.erase(kMetadata);
  }
  data_begin_ = sizeof length + length;
}

// The tensors lie one behind the other and fill the file.
void SafetensorsReader::check_layout() const {
  std::vector<std::pair<ByteRange, std::string>> ranges;
  for (const auto& [name, tensor] : header_->tensors.items()) {
    ranges.emplace_back(byte_range(name), name);
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

SafetensorsReader::ByteRange SafetensorsReader::byte_range(const std::string& name) const {
  const std::vector<std::uint64_t> offsets = numbers(name, "data_offsets");
  if (offsets.size() != 2) {
    throw wrong(name,
                "has " + std::to_string(offsets.size()) + " numbers in data_offsets, expected 2");
  }
  const std::uint64_t data_bytes = size_ - data_begin_;
  if (offsets[0] > offsets[1] || offsets[1] > data_bytes) {
    throw wrong(name,
                "has data_offsets " + std::to_string(offsets[0]) + " to " +
                    std::to_string(offsets[1]) + ", and the file has " +
                    std::to_string(data_bytes) + " bytes of data; it may be cut off");
  }
  return {offsets[0], offsets[1]};
}

std::vector<std::uint64_t> SafetensorsReader::numbers(const std::string& name,
                                                      const char* field) const {
  if (!has(name)) {
    throw wrong(name, "is not in the file");
  }
  const nlohmann::json& tensor = header_->tensors[name];
  const bool found = tensor.is_object() && tensor.contains(field) && tensor[field].is_array();
  if (!found ||
      !std::all_of(tensor[field].begin(), tensor[field].end(), [](const nlohmann::json& number) {
        return number.is_number_unsigned();
      })) {
    throw wrong(name, std::string("has no ") + field + " of whole numbers");
  }
  return tensor[field].get<std::vector<std::uint64_t>>();
}

std::string SafetensorsReader::type(const std::string& name) const {
  const nlohmann::json& tensor = header_->tensors[name];
  const auto text = tensor.find("dtype");
  if (text == tensor.end() || !text->is_string()) {
    throw wrong(name, "has no dtype");
  }
  return text->get<std::string>();
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t dimension : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  }
  return text + "]";
}

void write_safetensors(const std::string& path,
                       const std::vector<SafetensorsTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  constexpr std::size_t kAlignment = 8;  // of the data, as the format's own implementation has it
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    header[kMetadata] = metadata;
  }
  std::size_t end = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const std::size_t begin = std::exchange(end, end + tensor.elements.size());
    header[tensor.name] = {
        {"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();

  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), sizeof length});
  file.write(text);
  for (const SafetensorsTensor& tensor : tensors) {
    file.write({reinterpret_cast<const char*>(tensor.elements.data()), tensor.elements.size()});
  }
  file.commit();
}

}  // namespace penstock::gpu
