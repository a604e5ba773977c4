#pragma once

#include <exception>
#include <string>

namespace penstock {

// What is wrong with a file of JSON that a run wrote, in plain words; with the byte offset where
// that is known. `error` is an exception of nlohmann-json, whose own words are for programmers.
std::string describe_json_damage(const std::exception& error);

}  // namespace penstock
