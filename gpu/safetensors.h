#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace penstock::gpu {

// Reads tensors from a safetensors file: the length of the header, 8 bytes; the header, a JSON
// object; the data. Used by one thread at a time. Every function throws std::runtime_error naming
// the file, the tensor and what is wrong, and FileError where the file cannot be read.
// https://github.com/huggingface/safetensors#format
class SafetensorsReader {
 public:
  // Reads the header and checks that the tensors fill the file.
  explicit SafetensorsReader(const std::string& path);
  ~SafetensorsReader();

  bool has(const std::string& name) const;
  // Of a tensor that is there, each at least 1.
  std::vector<std::int64_t> shape(const std::string& name) const;
  // Of a tensor of BF16, F16 or F32 that is there, row-major.
  std::vector<float> elements(const std::string& name);
  // What the header says beside the tensors; empty where it says nothing of the key.
  std::string metadata(const std::string& key) const;

  // An error about a tensor: "'a.safetensors': tensor 'x' is not in the file".
  std::runtime_error wrong(const std::string& name, const std::string& reason) const;

 private:
  struct Header;
  // Where a tensor's bytes lie in the data behind the header.
  struct ByteRange {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  std::runtime_error no_safetensors(const std::string& reason) const;
  std::string read(std::uint64_t begin, std::uint64_t length);
  void read_header();
  void check_layout() const;
  ByteRange byte_range(const std::string& name) const;
  std::vector<std::uint64_t> numbers(const std::string& name, const char* field) const;
  std::string type(const std::string& name) const;

  const std::string path_;
  const std::uint64_t size_;
  std::ifstream file_;
  std::unique_ptr<Header> header_;
  std::uint64_t data_begin_ = 0;
};

// "[2, 3]"
std::string shape_text(const std::vector<std::int64_t>& shape);

// A tensor that is to be written. Owns nothing.
struct SafetensorsTensor {
  std::string name;
  std::string type;  // as in the format: "F32"
  std::vector<std::int64_t> shape;
  std::span<const std::byte> elements;  // little-endian, row-major
};

// Writes the tensors in their order as an AtomicFile. Throws FileError.
void write_safetensors(const std::string& path,
                       const std::vector<SafetensorsTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace penstock::gpu
