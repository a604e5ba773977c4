#include <gtest/gtest.h>

#include "apps/stages_command.h"

namespace penstock {
namespace {

StageType stage(const std::string& name,
                const std::string& summary,
                Payload input,
                Payload output) {
  StageType type;
  type.name = name;
  type.summary = summary;
  type.input = input;
  type.output = output;
  return type;
}

TEST(StageList, ListsStagesAsTheyFollowEachOther) {
  StageRegistry registry;
  registry.add(stage("device", "Feeds.", Payload::kBatch, Payload::kNone));
  registry.add(stage("read", "Reads.", Payload::kNone, Payload::kBytes));
  registry.add(stage("lowercase", "Lowers.", Payload::kDocuments, Payload::kDocuments));
  registry.add(stage("parse", "Parses.", Payload::kBytes, Payload::kDocuments));
  EXPECT_EQ(stage_list(registry),
            "read       -> bytes                Reads.\n"
            "parse      bytes -> documents      Parses.\n"
            "lowercase  documents -> documents  Lowers.\n"
            "device     batches ->              Feeds.\n");
}

}  // namespace
}  // namespace penstock
