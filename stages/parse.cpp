#include "stages/parse.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "pipeline/chunk.h"
#include "pipeline/stage.h"
#include "stages/chunk_records.h"
#include "stages/json_text.h"
#include "stages/utf8.h"

namespace penstock {
namespace {

void refuse(DocumentChunk& chunk, const ChunkRecord& record, std::string reason) {
  chunk.rejects.push_back({{chunk.position.shard, record.record, record.byte_offset},
                           std::move(reason),
                           std::string(record.bytes),
                           std::ssize(record.bytes),
                           {}});
}

// One JSON object a record; one of its fields is the text.
class ParseJson final : public Transform<ByteChunk, DocumentChunk> {
 public:
  explicit ParseJson(JsonField field) : extractor_(std::move(field)) {}

  DocumentChunk process(ByteChunk chunk) override {
    ChunkRecords records(chunk);
    auto parsed = continue_chunk<DocumentChunk>(chunk);
    if (chunk.bytes.empty()) {
      return parsed;
    }
    // Blank records make no document, so their number alone promises nothing.
    parsed.documents.reserve(std::min(static_cast<std::size_t>(parsed.num_records),
                                      chunk.bytes.size() / sizeof(Document)));
    // No text is longer than its record, so the texts fit where the records did.
    ByteBuffer unescaped = parsed.spare.take_buffer(chunk.bytes.size());
    char* destination = unescaped.data();
    bool has_clean_text = false;
    while (const std::optional<ChunkRecord> record = records.next()) {
      JsonText extracted = extractor_.extract(record->bytes, destination);
      if (!extracted.refusal.empty()) {
        refuse(parsed, *record, std::move(extracted.refusal));
        continue;
      }
      parsed.documents.push_back({extracted.text, record->record, record->byte_offset});
      if (extracted.text.data() == destination) {
        destination += extracted.text.size();
      } else {
        has_clean_text = true;
      }
    }
    const bool has_unescaped_text = destination != unescaped.data();
    adopt_or_keep(parsed, std::move(chunk.bytes), has_clean_text);
    adopt_or_keep(parsed, std::move(unescaped), has_unescaped_text);
    return parsed;
  }

 private:
  static void adopt_or_keep(DocumentChunk& parsed, ByteBuffer buffer, bool has_text) {
    if (has_text) {
      parsed.arena.adopt(std::move(buffer));
    } else {
      parsed.spare.keep(std::move(buffer));
    }
  }

  JsonTextExtractor extractor_;
};

// A record is a text.
class ParseText final : public Transform<ByteChunk, DocumentChunk> {
 public:
  DocumentChunk process(ByteChunk chunk) override {
    ChunkRecords records(chunk);
    auto parsed = continue_chunk<DocumentChunk>(chunk);
    while (const std::optional<ChunkRecord> record = records.next()) {
      if (std::optional<std::string> error = utf8_error(record->bytes)) {
        refuse(parsed, *record, *std::move(error));
        continue;
      }
      std::string_view text = record->bytes;
      if (chunk.delimiter == RecordDelimiter::kLine && text.ends_with('\r')) {
        text.remove_suffix(1);
      }
      parsed.documents.push_back({text, record->record, record->byte_offset});
    }
    if (!parsed.documents.empty()) {
      parsed.arena.adopt(std::move(chunk.bytes));
    }
    return parsed;
  }
};

JsonField field_of(const StageConfig& config) {
  try {
    return parse_json_field(config.text("text"));
  } catch (const std::invalid_argument& error) {
    throw config.error("text", error.what());
  }
}

InstanceFactory make_factory(const StageConfig& config, const BuildContext&) {
  if (config.text("format") == "txt") {
    return [] { return std::make_unique<ParseText>(); };
  }
  return [field = field_of(config)] { return std::make_unique<ParseJson>(field); };
}

}  // namespace

void register_parse(StageRegistry& registry) {
  registry.add(
      {"parse",
       "Turns records into documents.",
       Payload::kBytes,
       Payload::kDocuments,
       Ordering::kParallel,
       {Option::choice(
            "format", "What a record is: a JSON object (jsonl) or a text (txt).", {"jsonl", "txt"})
            .or_else(std::string("jsonl")),
        Option::text("text",
                     "For jsonl, the field that holds the text: its name or, when it "
                     "begins with '/', a JSON pointer such as /content/body.")
            .or_else(std::string("text"))},
       StageFactory(make_factory)});
}

}  // namespace penstock
