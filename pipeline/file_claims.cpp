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

std::string also_named(const std::string& name, const std::string& path) {
  return name == path ? "" : " (named '" + name + "')";
}

}  // namespace

void FileClaims::add_input(const std::string& path) {
  check_against_outputs(path);
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
    throw std::runtime_error("'" + path + "' is also another output of this run");
  }
  outputs_.emplace(place, path);
  outputs_.emplace(partial_place, partial);
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

// Outputs come into being after they were claimed: what they are is looked up each time.
void FileClaims::check_against_outputs(const std::string& input) const {
  if (outputs_.empty()) {
    return;  // as for nearly all inputs: a run may have many shards
  }
  const std::string place = place_of(input);
  const std::optional<File> file = find(input);
  for (const auto& [output_place, output] : outputs_) {
    if (output_place == place || (file && find(output) == file)) {
      throw std::runtime_error("'" + input + "' is also an output of this run" +
                               also_named(output, input));
    }
  }
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
  text += also_named(input->second, file);
  throw std::runtime_error(text);
}

}  // namespace penstock
