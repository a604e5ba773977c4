#include "key_table.h"
#include "min_hash.h"
#include "pipeline/plugin.h"

namespace {

using penstock::Document;
using penstock::DocumentChunk;
using penstock::Option;
using penstock::StageMetrics;

struct Rows {
  StageMetrics& exact;
  StageMetrics& near;
  StageMetrics& forgotten;
};

// Drops the documents that repeat an earlier one of the stream. The one instance sees all documents
// in stream order, so what is dropped depends neither on threads nor on timing.
class NearDuplicates final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  NearDuplicates(const penstock::StageConfig& config, const Rows& rows)
      : rows_(rows),
        min_hash_(static_cast<int>(config.integer("shingle_words")),
                  static_cast<int>(config.integer("bands")),
                  static_cast<int>(config.integer("rows"))),
        table_(static_cast<std::size_t>(config.integer("memory"))) {}

  DocumentChunk process(DocumentChunk chunk) override {
    std::erase_if(chunk.documents,
                  [this](const Document& document) { return is_repeated(document.text); });
    return chunk;
  }

 private:
  // Remembers the text where it is not.
  bool is_repeated(std::string_view text) {
    const std::uint64_t exact = hash_bytes(text);
    if (table_.contains(exact)) {
      ++rows_.exact.rejects;
      return true;
    }
    const std::vector<std::uint64_t>& bands = min_hash_.keys(text);
    if (std::any_of(bands.begin(), bands.end(), [this](std::uint64_t key) {
          return table_.contains(key);
        })) {
      ++rows_.near.rejects;
      return true;
    }
    remember(exact);
    for (const std::uint64_t key : bands) {
      remember(key);
    }
    return false;
  }

  void remember(std::uint64_t key) { rows_.forgotten.rejects += table_.add(key) ? 1 : 0; }

  const Rows rows_;
  MinHash min_hash_;
  KeyTable table_;
};

penstock::InstanceFactory make_factory(const penstock::StageConfig& config,
                                       const penstock::BuildContext& context) {
  const auto add_row = [&context](const char* name) -> StageMetrics& {
    return context.metrics.add(context.own_row.name + "." + name, 1);
  };
  const Rows rows{add_row("exact"), add_row("near"), add_row("forgotten_keys")};
  context.own_row.note =
      "remembers at most the last " +
      std::to_string(KeyTable::capacity_of(static_cast<std::size_t>(config.integer("memory"))) /
                     static_cast<std::size_t>(config.integer("bands") + 1)) +
      " documents that it kept";
  return [config, rows] { return std::make_unique<NearDuplicates>(config, rows); };
}

std::vector<Option> options() {
  return {
      Option::integer("shingle_words", "Words in a shingle.").in_range(1, 64).or_else(5),
      Option::integer("bands", "Keys of a document; one in common makes it a duplicate.")
          .in_range(1, 1024)
          .or_else(14),
      Option::integer("rows",
                      "Minima that a key is made of. Documents of a Jaccard similarity J of their "
                      "shingles are found with a probability of 1 - (1 - J^rows)^bands.")
          .in_range(1, 64)
          .or_else(8),
      Option::bytes("memory",
                    "What earlier documents are remembered in, beside memory_limit: 8 bytes for "
                    "each band and 8 more a document, rounded down to a power of two. Where it is "
                    "full the oldest keys are forgotten, and what repeats them is kept.")
          .in_range(4096, 0x1p40)
          .or_else(std::int64_t{256} << 20),
  };
}

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add({"near_duplicates",
                "Drops documents that repeat an earlier one, exactly or nearly.",
                penstock::Payload::kDocuments,
                penstock::Payload::kDocuments,
                penstock::Ordering::kInOrder,
                options(),
                penstock::StageFactory(make_factory)});
}
