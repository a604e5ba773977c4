#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The XML of one page, or what is known of one that is refused.
struct CutPage {
  std::string_view xml;          // from "<page>" to "</page>"; the beginning where it is refused
  std::int64_t record = 0;       // ordinal of the page in the shard, from 1
  std::int64_t byte_offset = 0;  // of "<page>" in the decompressed shard
  std::int64_t bytes = 0;        // of the whole page
  std::string refusal;           // empty where the page is whole
};

// Cuts the text of a shard into pages, so that each is parsed by itself and a broken one takes no
// other with it: in a dump's text '<' is always escaped, so "<page>" is where a page begins. Holds
// one page of at most `max_page` bytes and what was added last.
class PageCutter {
 public:
  explicit PageCutter(std::int64_t max_page) : max_page_(max_page) {}

  void begin_shard();
  void add(std::string_view text);
  // Valid until the next call of anything. Nothing where more text is needed.
  std::optional<CutPage> next();
  // The shard is over, and next() gave nothing: the page that has no end.
  std::optional<CutPage> finish(const std::string& refusal);

  std::int64_t pages() const { return pages_; }
  // Of the end of what was added, in the decompressed shard.
  std::int64_t end_offset() const { return offset_ + std::ssize(text_); }

 private:
  CutPage take_page(std::size_t end, std::string refusal);
  void let_go_of_scanned();

  const std::int64_t max_page_;
  std::string text_;
  std::int64_t offset_ = 0;  // of text_[0] in the shard
  std::size_t begin_ = 0;    // what lies before is not needed any more
  std::size_t scanned_ = 0;  // no tag ends before
  bool is_in_page_ = false;  // which begins at begin_, or has begun with head_
  std::string head_;         // of a page that is too long
  std::int64_t page_offset_ = 0;
  std::int64_t pages_ = 0;  // begun so far
};
