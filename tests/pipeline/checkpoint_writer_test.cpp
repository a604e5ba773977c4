#include "pipeline/checkpoint_writer.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/checkpoint_folder.h"
#include "pipeline/errors.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CheckpointWriterTest : public ::testing::Test {
 protected:
  CheckpointWriter::Options options(std::int64_t every, std::int64_t keep) {
    CheckpointWriter::Options options;
    options.folder = folder();
    options.every = every;
    options.keep = keep;
    options.on_problem = [this](const std::string& problem) { problems_.push_back(problem); };
    return options;
  }

  std::string folder() const { return folder_.path("checkpoints"); }

  static StreamPosition position(std::int64_t next_batch) {
    StreamPosition position;
    position.next_batch = next_batch;
    position.lanes = {{0, {}}};
    return position;
  }

  // Makes the checkpoint behind the batch and waits until it is written or has failed.
  static void make(CheckpointWriter& writer, std::int64_t batch, CheckpointPart part = nullptr) {
    const CheckpointCounts before = writer.counts();
    ASSERT_TRUE(writer.is_due(batch));
    const auto pending = writer.begin(position(batch + 1), part ? 1 : 0);
    if (part) {
      pending->add("device", std::move(part));
    }
    pending->complete_batch();
    while (writer.counts().written + writer.counts().failed == before.written + before.failed) {
      std::this_thread::yield();
    }
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [next_batch, name] : list_checkpoints(folder())) {
      names.push_back(name);
    }
    return names;
  }

  template <typename Function>
  static std::string error_of(Function function) {
    try {
      function();
    } catch (const FileError& error) {
      return error.what();
    }
    return "none";
  }

  TemporaryFolder folder_;
  std::vector<std::string> problems_;  // the writing thread's until it has ended
};

TEST_F(CheckpointWriterTest, WritesThePositionAndWhatSinksAdd) {
  CheckpointWriter writer(options(10, 3));
  EXPECT_FALSE(writer.is_due(8));
  make(writer, 9, [](const std::string& folder) { std::ofstream(folder + "/weights") << "w"; });
  writer.finish();
  EXPECT_EQ(writer.counts().last, folder() + "/batch-000000000010");
  const ResumePoint point = read_checkpoint(writer.counts().last);
  EXPECT_EQ(point.position.next_batch, 10);
  EXPECT_TRUE(std::filesystem::exists(point.folder + "/device/weights"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(CheckpointWriterTest, KeepsTheLastOnes) {
  CheckpointWriter writer(options(1, 2));
  for (std::int64_t batch = 0; batch < 5; ++batch) {
    make(writer, batch);
  }
  writer.finish();
  EXPECT_THAT(names(), ElementsAre("batch-000000000004", "batch-000000000005"));
  EXPECT_EQ(latest_checkpoint(folder()).point.position.next_batch, 5);
}

TEST_F(CheckpointWriterTest, LeavesOutWhatIsDueWhileOneIsUnderWay) {
  CheckpointWriter writer(options(1, 9));
  // All batches are dealt before the sink comes to the first.
  std::vector<std::shared_ptr<PendingCheckpoint>> pending;
  for (std::int64_t batch = 0; batch < 4; ++batch) {
    ASSERT_TRUE(writer.is_due(batch));
    pending.push_back(writer.begin(position(batch + 1), 1));
  }
  EXPECT_TRUE(pending[0]->is_wanted());
  EXPECT_TRUE(pending[0]->is_wanted());  // of another sink
  pending[0]->complete_batch();
  EXPECT_FALSE(pending[1]->is_wanted());  // the sink's part is not there yet
  std::promise<void> written;
  pending[0]->add("device", [&](const std::string&) { written.get_future().wait(); });
  pending[2]->complete_batch();  // nobody has asked
  EXPECT_FALSE(pending[2]->is_wanted());
  written.set_value();
  while (writer.counts().written == 0) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(pending[3]->is_wanted());
  pending[1]->complete_batch();
  EXPECT_FALSE(pending[1]->is_wanted());
  EXPECT_EQ(writer.counts().left_out, 2);
}

TEST_F(CheckpointWriterTest, LeavesNothingOfOneThatIsNotReady) {
  {
    CheckpointWriter writer(options(1, 9));
    ASSERT_TRUE(writer.is_due(0));
    writer.begin(position(1), 1)->complete_batch();
  }
  EXPECT_THAT(error_of([&] { latest_checkpoint(folder()); }), HasSubstr("there is no checkpoint"));
}

TEST_F(CheckpointWriterTest, GoesOnWhenOneCannotBeWritten) {
  CheckpointWriter writer(options(1, 1));
  make(writer, 0);
  make(writer, 1, [](const std::string&) { throw std::runtime_error("out of luck"); });
  {
    const FileSizeLimit limit(16);
    make(writer, 2);
  }
  EXPECT_THAT(names(), ElementsAre("batch-000000000001"));
  make(writer, 3);
  writer.finish();
  EXPECT_THAT(names(), ElementsAre("batch-000000000004"));
  EXPECT_EQ(writer.counts().failed, 2);
  ASSERT_EQ(problems_.size(), 2u);
  EXPECT_EQ(problems_[0], "the checkpoint 'batch-000000000002' could not be written: out of luck");
  EXPECT_THAT(problems_[1], HasSubstr("position.json': File too large"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder()), {}), 2);  // and .lock
}

// The next one is not due before what the sink has given is destroyed.
TEST_F(CheckpointWriterTest, LetsGoOfWhatItCouldNotWriteBeforeTheNextIsDue) {
  CheckpointWriter writer(options(1, 9));
  std::ofstream(folder() + "/batch-000000000001.partial") << "in the way of the folder";
  std::promise<bool> was_due;
  std::shared_ptr<void> state(
      nullptr, [&](void*) { was_due.set_value(writer.begin(position(2), 1)->is_wanted()); });
  make(writer, 0, [state = std::move(state)](const std::string&) {});
  EXPECT_EQ(writer.counts().failed, 1);
  EXPECT_FALSE(was_due.get_future().get());
  make(writer, 1);
}

TEST_F(CheckpointWriterTest, IgnoresWhatKilledRunsHaveLeft) {
  std::filesystem::create_directories(folder() + "/batch-000000000007.partial/device");
  std::filesystem::create_directories(folder() + "/batch-7");
  CheckpointWriter writer(options(1, 1));
  EXPECT_THAT(names(), IsEmpty());
  make(writer, 0);
  EXPECT_FALSE(std::filesystem::exists(folder() + "/batch-000000000007.partial"));
}

TEST_F(CheckpointWriterTest, PassesOverADamagedOneAndSaysSo) {
  {
    CheckpointWriter writer(options(1, 9));
    make(writer, 0);
    make(writer, 1);
  }
  const std::string last = folder() + "/batch-000000000002";
  std::filesystem::resize_file(last + "/position.json", 20);
  const FoundCheckpoint found = find_checkpoint(folder());
  EXPECT_EQ(found.point.position.next_batch, 1);
  EXPECT_THAT(found.warnings,
              ElementsAre(HasSubstr("batch-000000000002' cannot be used: its position.json: it is "
                                    "damaged")));
  EXPECT_THAT(error_of([&] { find_checkpoint(last); }), HasSubstr("it is damaged"));
  EXPECT_THAT(error_of([&] { find_checkpoint(folder_.path("nowhere")); }),
              HasSubstr("No such file or directory"));
}

TEST_F(CheckpointWriterTest, NoticesDamageToWhatSinksAdd) {
  const auto write_weights = [](const std::string& folder) {
    std::ofstream(folder + "/weights") << "0123456789";
  };
  {
    CheckpointWriter writer(options(1, 9));
    make(writer, 0, write_weights);
    make(writer, 1, write_weights);
  }
  const std::string last = folder() + "/batch-000000000002";
  const std::string weights = last + "/device/weights";
  const auto expect_passed_over = [&](const std::string& reason) {
    const FoundCheckpoint found = find_checkpoint(folder());
    EXPECT_EQ(found.point.position.next_batch, 1);
    EXPECT_THAT(
        found.warnings,
        ElementsAre(AllOf(HasSubstr("'" + last + "' cannot be used: "), HasSubstr(reason))));
  };
  EXPECT_EQ(find_checkpoint(folder()).point.position.next_batch, 2);
  std::ofstream(last + "/notes") << "added by hand";
  EXPECT_EQ(find_checkpoint(folder()).point.position.next_batch, 2);
  std::ofstream(weights) << "0123456798";
  expect_passed_over("device/weights' is damaged: its checksum is another one");
  std::filesystem::resize_file(weights, 9);
  expect_passed_over("device/weights' is damaged: it has 9 bytes, and had 10");
  std::filesystem::remove(weights);
  expect_passed_over("device/weights': No such file");
  std::filesystem::resize_file(last + "/files.json", 20);
  expect_passed_over("files.json' is damaged: it is not valid JSON at byte ");
  std::filesystem::remove(last + "/files.json");
  expect_passed_over("files.json': No such file");
}

TEST_F(CheckpointWriterTest, SetsDamagedOnesAsideThatARunGoesOnBefore) {
  CheckpointWriter::Options from_first = options(1, 9);
  from_first.next_batch = 1;
  for (int time = 0; time < 2; ++time) {  // the second time there is one of before
    if (time == 0) {
      CheckpointWriter writer(options(1, 9));
      make(writer, 0);
      make(writer, 1);
    }
    const std::string last = folder() + "/batch-000000000002";
    std::filesystem::resize_file(last + "/position.json", 20);
    problems_.clear();
    CheckpointWriter writer(from_first);
    EXPECT_THAT(problems_,
                ElementsAre("the checkpoint '" + last + "' cannot be used; it is now '" + last +
                            ".damaged'"));
    EXPECT_THAT(names(), ElementsAre("batch-000000000001"));
    make(writer, 1);
    EXPECT_EQ(latest_checkpoint(folder()).point.position.next_batch, 2);
  }
}

TEST_F(CheckpointWriterTest, LeavesAnEarlierRunsAloneEvenWhereTheyAreDamaged) {
  {
    CheckpointWriter writer(options(1, 9));
    make(writer, 0);
  }
  std::filesystem::resize_file(folder() + "/batch-000000000001/position.json", 20);
  EXPECT_THAT(error_of([&] { CheckpointWriter another(options(1, 9)); }),
              HasSubstr("holds those of an earlier run"));
  EXPECT_THAT(names(), ElementsAre("batch-000000000001"));
}

TEST_F(CheckpointWriterTest, KeepsOtherRunsOutOfTheFolder) {
  {
    CheckpointWriter writer(options(1, 9));
    EXPECT_THAT(error_of([&] { CheckpointWriter another(options(1, 9)); }),
                HasSubstr("another run keeps its checkpoints there"));
    make(writer, 0);
    make(writer, 1);
  }
  EXPECT_THAT(error_of([&] { CheckpointWriter another(options(1, 9)); }),
              HasSubstr("holds those of an earlier run, the last one batch-000000000002: go on"));
  CheckpointWriter::Options from_first = options(1, 9);
  from_first.next_batch = 1;
  EXPECT_THAT(error_of([&] { CheckpointWriter another(from_first); }),
              HasSubstr("holds batch-000000000002, which is behind batch 1"));
  from_first.next_batch = 2;
  CheckpointWriter next(from_first);
  make(next, 2);
}

}  // namespace
}  // namespace penstock
