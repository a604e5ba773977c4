#include "page_cutter.h"

#include <algorithm>
#include <utility>

namespace {

constexpr std::string_view kTagEnd = "page>";  // of <page> and </page>
constexpr std::size_t kTagBytes = 7;
constexpr std::size_t kHeadBytes = 200;

}  // namespace

void PageCutter::begin_shard() {
  text_.clear();
  head_.clear();
  offset_ = 0;
  begin_ = 0;
  scanned_ = 0;
  is_in_page_ = false;
  pages_ = 0;
}

void PageCutter::add(std::string_view text) {
  text_.erase(0, begin_);
  offset_ += static_cast<std::int64_t>(begin_);
  scanned_ -= begin_;
  begin_ = 0;
  text_ += text;
}

std::optional<CutPage> PageCutter::next() {
  for (;;) {
    const std::size_t tag = text_.find(kTagEnd, scanned_);
    if (tag == std::string::npos) {
      let_go_of_scanned();
      return std::nullopt;
    }
    const std::string_view before(text_.data() + begin_, tag - begin_);
    if (before.ends_with('<')) {
      if (is_in_page_) {
        return take_page(tag - 1, "another page begins inside it");
      }
      is_in_page_ = true;
      head_.clear();
      begin_ = tag - 1;
      page_offset_ = offset_ + static_cast<std::int64_t>(begin_);
      ++pages_;
    }
    scanned_ = tag + kTagEnd.size();
    if (is_in_page_ && before.ends_with("</")) {
      return take_page(scanned_, "");
    }
  }
}

std::optional<CutPage> PageCutter::finish(const std::string& refusal) {
  return is_in_page_ ? std::optional(take_page(text_.size(), refusal)) : std::nullopt;
}

CutPage PageCutter::take_page(std::size_t end, std::string refusal) {
  CutPage page;
  page.record = pages_;
  page.byte_offset = page_offset_;
  page.bytes = offset_ + static_cast<std::int64_t>(end) - page_offset_;
  page.refusal = std::move(refusal);
  if (page.bytes > max_page_) {
    page.refusal = "it is longer than max_page, " + std::to_string(max_page_) + " bytes";
  }
  page.xml = head_.empty() ? std::string_view(text_).substr(begin_, end - begin_) : head_;
  if (!page.refusal.empty()) {
    page.xml = page.xml.substr(0, kHeadBytes);
  }
  begin_ = end;
  is_in_page_ = false;
  return page;
}

// What can be part of a tag stays, and a page that is not too long.
void PageCutter::let_go_of_scanned() {
  const std::size_t size = text_.size();
  scanned_ = std::max(scanned_, size - std::min(size, kTagEnd.size() - 1));
  const bool is_short = std::ssize(text_) - static_cast<std::int64_t>(begin_) <= max_page_;
  if (is_in_page_ && head_.empty()) {
    if (is_short) {
      return;
    }
    head_ = text_.substr(begin_, kHeadBytes);
  }
  begin_ = std::max(begin_, size - std::min(size, kTagBytes - 1));
}
