// What CUPTI sees of work of which every call and byte is known. Skips by name where there is no
// CUDA device, or where another profiler is attached.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/device.h"
#include "gpu/device_profiler.h"
#include "gpu/device_stage_type.h"
#include "gpu/slot_wait.h"
#include "pipeline/metrics.h"
#include "tests/gpu/lm_batches.h"

namespace penstock::gpu {
namespace {

using ::testing::StartsWith;

constexpr BatchShape kShape{4, 64, 64};

struct KeptSpan {
  std::string name;
  std::string device;
  std::string stream;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};

// Keeps the spans of devices.
class KeepDeviceSpans final : public SpanListener {
 public:
  void add(const Span& span) noexcept override {
    if (!span.device.empty()) {
      const std::lock_guard lock(mutex_);
      spans_.push_back({std::string(span.name),
                        std::string(span.device),
                        std::string(span.track_name),
                        span.begin_ns,
                        span.end_ns});
    }
  }
  // Of the name, in the order of time.
  std::vector<KeptSpan> named(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    std::vector<KeptSpan> found;
    std::copy_if(spans_.begin(), spans_.end(), std::back_inserter(found), [&](const auto& span) {
      return span.name.ends_with(name);
    });
    std::sort(found.begin(), found.end(), [](const KeptSpan& a, const KeptSpan& b) {
      return a.begin_ns < b.begin_ns;
    });
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<KeptSpan> spans_;
};

std::unique_ptr<DeviceStage> make_cuda_stage(const std::string& name,
                                             const std::map<std::string, OptionValue>& values) {
  const StreamInfo stream;
  FileClaims files;
  for (const DeviceStageType& type : built_in_device_stages()) {
    if (type.name == name) {
      return type.on_cuda(device_stage_config(type.options, values), {kShape, stream, files});
    }
  }
  throw std::out_of_range("no device stage '" + name + "'");
}

class CudaProfilerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const CudaAvailability cuda = cuda_availability();
    if (!cuda.available) {
      GTEST_SKIP() << cuda.reason;
    }
    device_ = make_cuda_device(0);
    metrics_.listen(spans_);
    profiler_ = make_cuda_profiler(*device_, metrics_, "device");
    const std::string profile = text_result(profiler_->results(0, 0), "profile");
    if (profile.starts_with("not available")) {
      GTEST_SKIP() << profile;
    }
    profiler_.reset();
    profiler_ = make_cuda_profiler(*device_, metrics_, "device");
  }

  // As the feeder does it.
  static void feed(StagingSlot& slot, DeviceStage& stage, const Batch& batch, DeviceStream stream) {
    {
      const SlotWait wait;
      slot.wait_until_writable();
    }
    stage.enqueue(slot.upload(batch), stream);
    slot.release();
  }

  // Sums up batches while they are observed.
  std::vector<Result> profile_checksum(const std::vector<Batch>& batches) {
    run_stage(*device_, *make_cuda_stage("checksum", {}), batches);  // loads the code
    const std::unique_ptr<DeviceStage> stage = make_cuda_stage("checksum", {});
    const std::unique_ptr<StagingSlot> slot = device_->make_slot(kShape);
    profiler_->start();
    for (const Batch& batch : batches) {
      stage->hand_over(batch);
      feed(*slot, *stage, batch, device_->compute_stream());
    }
    profiler_->end_of_batches();
    stage->results();
    return profiler_->results(std::ssize(batches), 1000);
  }

  std::unique_ptr<Device> device_;
  Metrics metrics_;
  std::shared_ptr<KeepDeviceSpans> spans_ = std::make_shared<KeepDeviceSpans>();
  std::unique_ptr<DeviceProfiler> profiler_;  // after what it observes
};

TEST_F(CudaProfilerTest, CountsEveryByteAndKernelOfARun) {
  const std::vector<Batch> batches = random_batches(kShape, 100, 5, 0, 1);
  const std::vector<Result> results = profile_checksum(batches);
  std::int64_t bytes = 0;
  for (const Batch& batch : batches) {
    // Tokens, tokens of each row, boundaries.
    bytes += 4 * (kShape.cells() + kShape.batch_size + std::ssize(batch.cu_seqlens));
  }
  EXPECT_EQ(text_result(results, "profile"), "complete");
  EXPECT_EQ(integer_result(results, "kernels"), 5);
  EXPECT_EQ(integer_result(results, "host_to_device_bytes"), bytes);
  EXPECT_EQ(integer_result(results, "device_to_host_bytes"), 8);
  EXPECT_GT(number_result(results, "gpu_busy_share"), 0);
  EXPECT_LE(number_result(results, "gpu_busy_share"), 1);
  EXPECT_GT(number_result(results, "kernel_seconds"), 0);
  EXPECT_GT(number_result(results, "copy_seconds"), 0);
}

TEST_F(CudaProfilerTest, CountsNoSynchronisationOfARunButTheWaitsForASlot) {
  const std::vector<Result> results = profile_checksum(random_batches(kShape, 100, 5, 0, 1));
  EXPECT_LE(integer_result(results, "waits_for_a_slot"), 5);
  EXPECT_EQ(integer_result(results, "host_synchronisations"),
            integer_result(results, "waits_for_a_slot"))
      << text_result(results, "synchronising_calls");
  EXPECT_EQ(integer_result(results, "host_synchronisations_that_waited"), 0);
  EXPECT_EQ(integer_result(results, "host_synchronisations_at_the_end"), 1);
}

TEST_F(CudaProfilerTest, CountsACallOfTheRuntimeAndTheDriverBehindItOnce) {
  device_->make_slot(kShape);
  profiler_->start();
  device_->make_slot(kShape).reset();
  profiler_->end_of_batches();
  const std::vector<Result> results = profiler_->results(1, 1);
  EXPECT_EQ(text_result(results, "synchronising_calls"),
            "cudaFree 1, cudaFreeHost 1, cudaHostAlloc 1, cudaMalloc 1");
  EXPECT_EQ(integer_result(results, "host_synchronisations"), 4);
  EXPECT_EQ(integer_result(results, "waits_for_a_slot"), 0);
}

TEST_F(CudaProfilerTest, CountsOnlyFromItsStart) {
  const std::vector<Batch> batches = random_batches(kShape, 100, 3, 0, 1);
  run_stage(*device_, *make_cuda_stage("checksum", {}), batches);
  profiler_->start();
  const std::vector<Result> results = profiler_->results(1, 1);
  EXPECT_EQ(integer_result(results, "kernels"), 0);
  EXPECT_EQ(integer_result(results, "host_to_device_bytes"), 0);
  EXPECT_EQ(integer_result(results, "host_synchronisations"), 0);
  EXPECT_TRUE(spans_->named("").empty());
}

// The copy into the slot waits for the kernels that read it, and the host for the copy. The
// products are large enough that enqueueing them takes a small part of the time that they take.
TEST_F(CudaProfilerTest, SeesTheHostWaitForASlotWhileStagesWork) {
  StageMetrics& tokenize = metrics_.add("tokenize", 1);
  const std::vector<Batch> batches = random_batches(kShape, 100, 3, 0, 1);
  const std::unique_ptr<DeviceStage> stage =
      make_cuda_stage("gemm_load", {{"ms_per_batch", 30.0}, {"size", std::int64_t{2048}}});
  const std::unique_ptr<StagingSlot> slot = device_->make_slot(kShape);
  profiler_->start();
  {
    const BusyTimer timer(tokenize.busy);
    for (const Batch& batch : batches) {
      feed(*slot, *stage, batch, device_->compute_stream());
    }
    profiler_->end_of_batches();
    stage->results();
  }
  const std::vector<Result> results = profiler_->results(3, 3);
  EXPECT_GE(integer_result(results, "waits_for_a_slot_that_waited"), 1);
  EXPECT_GT(number_result(results, "slot_wait_seconds"), 0.010);
  EXPECT_EQ(integer_result(results, "host_synchronisations"),
            integer_result(results, "waits_for_a_slot"))
      << text_result(results, "synchronising_calls");
  EXPECT_GT(number_result(results, "kernel_seconds"), 0.045);
  EXPECT_GT(number_result(results, "gpu_busy_share"), 0.5);
  EXPECT_GT(number_result(results, "cpu_overlap_share"), 0.99);
}

TEST_F(CudaProfilerTest, LeavesOutTheWorkOfTheDevicesOwnRow) {
  StageMetrics& own = metrics_.add("device", 1);
  std::optional<BusyTimer> timer(own.busy);
  const std::vector<Batch> batches = random_batches(kShape, 100, 3, 0, 1);
  run_stage(*device_, *make_cuda_stage("checksum", {}), batches);
  const std::unique_ptr<DeviceStage> stage = make_cuda_stage("checksum", {});
  profiler_->start();
  run_stage(*device_, *stage, batches);
  timer.reset();
  const std::vector<Result> results = profiler_->results(3, 3);
  EXPECT_EQ(integer_result(results, "kernels"), 3);
  EXPECT_EQ(number_result(results, "cpu_overlap_share"), 0);
}

TEST_F(CudaProfilerTest, PassesOnWhatTheStreamsDoInTheClockOfTheHost) {
  constexpr std::int64_t kToleranceNs = 1'000'000;
  const std::int64_t begin = now_ns();
  profile_checksum(random_batches(kShape, 100, 5, 0, 1));
  const std::int64_t end = now_ns();
  const std::vector<KeptSpan> copies = spans_->named("copy to device");
  const std::vector<KeptSpan> kernels = spans_->named("add_checksum");
  ASSERT_EQ(copies.size(), 5U);
  ASSERT_EQ(kernels.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(copies[i].device, "cuda:0");
    EXPECT_EQ(copies[i].stream, "copy stream");
    EXPECT_EQ(kernels[i].stream, "compute stream");
    EXPECT_GT(copies[i].begin_ns, begin - kToleranceNs);
    EXPECT_LT(kernels[i].end_ns, end + kToleranceNs);
    EXPECT_LE(copies[i].end_ns, kernels[i].begin_ns);
  }
  ASSERT_EQ(spans_->named("copy to host").size(), 1U);
  EXPECT_EQ(spans_->named("copy to host")[0].stream, "compute stream");
}

TEST_F(CudaProfilerTest, GoesOnWithoutAProfileWhileThereIsAnother) {
  const std::unique_ptr<DeviceProfiler> second = make_cuda_profiler(*device_, metrics_, "device");
  second->start();
  second->end_of_batches();
  const std::vector<Result> results = second->results(1, 1);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_THAT(text_result(results, "profile"),
              StartsWith("not available: cuptiSubscribe failed: "));
  profiler_->start();
  EXPECT_EQ(text_result(profiler_->results(1, 1), "profile"), "complete");
}

}  // namespace
}  // namespace penstock::gpu
