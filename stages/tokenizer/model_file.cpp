#include "stages/tokenizer/model_file.h"

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>

#include "pipeline/errors.h"

namespace penstock {
namespace {

// A model is one protocol buffer, whose size is an int.
constexpr std::uintmax_t kLargestModelBytes = std::numeric_limits<std::int32_t>::max();

// Size of the file, after making sure that it can be a model at all.
std::uintmax_t check_model_file(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (error) {
    throw model_file_error(path, error.message());
  }
  if (std::filesystem::is_directory(status)) {
    throw model_file_error(path, "it is a directory, expected a SentencePiece model");
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw model_file_error(path, "it is not a regular file, expected a SentencePiece model");
  }
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) {
    throw model_file_error(path, error.message());
  }
  if (size == 0) {
    throw model_file_error(path, "the file is empty, expected a SentencePiece model");
  }
  if (size > kLargestModelBytes) {
    throw model_file_error(path,
                           "the file has " + std::to_string(size) +
                               " bytes, a SentencePiece model has less than 2 GiB");
  }
  return size;
}

}  // namespace

std::runtime_error model_file_error(const std::string& path, const std::string& reason) {
  return std::runtime_error("cannot load '" + path + "': " + reason);
}

std::string read_model_file(const std::string& path) {
  std::string bytes(check_model_file(path), '\0');
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    throw model_file_error(path, errno != 0 ? error_text(errno) : "the file ended too early");
  }
  return bytes;
}

}  // namespace penstock
