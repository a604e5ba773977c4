#include "pipeline/json_damage.h"

#include <cstddef>

#include <nlohmann/json.hpp>

namespace penstock {

std::string describe_json_damage(const std::exception& error) {
  if (const auto* parse = dynamic_cast<const nlohmann::json::parse_error*>(&error)) {
    const std::size_t offset = parse->byte > 0 ? parse->byte - 1 : 0;  // it counts from 1
    return "it is not valid JSON at byte " + std::to_string(offset) +
           ", or it ends there too early";
  }
  return "something that belongs there is missing or of another type";
}

}  // namespace penstock
