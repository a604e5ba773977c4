#include "pipeline/file_claims.h"

#include <filesystem>
#include <stdexcept>
#include <system_error>

#include <sys/stat.h>

#include "pipeline/atomic_file.h"

namespace penstock {
namespace {

// The path with its folder as it is called without links. A link at the end stays: it is what a
// rename replaces.
std::string place_of(const std::string& path) {
  const std::filesystem::path given(path);
  std::error_code error;
  const std::filesystem::path folder =
      std::filesystem::canonical(given.has_parent_path() ? given.parent_path() : ".", error);
  return error ? path : (folder / given.filename()).string();
}

}  // namespace

void FileClaims::add_input(const std::string& path) {
  if (const std::optional<File> file = find(path)) {
    inputs_.emplace(*file, path);
  }
}

void FileClaims::add_output(const std::string& path) {
  const std::string partial = path + std::string(kPartialSuffix);
  check_against_inputs(path, path);
  check_against_inputs(partial, path);
  const std::string place = place_of(path);
  const std::string partial_place = place_of(partial);
  if (outputs_.contains(place) || outputs_.contains(partial_place)) {
    throw std::runtime_error("'" + path + "' is written by another stage of this run too");
  }
  outputs_.insert({place, partial_place});
}

bool FileClaims::is_input(const std::string& path) const {
  const std::optional<File> file = find(path);
  return file && inputs_.contains(*file);
}

std::optional<FileClaims::File> FileClaims::find(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return File(status.st_dev, status.st_ino);
}

// `file` is the output or its partial file.
void FileClaims::check_against_inputs(const std::string& file, const std::string& output) const {
  const std::optional<File> found = find(file);
  const auto input = found ? inputs_.find(*found) : inputs_.end();
  if (input == inputs_.end()) {
    return;
  }
  std::string text = "'" + file + "'";
  text += file == output ? "" : ", the name under which '" + output + "' is begun,";
  text += " is also an input of this run";
  text += input->second == file ? "" : " (named '" + input->second + "')";
  throw std::runtime_error(text);
}

}  // namespace penstock
