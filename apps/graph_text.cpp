#include "apps/graph_text.h"

#include <cstddef>
#include <map>
#include <stdexcept>
#include <string_view>

#include <spdlog/fmt/fmt.h>

namespace penstock {
namespace {

// Nodes are called n0, n1, ... in the text: names such as "end" mean something to Mermaid.
class NodeNames {
 public:
  explicit NodeNames(const GraphDescription& graph) {
    for (const GraphNode& node : graph.nodes) {
      names_.emplace(node.id, fmt::format("n{}", names_.size()));
    }
  }

  const std::string& of(const std::string& id) const {
    const auto found = names_.find(id);
    if (found == names_.end()) {
      throw std::logic_error("an edge of the graph names node '" + id + "', which does not exist");
    }
    return found->second;
  }

 private:
  std::map<std::string, std::string> names_;
};

// Mermaid writes characters that mean something to it as #name; or #code;.
std::string mermaid_label(std::string_view label) {
  std::string escaped;
  for (const char character : label) {
    switch (character) {
      case '"':
        escaped += "#quot;";
        break;
      case '#':
        escaped += "#35;";
        break;
      case '&':
        escaped += "#amp;";
        break;
      case '<':
        escaped += "#lt;";
        break;
      case '>':
        escaped += "#gt;";
        break;
      case '`':
        escaped += "#96;";
        break;
      case '\n':
        escaped += "<br/>";
        break;
      default:
        escaped += character;
    }
  }
  return '"' + escaped + '"';
}

std::string dot_label(std::string_view label) {
  std::string escaped;
  for (const char character : label) {
    if (character == '\n') {
      escaped += "\\n";
      continue;
    }
    if (character == '"' || character == '\\') {
      escaped += '\\';
    }
    escaped += character;
  }
  return '"' + escaped + '"';
}

struct Shape {
  const char* mermaid_open;
  const char* mermaid_close;
  const char* dot;
};

Shape shape_of(GraphNode::Kind kind) {
  switch (kind) {
    case GraphNode::Kind::kLane:
      return {"([", "])", "shape=box, style=rounded"};
    case GraphNode::Kind::kParallel:
      return {"[[", "]]", "shape=box3d"};
    case GraphNode::Kind::kInOrder:
      return {"[/", "/]", "shape=parallelogram"};
    case GraphNode::Kind::kAssemble:
      return {"{{", "}}", "shape=hexagon"};
    case GraphNode::Kind::kSink:
      return {"[(", ")]", "shape=cylinder"};
  }
  throw std::logic_error("a node of the graph has an unknown kind");
}

}  // namespace

std::string to_mermaid(const GraphDescription& graph) {
  const NodeNames names(graph);
  std::string text = "flowchart LR\n";
  for (const GraphNode& node : graph.nodes) {
    const Shape shape = shape_of(node.kind);
    text += fmt::format("  {}{}{}{}\n",
                        names.of(node.id),
                        shape.mermaid_open,
                        mermaid_label(node.label),
                        shape.mermaid_close);
  }
  for (const GraphEdge& edge : graph.edges) {
    text += fmt::format("  {} {}{} {}\n",
                        names.of(edge.from),
                        edge.credit ? "-.->" : "-->",
                        edge.label.empty() ? "" : "|" + mermaid_label(edge.label) + "|",
                        names.of(edge.to));
  }
  return text;
}

std::string to_dot(const GraphDescription& graph) {
  const NodeNames names(graph);
  std::string text = "digraph penstock {\n  rankdir=LR;\n";
  for (const GraphNode& node : graph.nodes) {
    text += fmt::format("  {} [label={}, {}];\n",
                        names.of(node.id),
                        dot_label(node.label),
                        shape_of(node.kind).dot);
  }
  for (const GraphEdge& edge : graph.edges) {
    std::string attributes = edge.label.empty() ? "" : "label=" + dot_label(edge.label);
    if (edge.credit) {
      attributes += attributes.empty() ? "" : ", ";
      attributes += "style=dotted, constraint=false";
    }
    text += fmt::format("  {} -> {}{};\n",
                        names.of(edge.from),
                        names.of(edge.to),
                        attributes.empty() ? "" : " [" + attributes + "]");
  }
  return text + "}\n";
}

}  // namespace penstock
