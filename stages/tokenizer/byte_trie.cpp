#include "stages/tokenizer/byte_trie.h"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <string>

namespace penstock {

namespace {

constexpr std::size_t kRow = 256;
// Free nodes are looked for in this many rows before the end of the array: looking in all of them
// would take quadratic time and find hardly more.
constexpr std::size_t kOpenRows = 16;

}  // namespace

// Lays out the nodes level by level, so that those near the root, which every walk visits, share
// cache lines.
class ByteTrieBuilder {
 public:
  explicit ByteTrieBuilder(std::vector<ByteTrie::Entry> entries) : entries_(std::move(entries)) {
    std::sort(entries_.begin(), entries_.end(), [](const auto& left, const auto& right) {
      return left.key < right.key;
    });
  }

  std::vector<ByteTrie::Link> build() {
    add_row();
    take(ByteTrie::kRoot);
    pending_.push_back({ByteTrie::kRoot, 0, entries_.size(), 0});
    while (!pending_.empty()) {
      const Branch branch = pending_.front();
      pending_.pop_front();
      add_children(branch);
    }
    return std::move(links_);
  }

 private:
  // A node and the entries that begin with the `depth` bytes that lead to it.
  struct Branch {
    std::size_t node;
    std::size_t first;
    std::size_t last;
    std::size_t depth;
  };

  void add_children(Branch branch) {
    if (branch.first < branch.last && entries_[branch.first].key.size() == branch.depth) {
      links_[branch.node].value = entries_[branch.first].value;
      ++branch.first;
    }
    if (branch.first == branch.last) {
      return;
    }
    labels_.clear();
    children_.clear();
    for (std::size_t i = branch.first; i < branch.last; ++i) {
      const auto label = static_cast<unsigned char>(entries_[i].key[branch.depth]);
      if (labels_.empty() || labels_.back() != label) {
        labels_.push_back(label);
        children_.push_back({0, i, i, branch.depth + 1});
      }
      children_.back().last = i + 1;
    }
    const std::size_t offset = find_offset();
    offset_used_[offset] = true;
    links_[branch.node].bits |= static_cast<std::uint32_t>(offset << ByteTrie::kOffsetShift);
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      children_[i].node = offset ^ labels_[i];
      take(children_[i].node);
      links_[children_[i].node].bits = labels_[i];
      pending_.push_back(children_[i]);
    }
  }

  // An unused offset all of whose children's nodes are free.
  std::size_t find_offset() {
    for (std::size_t node = next_free(first_open()); node < links_.size();
         node = next_free(node + 1)) {
      if (fits(node ^ labels_.front())) {
        return node ^ labels_.front();
      }
    }
    const std::size_t row = links_.size();
    add_row();
    for (std::size_t offset = row; offset < row + kRow; ++offset) {
      if (fits(offset)) {
        return offset;
      }
    }
    throw std::logic_error("no offset in an empty row of a trie");
  }

  bool fits(std::size_t offset) const {
    return offset != 0 && !offset_used_[offset] &&
           std::none_of(labels_.begin(), labels_.end(), [&](unsigned char label) {
             return taken_[offset ^ label];
           });
  }

  std::size_t first_open() const {
    return links_.size() > kOpenRows * kRow ? links_.size() - kOpenRows * kRow : 0;
  }

  // The first free node that is not before `node`. Runs of taken nodes are skipped by what is
  // remembered of them.
  std::size_t next_free(std::size_t node) {
    std::size_t free = node;
    while (free < links_.size() && taken_[free]) {
      free = std::max(free + 1, skip_[free]);
    }
    if (node < links_.size() && taken_[node]) {
      skip_[node] = free;
    }
    return free;
  }

  void add_row() {
    if (links_.size() + kRow > ByteTrie::kMostNodes) {
      throw std::length_error("its pieces need a trie of more than " +
                              std::to_string(ByteTrie::kMostNodes) + " nodes");
    }
    links_.resize(links_.size() + kRow);
    taken_.resize(links_.size());
    offset_used_.resize(links_.size());
    skip_.resize(links_.size());
  }

  void take(std::size_t node) { taken_[node] = true; }

  std::vector<ByteTrie::Entry> entries_;
  std::vector<ByteTrie::Link> links_;
  std::vector<bool> taken_;
  std::vector<bool> offset_used_;
  std::vector<std::size_t> skip_;  // where a search that begins at a taken node may go on
  std::deque<Branch> pending_;
  // Of the node whose children are added.
  std::vector<unsigned char> labels_;
  std::vector<Branch> children_;
};

ByteTrie::ByteTrie(std::vector<Entry> entries)
    : links_(ByteTrieBuilder(std::move(entries)).build()) {}

ByteTrie::Match ByteTrie::longest_prefix(std::string_view text) const noexcept {
  Match match;
  Node node = kRoot;
  for (std::size_t i = 0; i < text.size() && step(node, static_cast<unsigned char>(text[i])); ++i) {
    if (value(node) != kNoValue) {
      match = {i + 1, value(node)};
    }
  }
  return match;
}

}  // namespace penstock
