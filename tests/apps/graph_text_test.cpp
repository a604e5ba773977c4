#include "apps/graph_text.h"

#include <stdexcept>

#include <gmock/gmock.h>

namespace penstock {
namespace {

using testing::HasSubstr;

GraphDescription every_kind() {
  using Kind = GraphNode::Kind;
  return {{{"lane 0", "read\nlane 0", Kind::kLane},
           {"end", "parse\ntokenize", Kind::kParallel},
           {"sort", "sort", Kind::kInOrder},
           {"pack", "order\npack", Kind::kAssemble},
           {"write", "write_npy", Kind::kSink}},
          {{"lane 0", "end", "bytes", false},
           {"end", "sort", "tokens", false},
           {"sort", "pack", "", false},
           {"pack", "write", "batch", false},
           {"write", "lane 0", "credit", true},
           {"pack", "lane 0", "", true}}};
}

GraphDescription one_node(const std::string& label) {
  return {{{"a", label, GraphNode::Kind::kParallel}}, {}};
}

TEST(GraphText, DrawsMermaid) {
  EXPECT_EQ(to_mermaid(every_kind()),
            "flowchart LR\n"
            "  n0([\"read<br/>lane 0\"])\n"
            "  n1[[\"parse<br/>tokenize\"]]\n"
            "  n2[/\"sort\"/]\n"
            "  n3{{\"order<br/>pack\"}}\n"
            "  n4[(\"write_npy\")]\n"
            "  n0 -->|\"bytes\"| n1\n"
            "  n1 -->|\"tokens\"| n2\n"
            "  n2 --> n3\n"
            "  n3 -->|\"batch\"| n4\n"
            "  n4 -.->|\"credit\"| n0\n"
            "  n3 -.-> n0\n");
}

TEST(GraphText, DrawsDot) {
  EXPECT_EQ(to_dot(every_kind()),
            "digraph penstock {\n"
            "  rankdir=LR;\n"
            "  n0 [label=\"read\\nlane 0\", shape=box, style=rounded];\n"
            "  n1 [label=\"parse\\ntokenize\", shape=box3d];\n"
            "  n2 [label=\"sort\", shape=parallelogram];\n"
            "  n3 [label=\"order\\npack\", shape=hexagon];\n"
            "  n4 [label=\"write_npy\", shape=cylinder];\n"
            "  n0 -> n1 [label=\"bytes\"];\n"
            "  n1 -> n2 [label=\"tokens\"];\n"
            "  n2 -> n3;\n"
            "  n3 -> n4 [label=\"batch\"];\n"
            "  n4 -> n0 [label=\"credit\", style=dotted, constraint=false];\n"
            "  n3 -> n0 [style=dotted, constraint=false];\n"
            "}\n");
}

TEST(GraphText, EscapesMermaidLabels) {
  EXPECT_THAT(to_mermaid(one_node("a \"b\" #1 <c> & `d`")),
              HasSubstr("[[\"a #quot;b#quot; #35;1 #lt;c#gt; #amp; #96;d#96;\"]]"));
}

TEST(GraphText, EscapesDotLabels) {
  EXPECT_THAT(to_dot(one_node("a \"b\" c\\d")), HasSubstr("label=\"a \\\"b\\\" c\\\\d\""));
}

TEST(GraphText, RefusesAnEdgeToNowhere) {
  GraphDescription graph = one_node("a");
  graph.edges.push_back({"a", "b", "", false});
  EXPECT_THROW(to_mermaid(graph), std::logic_error);
  EXPECT_THROW(to_dot(graph), std::logic_error);
}

}  // namespace
}  // namespace penstock
