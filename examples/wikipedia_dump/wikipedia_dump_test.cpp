#include <algorithm>
#include <fstream>
#include <iterator>

#include <bzlib.h>
#include <gtest/gtest.h>

#include "pipeline/plugin_loader.h"
#include "testing/chunks.h"
#include "testing/stage_run.h"

namespace {

namespace fakes = penstock::testing;
using Texts = std::vector<std::string>;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string write_file(const std::string& name, const std::string& bytes) {
  const std::string path = testing::TempDir() + "wikipedia_dump_" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string bzip2(std::string text) {
  unsigned size = static_cast<unsigned>(text.size() + 1000);
  std::string packed(size, '\0');
  EXPECT_EQ(BZ2_bzBuffToBuffCompress(
                packed.data(), &size, text.data(), static_cast<unsigned>(text.size()), 9, 0, 0),
            BZ_OK);
  packed.resize(size);
  return packed;
}

std::string page(const std::string& title, const std::string& text) {
  return "<page><title>" + title + "</title><ns>0</ns><revision><text>" + text +
         "</text></revision></page>\n";
}

fakes::StageRun run(const std::string& paths, const std::string& options = "") {
  penstock::StageRegistry registry;
  penstock::load_plugin(PLUGIN, "", registry);
  return fakes::run_source(registry, "wikipedia_dump: {paths: [" + paths + "]" + options + "}");
}

Texts texts_of(const fakes::StageRun& run) {
  Texts texts;
  for (const penstock::Chunk& chunk : run.chunks) {
    const Texts some = fakes::texts_of(std::get<penstock::DocumentChunk>(chunk));
    texts.insert(texts.end(), some.begin(), some.end());
  }
  return texts;
}

// "record 2, byte 100: reason"
Texts rejects_of(const fakes::StageRun& run) {
  Texts rejects;
  for (const penstock::Chunk& chunk : run.chunks) {
    for (const penstock::Reject& reject : penstock::info(chunk).rejects) {
      rejects.push_back("record " + std::to_string(reject.position.record) + ", byte " +
                        std::to_string(reject.position.byte_offset) + ": " + reject.reason);
    }
  }
  return rejects;
}

const Texts kArticles = {
    "Penstock\n\nA '''penstock''' leads water to a [[turbine]] & <ref>so on</ref>.",
    "Weir\n\nA '''weir''' is lower than a dam \u2013 usually."};

TEST(WikipediaDump, GivesArticlesWithTheirPlace) {
  const fakes::StageRun result = run(SAMPLE);
  EXPECT_EQ(texts_of(result), kArticles);
  EXPECT_EQ(result.summary.records, 4);
  const auto& chunk = std::get<penstock::DocumentChunk>(result.chunks.at(0));
  const penstock::Document& weir = chunk.documents.at(1);
  EXPECT_EQ(weir.record, 4);
  const std::string xml = read_file(SAMPLE);
  EXPECT_EQ(weir.byte_offset, static_cast<std::int64_t>(xml.rfind("<page>")));
  EXPECT_EQ(chunk.position.byte_offset, static_cast<std::int64_t>(xml.find("<page>")));
  EXPECT_EQ(*chunk.position.shard, SAMPLE);
}

TEST(WikipediaDump, GivesWhatIsAskedFor) {
  EXPECT_EQ(texts_of(run(SAMPLE, ", namespaces: ['1'], titles: false")), Texts{"Is it so"});
  EXPECT_EQ(texts_of(run(SAMPLE, ", redirects: true")).size(), 3U);
}

TEST(WikipediaDump, ReadsSeveralBzip2Streams) {
  const std::string xml = read_file(SAMPLE);
  const std::string path =
      write_file("streams.bz2", bzip2(xml.substr(0, 400)) + bzip2(xml.substr(400)));
  EXPECT_EQ(texts_of(run(path)), kArticles);
}

TEST(WikipediaDump, RefusesBrokenPagesAndGoesOn) {
  const Texts parts = {page("A", "a"),
                       page("B", "<b>"),
                       page("", "no title"),
                       "<page><title>D</title><ns>0</ns>\n",
                       page("E", std::string(2000, 'e')),
                       page("F", "f \xff"),
                       page("G", "g"),
                       "<page><title>H</ti"};
  std::string xml = "<mediawiki>";
  std::vector<std::string> at;
  for (const std::string& part : parts) {
    at.push_back(std::to_string(xml.size()));
    xml += part;
  }
  const fakes::StageRun result = run(write_file("broken.xml", xml), ", max_page: 1024");
  EXPECT_EQ(texts_of(result), (Texts{"A\n\na", "G\n\ng"}));
  EXPECT_EQ(
      rejects_of(result),
      (Texts{"record 2, byte " + at[1] +
                 ": not well-formed XML: mismatched tag at byte 53 of the page",
             "record 3, byte " + at[2] + ": the page has no <title>",
             "record 4, byte " + at[3] + ": another page begins inside it",
             "record 5, byte " + at[4] + ": it is longer than max_page, 1024 bytes",
             "record 6, byte " + at[5] +
                 ": not well-formed XML: not well-formed (invalid token) at byte 50 of the page",
             "record 8, byte " + at[7] + ": the shard ends inside the page"}));
  EXPECT_EQ(result.summary.records, 8);
}

TEST(WikipediaDump, HoldsNoMoreThanAPageThatIsNotTooLong) {
  const std::string xml = page("A", "a") + page("B", std::string(5 << 20, 'b')) + page("C", "c");
  const fakes::StageRun result = run(write_file("long.xml", xml), ", max_page: 1MiB");
  EXPECT_EQ(texts_of(result), (Texts{"A\n\na", "C\n\nc"}));
  const auto& rejects = penstock::info(result.chunks.at(0)).rejects;
  ASSERT_EQ(rejects.size(), 1U);
  EXPECT_EQ(rejects[0].raw_bytes, std::ssize(page("B", std::string(5 << 20, 'b'))) - 1);
  EXPECT_EQ(rejects[0].raw.size(), 200U);
}

TEST(WikipediaDump, KeepsWhatLiesBeforeDamage) {
  const std::string whole = bzip2(page("A", "a"));
  std::string packed = whole + bzip2(page("B", "b"));
  packed[whole.size() + 12] ^= 1;  // in the checksum of the block
  const std::string damaged = write_file("damaged.bz2", packed);
  const fakes::StageRun result =
      run(damaged + ", " + write_file("no_dump.xml", "<html></html>"), ", lanes: 1");
  EXPECT_EQ(texts_of(result), Texts{"A\n\na"});
  const Texts rejects = rejects_of(result);
  ASSERT_EQ(rejects.size(), 2U);
  EXPECT_NE(rejects[0].find("damaged bzip2 data"), std::string::npos) << rejects[0];
  EXPECT_EQ(rejects[1],
            "record 1, byte 0: there is no <page> in the shard: it is no MediaWiki dump");
}

TEST(WikipediaDump, DealsLanesInTurnAndCutsChunksByContent) {
  std::string paths;
  for (const std::string name : {"a", "b", "c"}) {
    std::string xml;
    for (int i = 0; i < 3; ++i) {
      xml += page(name, std::string(1000, *name.c_str()) + std::to_string(i));
    }
    paths += write_file(name + ".xml", xml) + ", ";
  }
  const fakes::StageRun result = run(paths, ", lanes: 2, chunk_size: 1KiB");
  std::string order;
  for (const std::string& text : texts_of(result)) {
    order += text.substr(0, 1) + text.back() + " ";
  }
  EXPECT_EQ(order, "a0 b0 a1 b1 a2 b2 c0 c1 c2 ");
}

TEST(WikipediaDump, NamesAPathThatIsNotThere) {
  EXPECT_THROW(run("no_such_dump.xml"), penstock::ConfigError);
}

}  // namespace
