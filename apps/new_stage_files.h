#pragma once

#include <string>
#include <vector>

namespace penstock {

// A file of a new project, with its path in the project's folder.
struct NewFile {
  std::string path;
  std::string text;
};

// document, token, batch, source, sink, device
const std::vector<std::string>& new_stage_kinds();

// A small project with one stage of this kind: how it is built, the stage, its test, a
// configuration and what that reads. `name` is snake_case.
std::vector<NewFile> new_stage_files(const std::string& name, const std::string& kind);

}  // namespace penstock
