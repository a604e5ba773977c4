#include <algorithm>
#include <cerrno>
#include <deque>
#include <fstream>

#include "bzip2_decompressor.h"
#include "page_cutter.h"
#include "page_parser.h"
#include "pipeline/plugin.h"
#include "stages/decompressor.h"
#include "stages/shard_list.h"

namespace {

using penstock::DocumentChunk;
using penstock::Option;
using penstock::Shard;
using penstock::ShardError;
using penstock::StageMetrics;

constexpr std::size_t kStepBytes = std::size_t{128} << 10;
constexpr std::int64_t kMaxWindow = std::int64_t{128} << 20;  // of a zstd frame

struct Settings {
  explicit Settings(const penstock::StageConfig& config)
      : chunk_size(config.integer("chunk_size")),
        max_page(config.integer("max_page")),
        namespaces(config.text_list("namespaces")),
        redirects(config.boolean("redirects")),
        titles(config.boolean("titles")) {}

  std::int64_t chunk_size;
  std::int64_t max_page;
  std::vector<std::string> namespaces;
  bool redirects;
  bool titles;
};

// Reads and decompresses one file, a little at a time.
class DumpFile {
 public:
  // Throws ShardError.
  DumpFile(const Shard& shard, StageMetrics& row)
      : file_(shard.path, std::ios::binary), row_(row), stored_(kStepBytes), text_(kStepBytes) {
    if (!file_) {
      throw ShardError("cannot open the shard: " + penstock::error_text(errno));
    }
    read();
    decompressor_ = input_.starts_with("BZh") ? make_bzip2_decompressor()
                                              : penstock::make_decompressor(input_, kMaxWindow);
  }

  // Some text, valid until the next call; none at the end of the file. Throws ShardError.
  std::string_view next() {
    for (;;) {
      const auto [consumed, produced] = decompressor_->step(input_, text_);
      input_.remove_prefix(consumed);
      row_.bytes_out += static_cast<std::int64_t>(produced);
      if (produced > 0) {
        return {text_.data(), produced};
      }
      if (consumed == 0) {
        read();
        if (input_.empty()) {
          decompressor_->finish();
          return {};
        }
      }
    }
  }

 private:
  // Behind what the decompressor has left.
  void read() {
    std::copy(input_.begin(), input_.end(), stored_.begin());
    const auto left = static_cast<std::ptrdiff_t>(input_.size());
    file_.read(stored_.data() + left, std::ssize(stored_) - left);
    if (file_.bad()) {
      throw ShardError("cannot read on: " + penstock::error_text(errno));
    }
    row_.bytes_in += file_.gcount();
    input_ = {stored_.data(), static_cast<std::size_t>(left + file_.gcount())};
  }

  std::ifstream file_;
  StageMetrics& row_;
  std::vector<char> stored_;
  std::vector<char> text_;
  std::string_view input_;  // part of stored_
  std::unique_ptr<penstock::Decompressor> decompressor_;
};

// Reads its shards one after the other.
class Lane {
 public:
  Lane(std::vector<Shard> shards, const Settings& settings, StageMetrics& row)
      : shards_(std::move(shards)), settings_(settings), row_(row), cutter_(settings.max_page) {}

  std::optional<penstock::Chunk> next(const std::stop_token& stop) {
    DocumentChunk chunk;
    std::int64_t chunk_bytes = 0;
    while (!stop.stop_requested()) {
      if (const std::optional<CutPage> page = cutter_.next()) {
        add(*page, chunk);
        chunk_bytes += page->bytes;
        if (chunk_bytes >= settings_.chunk_size) {
          return chunk;
        }
      } else if (is_open_ && !read_on(chunk)) {
        is_open_ = false;
        return chunk;
      } else if (!is_open_ && next_shard_ == shards_.size()) {
        return std::nullopt;
      } else if (!is_open_) {
        open();
      }
    }
    return std::nullopt;
  }

 private:
  void open() {
    cutter_.begin_shard();
    is_open_ = true;
    ++next_shard_;
  }

  const Shard& shard() const { return shards_[next_shard_ - 1]; }

  // Returns false at the end of the shard, or where it is damaged.
  bool read_on(DocumentChunk& chunk) {
    std::string damage;
    try {
      if (!file_) {
        file_ = std::make_unique<DumpFile>(shard(), row_);
      }
      if (const std::string_view text = file_->next(); !text.empty()) {
        cutter_.add(text);
        return true;
      }
    } catch (const ShardError& error) {
      damage = error.what();
    }
    file_.reset();
    const std::string lost = damage.empty() ? "the shard ends inside the page" : damage;
    if (const std::optional<CutPage> page = cutter_.finish(lost)) {
      add(*page, chunk);
    } else if (!damage.empty()) {
      add({{}, cutter_.pages() + 1, cutter_.end_offset(), 0, damage}, chunk);
    } else if (cutter_.pages() == 0) {
      add({{}, 1, 0, 0, "there is no <page> in the shard: it is no MediaWiki dump"}, chunk);
    }
    begin_at({shard().name, cutter_.pages() + 1, cutter_.end_offset()}, chunk);
    return false;
  }

  // A chunk begins at its first page.
  static void begin_at(const penstock::SourcePosition& position, DocumentChunk& chunk) {
    if (!chunk.position.shard) {
      chunk.position = position;
    }
  }

  void add(const CutPage& page, DocumentChunk& chunk) {
    const penstock::SourcePosition position{shard().name, page.record, page.byte_offset};
    begin_at(position, chunk);
    ++chunk.num_records;
    const std::string refusal = page.refusal.empty() ? parser_.parse(page.xml) : page.refusal;
    if (!refusal.empty()) {
      chunk.rejects.push_back({position, refusal, std::string(page.xml), page.bytes, {}});
    } else if (is_wanted(parser_.page())) {
      const WikiPage& wiki = parser_.page();
      const std::string_view text = settings_.titles
                                        ? chunk.arena.store(wiki.title + "\n\n" + wiki.text)
                                        : chunk.arena.store(wiki.text);
      chunk.documents.push_back({text, page.record, page.byte_offset});
      ++row_.documents;
    }
  }

  bool is_wanted(const WikiPage& page) const {
    const std::vector<std::string>& wanted = settings_.namespaces;
    return (settings_.redirects || !page.is_redirect) &&
           std::find(wanted.begin(), wanted.end(), page.name_space) != wanted.end();
  }

  const std::vector<Shard> shards_;
  const Settings& settings_;
  StageMetrics& row_;
  PageCutter cutter_;
  PageParser parser_;
  std::size_t next_shard_ = 0;
  bool is_open_ = false;
  std::unique_ptr<DumpFile> file_;  // of the shard that is open, from its first byte on
};

// Gives the pages of Wikipedia's dumps as documents.
class WikipediaDump final : public penstock::Source {
 public:
  using Output = DocumentChunk;

  WikipediaDump(const penstock::StageConfig& config, const penstock::BuildContext& context)
      : settings_(config) {
    const std::vector<Shard> shards = list(config, context.files);
    const auto lanes =
        static_cast<std::size_t>(std::min(config.integer("lanes"), std::ssize(shards)));
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      std::vector<Shard> own;
      for (std::size_t i = lane; i < shards.size(); i += lanes) {
        own.push_back(shards[i]);
        total_bytes_ += *shards[i].size;
      }
      lanes_.emplace_back(std::move(own), settings_, context.own_row);
    }
  }

  int lanes() const override { return static_cast<int>(lanes_.size()); }
  std::optional<penstock::Chunk> next(int lane, const std::stop_token& stop) override {
    return lanes_.at(static_cast<std::size_t>(lane)).next(stop);
  }
  std::optional<std::int64_t> total_bytes() const override { return total_bytes_; }

 private:
  static std::vector<Shard> list(const penstock::StageConfig& config, penstock::FileClaims& files) {
    penstock::ShardList list = penstock::list_shards(config.text_list("paths"));
    for (const Shard& shard : list.shards) {
      if (!shard.size) {
        list.problems.push_back("'" + *shard.name + "' is no file; pipes are not supported");
      } else {
        files.add_input(shard.path);
      }
    }
    if (!list.problems.empty()) {
      throw config.error("paths", list.problems.front());
    }
    if (list.shards.empty()) {
      throw config.error("paths", "got '[]', expected at least one path");
    }
    return list.shards;
  }

  const Settings settings_;
  std::int64_t total_bytes_ = 0;
  std::deque<Lane> lanes_;
};

std::vector<Option> options() {
  constexpr double kKiB = 1024;
  constexpr double kGiB = kKiB * kKiB * kKiB;
  return {
      Option::text_list("paths",
                        "The dumps: files, folders or glob patterns. bzip2, zstd, gzip and plain "
                        "XML are told apart by content."),
      Option::integer("lanes", "How many dumps are read at the same time; shapes the order.")
          .in_range(1, 256)
          .or_else(4),
      Option::bytes("chunk_size", "XML in a chunk; a chunk ends with a page.")
          .in_range(kKiB, kGiB)
          .or_else(std::int64_t{256} << 10),
      Option::text_list("namespaces", "Numbers of the namespaces that are wanted; 0: articles.")
          .or_else(std::vector<std::string>{"0"}),
      Option::boolean("redirects", "Whether pages that only point at others are wanted.")
          .or_else(false),
      Option::boolean("titles", "Put the title and an empty line before the text.").or_else(true),
      Option::bytes("max_page", "A page whose XML is longer is refused.")
          .in_range(kKiB, kGiB)
          .or_else(std::int64_t{8} << 20),
  };
}

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_source<WikipediaDump>(
      "wikipedia_dump", "Gives the pages of Wikipedia's XML dumps as documents.", options());
}
