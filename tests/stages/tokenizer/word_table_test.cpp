#include "stages/tokenizer/word_table.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock {
namespace {

using Key = WordKey<2>;
struct Value {
  std::array<std::uint32_t, 4> numbers{};
};
using Table = WordTable<Key, Value>;

Key key_of(std::string word) {
  const std::size_t size = word.size();
  word.resize(sizeof(Key), '#');
  return make_word_key<2>(word.data(), size);
}

TEST(WordKey, DiffersForDifferentWords) {
  std::vector<std::string> words = {std::string(1, '\0'), std::string(2, '\0')};
  for (std::size_t size = 1; size <= Key::kMaxBytes; ++size) {
    words.push_back(std::string(size, 'a'));
    words.push_back(std::string(size - 1, 'a') + 'b');
    words.push_back(std::string(size - 1, 'a') + '\0');
  }
  std::set<std::array<std::uint64_t, 2>> keys;
  for (const std::string& word : words) {
    EXPECT_NE(key_of(word), Key{});
    keys.insert(key_of(word).parts);
  }
  EXPECT_EQ(keys.size(), std::set<std::string>(words.begin(), words.end()).size());
}

TEST(WordKey, TakesNothingOfWhatIsBehindTheWord) {
  for (std::size_t size = 1; size <= WordKey<4>::kMaxBytes; ++size) {
    const std::string first = std::string(size, 'a') + std::string(64, 'x');
    const std::string second = std::string(size, 'a') + std::string(64, 'y');
    EXPECT_EQ(make_word_key<4>(first.data(), size), make_word_key<4>(second.data(), size));
  }
}

TEST(WordTable, TakesFourEntriesOfThirtyTwoBytesForTwoCacheLines) {
  EXPECT_EQ(sizeof(Table::Entry), 32U);
  EXPECT_EQ(sizeof(Table::Bucket), 64U);
  EXPECT_EQ(Table(1 << 20).bytes(), std::size_t{1} << 20);
  EXPECT_EQ(Table(0).bytes(), sizeof(Table::Bucket));
}

// Whatever was replaced, a value that is found is that of its word.
TEST(WordTable, NeverConfusesWords) {
  std::mt19937 random(4);
  for (const std::size_t bytes : {0, 1000, 100'000, 5 << 20}) {
    Table table(bytes);
    std::size_t num_found = 0;
    for (int i = 0; i < 20'000; ++i) {
      const std::uint32_t number = random() % 2000;
      const Key key = key_of("word" + std::to_string(number));
      Table::Bucket& bucket = table.bucket(hash_of(key));
      if (const Value* value = Table::find(bucket, key)) {
        EXPECT_EQ(value->numbers[0], number);
        ++num_found;
      } else {
        table.insert(bucket, key, {{number}});
        ASSERT_NE(Table::find(bucket, key), nullptr);
      }
    }
    EXPECT_GT(num_found, bytes > 4000 ? 1000U : 0U);
    EXPECT_LE(table.bytes(), std::max(bytes, sizeof(Table::Bucket)));
  }
}

TEST(TableMemory, IsZeroedAndMoves) {
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{5} << 20}) {
    TableMemory memory(bytes);
    auto* const data = static_cast<unsigned char*>(memory.data());
    EXPECT_EQ(data[0], 0);
    EXPECT_EQ(data[bytes - 1], 0);
    data[bytes - 1] = 7;
    TableMemory other = std::move(memory);
    EXPECT_EQ(static_cast<unsigned char*>(other.data())[bytes - 1], 7);
    memory = std::move(other);
    EXPECT_EQ(memory.size(), bytes);
  }
}

}  // namespace
}  // namespace penstock
