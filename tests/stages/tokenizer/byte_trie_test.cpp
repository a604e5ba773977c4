#include "stages/tokenizer/byte_trie.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

using Keys = std::map<std::string, std::uint32_t>;

ByteTrie trie_of(const Keys& keys) {
  std::vector<ByteTrie::Entry> entries;
  for (const auto& [key, value] : keys) {
    entries.push_back({key, value});
  }
  return ByteTrie(std::move(entries));
}

ByteTrie::Match longest_in(const Keys& keys, const std::string& text) {
  ByteTrie::Match match;
  for (std::size_t length = 1; length <= text.size(); ++length) {
    const auto found = keys.find(text.substr(0, length));
    if (found != keys.end()) {
      match = {length, found->second};
    }
  }
  return match;
}

std::string random_text(std::mt19937& random, unsigned letters, std::size_t longest) {
  std::string text(1 + random() % longest, '\0');
  for (char& byte : text) {
    byte = static_cast<char>(random() % letters * (256 / letters));
  }
  return text;
}

TEST(ByteTrie, FindsTheLongestKey) {
  const ByteTrie trie = trie_of({{"a", 7}, {"abc", 8}, {"b", 9}});
  EXPECT_EQ(trie.longest_prefix("abcd").length, 3U);
  EXPECT_EQ(trie.longest_prefix("abcd").value, 8);
  EXPECT_EQ(trie.longest_prefix("ab").length, 1U);
  EXPECT_EQ(trie.longest_prefix("cab").length, 0U);
  EXPECT_EQ(trie.longest_prefix("").length, 0U);
}

TEST(ByteTrie, HasNothingWhenEmpty) {
  EXPECT_EQ(ByteTrie().longest_prefix("abc").length, 0U);
}

TEST(ByteTrie, FindsWhatAMapFinds) {
  std::mt19937 random(3);
  for (const unsigned letters : {2U, 8U, 256U}) {
    Keys keys;
    for (std::uint32_t i = 0; i < 3000; ++i) {
      keys.emplace(random_text(random, letters, 9), i);
    }
    const ByteTrie trie = trie_of(keys);
    for (int i = 0; i < 20000; ++i) {
      const std::string text = random_text(random, letters, 12);
      const ByteTrie::Match expected = longest_in(keys, text);
      const ByteTrie::Match found = trie.longest_prefix(text);
      ASSERT_EQ(found.length, expected.length);
      ASSERT_EQ(found.value, expected.value);
    }
  }
}

TEST(ByteTrie, NoByteLeadsOutOfALeaf) {
  const ByteTrie trie = trie_of({{"k", 1}});
  ByteTrie::Node leaf = ByteTrie::kRoot;
  ASSERT_TRUE(trie.step(leaf, 'k'));
  for (unsigned byte = 0; byte < 256; ++byte) {
    ByteTrie::Node node = leaf;
    EXPECT_FALSE(trie.step(node, static_cast<unsigned char>(byte)));
    EXPECT_EQ(node, leaf);
  }
}

}  // namespace
}  // namespace penstock
