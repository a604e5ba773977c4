#include "pipeline/stage_registry.h"

#include <stdexcept>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/config.h"

namespace penstock {
namespace {

using testing::ElementsAre;

class DropAll final : public Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit DropAll(const StageConfig& config) : keep_(config.integer("keep")) {}
  DocumentChunk process(DocumentChunk chunk) override {
    chunk.documents.resize(static_cast<std::size_t>(keep_));
    return chunk;
  }

 private:
  std::int64_t keep_;
};

StageType type_with(std::string name, decltype(StageType::factory) factory) {
  StageType type;
  type.name = std::move(name);
  type.factory = std::move(factory);
  return type;
}

std::vector<std::string> option_names(const StageType& type) {
  std::vector<std::string> names;
  for (const Option& option : type.options) {
    names.push_back(option.name);
  }
  return names;
}

TEST(StageRegistry, FindsAStageByName) {
  StageRegistry registry;
  registry.add(type_with("pack", AssemblerFactory()));
  ASSERT_NE(registry.find("pack"), nullptr);
  EXPECT_EQ(registry.find("pack")->name, "pack");
  EXPECT_EQ(registry.find("unpack"), nullptr);
}

TEST(StageRegistry, ListsNamesSorted) {
  StageRegistry registry;
  registry.add(type_with("write_npy", SinkFactory()));
  registry.add(type_with("pack", AssemblerFactory()));
  registry.add(type_with("read", SourceFactory()));
  EXPECT_THAT(registry.names(), ElementsAre("pack", "read", "write_npy"));
}

TEST(StageRegistry, ReplacesAFactoryByOneOfTheSameRole) {
  StageRegistry registry;
  registry.add(type_with("pack", AssemblerFactory()));
  registry.replace_factory(
      "pack", AssemblerFactory([](const StageConfig&, const BuildContext&) { return nullptr; }));
  EXPECT_TRUE(std::get<AssemblerFactory>(registry.find("pack")->factory));
  EXPECT_THROW(registry.replace_factory("pack", SinkFactory()), std::logic_error);
  EXPECT_THROW(registry.replace_factory("unpack", AssemblerFactory()), std::logic_error);
}

TEST(StageRegistry, RefusesANameTwice) {
  StageRegistry registry;
  registry.add(type_with("pack", AssemblerFactory()));
  EXPECT_THROW(registry.add(type_with("pack", SinkFactory())), std::logic_error);
}

TEST(StageRegistry, RefusesAnOptionTwice) {
  StageRegistry registry;
  StageType type = type_with("pack", AssemblerFactory());
  type.options = {Option::integer("rows", ""), Option::text("rows", "")};
  EXPECT_THROW(registry.add(type), std::logic_error);
  EXPECT_EQ(registry.find("pack"), nullptr);
}

TEST(StageRegistry, TakesAnOptionOnceForEachChoice) {
  StageRegistry registry;
  StageType type = type_with("draw", SinkFactory());
  type.options = {Option::choice("shape", "", {"circle", "square"}),
                  Option::number("size", "").only_with("shape", "circle"),
                  Option::integer("size", "").only_with("shape", "square")};
  registry.add(type);
  type.name = "paint";
  type.options.push_back(Option::text("size", ""));
  EXPECT_THROW(registry.add(type), std::logic_error);
}

TEST(StageRegistry, RefusesAConditionThatCannotBeMet) {
  StageRegistry registry;
  const Option shape = Option::choice("shape", "", {"circle"});
  const Option size = Option::number("size", "").only_with("shape", "circle");
  StageType type = type_with("draw", SinkFactory());
  type.options = {size, shape};
  EXPECT_THROW(registry.add(type), std::logic_error) << "declared before the choice";
  type.options = {shape, Option::number("size", "").only_with("shape", "cube")};
  EXPECT_THROW(registry.add(type), std::logic_error) << "a value that the choice does not have";
  type.options = {size};
  EXPECT_THROW(registry.add(type), std::logic_error) << "a choice that is not there";
}

TEST(StageRegistry, GivesSourcesAndTransformsTheirOnErrorOption) {
  StageRegistry registry;
  registry.add(type_with("read", SourceFactory()));
  registry.add(type_with("parse", StageFactory()));
  registry.add(type_with("pack", AssemblerFactory()));
  registry.add(type_with("write_npy", SinkFactory()));
  EXPECT_THAT(option_names(*registry.find("read")), ElementsAre("on_error"));
  EXPECT_THAT(option_names(*registry.find("parse")), ElementsAre("on_error"));
  EXPECT_THAT(option_names(*registry.find("pack")), ElementsAre());
  EXPECT_THAT(option_names(*registry.find("write_npy")), ElementsAre());
}

TEST(StageRegistry, RefusesAnOnErrorOptionOfAStagesOwn) {
  StageRegistry registry;
  StageType type = type_with("parse", StageFactory());
  type.options = {Option::boolean("on_error", "")};
  EXPECT_THROW(registry.add(type), std::logic_error);
}

TEST(StageRegistry, RegistersATransformByItsClass) {
  StageRegistry registry;
  registry.add_transform<DropAll>(
      "drop_all", "Drops.", {Option::integer("keep", "").or_else(0)}, Ordering::kInOrder);
  const StageType& type = *registry.find("drop_all");
  EXPECT_EQ(type.input, Payload::kDocuments);
  EXPECT_EQ(type.output, Payload::kDocuments);
  EXPECT_EQ(type.ordering, Ordering::kInOrder);
  EXPECT_THAT(option_names(type), ElementsAre("keep", "on_error"));
}

TEST(StageRegistry, MakesInstancesOfATransform) {
  StageRegistry registry;
  registry.add_transform<DropAll>("drop_all", "Drops.", {Option::integer("keep", "")});
  const StageConfig config("drop_all", "", {{"keep", std::int64_t{2}}}, {});
  StreamInfo stream;
  Metrics metrics;
  FileClaims files;
  const BuildContext context{stream, metrics, metrics.add("drop_all", 1), files, 1};
  const auto& factory = std::get<StageFactory>(registry.find("drop_all")->factory);

  const std::unique_ptr<Stage> stage = factory(config, context)();
  DocumentChunk chunk;
  chunk.documents.resize(3);
  const Chunk result = stage->process_chunk(std::move(chunk));

  EXPECT_EQ(std::get<DocumentChunk>(result).documents.size(), 2U);
}

TEST(StageRegistry, NamesPayloads) {
  EXPECT_EQ(to_string(Payload::kNone), "nothing");
  EXPECT_EQ(to_string(Payload::kBytes), "bytes");
  EXPECT_EQ(to_string(Payload::kDocuments), "documents");
  EXPECT_EQ(to_string(Payload::kTokens), "tokens");
  EXPECT_EQ(to_string(Payload::kBatch), "batches");
}

}  // namespace
}  // namespace penstock
