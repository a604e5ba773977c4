#pragma once

#include <string>

#include "pipeline/pipeline.h"

namespace penstock {

// As a Mermaid flowchart, which GitHub and many editors draw.
std::string to_mermaid(const GraphDescription& graph);
// In the language of Graphviz' `dot`.
std::string to_dot(const GraphDescription& graph);

}  // namespace penstock
