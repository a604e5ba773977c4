#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>
#include <cupti.h>

#include "gpu/cuda/check.h"
#include "gpu/device_activity.h"
#include "gpu/device_profiler.h"
#include "gpu/kernel_name.h"
#include "gpu/slot_wait.h"
#include "gpu/synchronising_calls.h"
#include "pipeline/span.h"

namespace penstock::gpu {
namespace {

// CUPTI's records only ever grow at their end. These are as every CUDA from 12 on has them.
using KernelRecord = CUpti_ActivityKernel8;
using CopyRecord = CUpti_ActivityMemcpy5;
using FillRecord = CUpti_ActivityMemset4;

constexpr std::array kRecordKinds = {
    CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET};

constexpr std::uint32_t kFlushPeriodMs = 100;

std::uint64_t CUPTIAPI timestamp() {
  return static_cast<std::uint64_t>(now_ns());
}

void check_cupti(CUptiResult result, const char* call) {
  if (result == CUPTI_SUCCESS) {
    return;
  }
  const char* text = nullptr;
  cuptiGetResultString(result, &text);
  throw std::runtime_error(std::string(call) +
                           " failed: " + (text != nullptr ? text : std::to_string(result)));
}

template <typename Record>
Interval interval_of(const Record& record) {
  return {static_cast<std::int64_t>(record.start), static_cast<std::int64_t>(record.end)};
}

// Counts what the stages of the pipeline are busy with, while it is told to.
class StageListener final : public SpanListener {
 public:
  StageListener(std::string own_row, std::shared_ptr<DeviceActivity> activity)
      : own_row_(std::move(own_row)), activity_(std::move(activity)) {}

  void listen(bool listening) { listening_ = listening; }

  void add(const Span& span) noexcept override {
    if (listening_ && span.device.empty() && span.name != own_row_) {
      activity_->add_stage({span.begin_ns, span.end_ns});
    }
  }

 private:
  const std::string own_row_;
  const std::shared_ptr<DeviceActivity> activity_;
  std::atomic<bool> listening_{false};
};

// Adds up CUPTI's records and passes them on as spans. One thread at a time.
class RecordReader {
 public:
  RecordReader(DeviceActivity& activity, const Metrics& metrics, std::uint32_t compute_stream)
      : activity_(activity), metrics_(metrics) {
    stream_names_[compute_stream] = "compute stream";
  }

  // Leaves out what began before that. Any thread; until then, everything is left out.
  void begin_at(std::int64_t time) { begin_ns_ = time; }

  void read(const CUpti_Activity& record) {
    switch (record.kind) {
      case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
        read(reinterpret_cast<const KernelRecord&>(record));
        break;
      case CUPTI_ACTIVITY_KIND_MEMCPY:
        read(reinterpret_cast<const CopyRecord&>(record));
        break;
      case CUPTI_ACTIVITY_KIND_MEMSET:
        read(reinterpret_cast<const FillRecord&>(record));
        break;
      default:
        break;
    }
  }

  void add_dropped(std::size_t count) { num_lost_ += static_cast<std::int64_t>(count); }

  // Records that CUPTI dropped, and those without times, which it gives where it runs out of
  // memory.
  std::int64_t num_lost() const { return num_lost_; }

 private:
  template <typename Record>
  void read(const Record& record) {
    const Interval interval = interval_of(record);
    if (interval.begin == 0 || interval.end < interval.begin) {
      ++num_lost_;
    } else if (interval.begin >= begin_ns_) {
      add(record);
    }
  }

  void add(const KernelRecord& record) {
    activity_.add_kernel(interval_of(record));
    std::string& name = kernel_names_[record.name];
    if (name.empty()) {
      name = kernel_name(record.name);
    }
    pass_on(record, name);
  }

  void add(const FillRecord& record) { pass_on(record, "fill"); }

  void add(const CopyRecord& record) {
    const auto bytes = static_cast<std::int64_t>(record.bytes);
    const bool is_async = (record.flags & CUPTI_ACTIVITY_FLAG_MEMCPY_ASYNC) != 0;
    const bool is_pageable = record.srcKind == CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE ||
                             record.dstKind == CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE;
    // The host may wait, as in a call that is listed as synchronising; for how long is not known.
    if (is_async && is_pageable) {
      const auto begin = static_cast<std::int64_t>(record.start);
      activity_.add_host_call(
          "cudaMemcpyAsync of pageable memory", DeviceActivity::WaitFor::kElse, {begin, begin});
    }
    switch (record.copyKind) {
      case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      case CUPTI_ACTIVITY_MEMCPY_KIND_HTOA:
        activity_.add_copy(DeviceActivity::Copy::kToDevice, bytes, interval_of(record));
        // Where nothing else has run yet, the stream is there for copies.
        stream_names_.try_emplace(record.streamId, "copy stream");
        pass_on(record, "copy to device");
        break;
      case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      case CUPTI_ACTIVITY_MEMCPY_KIND_ATOH:
        activity_.add_copy(DeviceActivity::Copy::kToHost, bytes, interval_of(record));
        pass_on(record, "copy to host");
        break;
      default:
        pass_on(record, "copy");
        break;
    }
  }

  template <typename Record>
  void pass_on(const Record& record, std::string_view name) {
    const Interval interval = interval_of(record);
    const std::string device = "cuda:" + std::to_string(record.deviceId);
    const auto stream =
        stream_names_.try_emplace(record.streamId, "stream " + std::to_string(record.streamId));
    Span span;
    span.name = name;
    span.device = device;
    span.track = record.streamId;
    span.track_name = stream.first->second;
    span.begin_ns = interval.begin;
    span.end_ns = interval.end;
    metrics_.pass_on(span);
  }

  DeviceActivity& activity_;
  const Metrics& metrics_;
  std::map<const char*, std::string> kernel_names_;  // CUPTI shares the names
  std::map<std::uint32_t, std::string> stream_names_;
  std::int64_t num_lost_ = 0;
  std::atomic<std::int64_t> begin_ns_{std::numeric_limits<std::int64_t>::max()};
};

// The memory that CUPTI writes records into, for the whole process: CUPTI's functions take no
// argument of ours. Buffers are small, so that records come soon; where none is left, CUPTI drops
// records and counts them.
class RecordBuffers {
 public:
  // Never destroyed: CUPTI may still use it while the process exits, after the destructors of
  // statics.
  static RecordBuffers& instance() {
    static auto* const buffers = new RecordBuffers;
    return *buffers;
  }

  // What reads the records from now on; null: nothing. Returns when the one before is not used any
  // more.
  void set_reader(RecordReader* reader) {
    const std::lock_guard lock(reader_mutex_);
    reader_ = reader;
  }

  // Called by threads of CUPTI and by those that call CUDA.
  static void CUPTIAPI give(std::uint8_t** buffer,
                            std::size_t* size,
                            std::size_t* max_records) noexcept {
    *buffer = instance().take_free();
    *size = *buffer != nullptr ? kBytes : 0;
    *max_records = 0;  // as many as fit
  }
  static void CUPTIAPI take(CUcontext context,
                            std::uint32_t stream_id,
                            std::uint8_t* buffer,
                            std::size_t,
                            std::size_t valid_bytes) noexcept {
    instance().read(buffer, valid_bytes);
    instance().add_dropped(context, stream_id);
  }

  // Adds what CUPTI has dropped of a queue since it was asked last; null and 0 are the global one.
  void add_dropped(CUcontext context, std::uint32_t stream_id) {
    std::size_t count = 0;
    if (cuptiActivityGetNumDroppedRecords(context, stream_id, &count) != CUPTI_SUCCESS) {
      return;
    }
    const std::lock_guard lock(reader_mutex_);
    if (reader_ != nullptr) {
      reader_->add_dropped(count);
    }
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{128} << 10;  // about 600 kernels
  static constexpr std::size_t kMaxBuffers = 256;

  RecordBuffers() {
    buffers_.reserve(kMaxBuffers);
    free_.reserve(kMaxBuffers);
  }

  std::uint8_t* take_free() {
    const std::lock_guard lock(pool_mutex_);
    if (free_.empty()) {
      return buffers_.size() < kMaxBuffers
                 ? buffers_.emplace_back(std::make_unique<std::uint8_t[]>(kBytes)).get()
                 : nullptr;
    }
    std::uint8_t* buffer = free_.back();
    free_.pop_back();
    return buffer;
  }

  void read(std::uint8_t* buffer, std::size_t valid_bytes) {
    {
      const std::lock_guard lock(reader_mutex_);
      CUpti_Activity* record = nullptr;
      while (reader_ != nullptr && valid_bytes > 0 &&
             cuptiActivityGetNextRecord(buffer, valid_bytes, &record) == CUPTI_SUCCESS) {
        reader_->read(*record);
      }
    }
    const std::lock_guard lock(pool_mutex_);
    free_.push_back(buffer);
  }

  std::mutex reader_mutex_;
  RecordReader* reader_ = nullptr;  // protected by reader_mutex_

  std::mutex pool_mutex_;
  // Protected by pool_mutex_.
  std::vector<std::unique_ptr<std::uint8_t[]>> buffers_;
  std::vector<std::uint8_t*> free_;
};

// The plain names of the synchronising functions of an API, by CUPTI's number; empty for others.
using CallNames = std::vector<std::string_view>;

CallNames synchronising_calls(CUpti_CallbackDomain domain, std::uint32_t size) {
  CallNames names(size);
  for (std::uint32_t id = 1; id < size; ++id) {
    const char* function = nullptr;
    if (cuptiGetCallbackName(domain, id, &function) == CUPTI_SUCCESS && function != nullptr) {
      names[id] = synchronising_call(function).value_or(std::string_view());
    }
  }
  return names;
}

// Tells of each call of a synchronising function, by any thread. A function of the runtime calls
// some of the driver: the outermost counts.
class HostCalls {
 public:
  explicit HostCalls(DeviceActivity& activity)
      : activity_(activity),
        runtime_(synchronising_calls(CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_RUNTIME_TRACE_CBID_SIZE)),
        driver_(synchronising_calls(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_SIZE)) {}

  void watch(CUpti_SubscriberHandle subscriber) const {
    watch(subscriber, CUPTI_CB_DOMAIN_RUNTIME_API, runtime_);
    watch(subscriber, CUPTI_CB_DOMAIN_DRIVER_API, driver_);
    depth_ = 0;
  }

  // For CUPTI; `self` is a HostCalls.
  static void CUPTIAPI call(void* self,
                            CUpti_CallbackDomain domain,
                            CUpti_CallbackId id,
                            const void* data) noexcept {
    static_cast<const HostCalls*>(self)->add(
        domain, id, *static_cast<const CUpti_CallbackData*>(data));
  }

 private:
  static void watch(CUpti_SubscriberHandle subscriber,
                    CUpti_CallbackDomain domain,
                    const CallNames& names) {
    for (std::uint32_t id = 1; id < names.size(); ++id) {
      if (!names[id].empty()) {
        check_cupti(cuptiEnableCallback(1, subscriber, domain, id), "cuptiEnableCallback");
      }
    }
  }

  void add(CUpti_CallbackDomain domain, CUpti_CallbackId id, const CUpti_CallbackData& data) const {
    if (data.callbackSite == CUPTI_API_ENTER) {
      ++depth_;
      *data.correlationData = static_cast<std::uint64_t>(now_ns());
      return;
    }
    if (depth_ == 0) {
      return;  // the call began unwatched, and nothing was kept of it
    }
    if (--depth_ > 0) {
      return;
    }
    const CallNames& names = domain == CUPTI_CB_DOMAIN_RUNTIME_API ? runtime_ : driver_;
    activity_.add_host_call(
        names[id],
        SlotWait::is_under_way() ? DeviceActivity::WaitFor::kSlot : DeviceActivity::WaitFor::kElse,
        {static_cast<std::int64_t>(*data.correlationData), now_ns()});
  }

  static thread_local int depth_;  // watched calls that this thread is in

  DeviceActivity& activity_;
  const CallNames runtime_;
  const CallNames driver_;
};

thread_local int HostCalls::depth_ = 0;

class CudaProfiler final : public DeviceProfiler {
 public:
  CudaProfiler(const Device& device, Metrics& metrics, const std::string& own_row)
      : compute_stream_(static_cast<cudaStream_t>(device.compute_stream().handle)),
        metrics_(metrics),
        activity_(std::make_shared<DeviceActivity>()),
        stages_(std::make_shared<StageListener>(own_row, activity_)) {
    metrics_.listen(stages_);
    try_to([this] {
      subscribe();
      enable_records();
    });
  }

  ~CudaProfiler() override { stop(); }

  void start() override {
    try_to([this] {
      if (subscriber_ != nullptr) {
        calls_->watch(subscriber_);
        reader_->begin_at(now_ns());
        stages_->listen(true);
      }
    });
  }

  void end_of_batches() override { activity_->end_of_batches(now_ns()); }

  std::vector<Result> results(std::int64_t num_batches, std::int64_t num_tokens) override {
    if (subscriber_ == nullptr) {
      return {{"profile", "not available: " + problem_}};
    }
    stages_->listen(false);
    cuptiEnableAllDomains(0, subscriber_);
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    stop();
    std::vector<Result> results = {{"profile", completeness()}};
    const std::vector<Result> figures = activity_->results(num_batches, num_tokens);
    results.insert(results.end(), figures.begin(), figures.end());
    return results;
  }

 private:
  // A failure ends the observation, not the run.
  template <typename Step>
  void try_to(Step step) {
    try {
      step();
    } catch (const std::runtime_error& error) {
      stop();
      problem_ = error.what();
    }
  }

  // Before anything is asked of CUPTI: fails where another tool is using it.
  void subscribe() {
    calls_.emplace(*activity_);
    CUpti_SubscriberHandle subscriber = nullptr;
    check_cupti(cuptiSubscribe(&subscriber, HostCalls::call, &*calls_), "cuptiSubscribe");
    subscriber_ = subscriber;
  }

  void enable_records() {
    check_cupti(cuptiActivityRegisterTimestampCallback(timestamp),
                "cuptiActivityRegisterTimestampCallback");
    check_cupti(cuptiActivityRegisterCallbacks(RecordBuffers::give, RecordBuffers::take),
                "cuptiActivityRegisterCallbacks");
    check_cupti(cuptiActivityFlushPeriod(kFlushPeriodMs), "cuptiActivityFlushPeriod");
    std::uint32_t compute_stream = 0;
    check_cupti(cuptiGetStreamIdEx(nullptr, compute_stream_, 0, &compute_stream),
                "cuptiGetStreamIdEx");
    reader_.emplace(*activity_, metrics_, compute_stream);
    RecordBuffers::instance().set_reader(&*reader_);
    for (const CUpti_ActivityKind kind : kRecordKinds) {
      check_cupti(cuptiActivityEnable(kind), "cuptiActivityEnable");
    }
  }

  // Failures are of no use any more.
  void stop() noexcept {
    if (subscriber_ == nullptr) {
      return;
    }
    stages_->listen(false);
    cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    for (const CUpti_ActivityKind kind : kRecordKinds) {
      cuptiActivityDisable(kind);
    }
    RecordBuffers::instance().add_dropped(nullptr, 0);
    cuptiActivityFlushPeriod(0);
    cuptiUnsubscribe(std::exchange(subscriber_, nullptr));
    RecordBuffers::instance().set_reader(nullptr);
  }

  std::string completeness() const {
    const std::int64_t lost = reader_->num_lost();
    return lost == 0 ? "complete" : "incomplete: CUPTI lost " + std::to_string(lost) + " records";
  }

  const cudaStream_t compute_stream_;
  Metrics& metrics_;
  const std::shared_ptr<DeviceActivity> activity_;
  const std::shared_ptr<StageListener> stages_;
  std::optional<HostCalls> calls_;      // used by CUPTI while subscribed
  std::optional<RecordReader> reader_;  // used by RecordBuffers while subscribed
  CUpti_SubscriberHandle subscriber_ = nullptr;
  std::string problem_;  // why there is no observation
};

}  // namespace

std::unique_ptr<DeviceProfiler> make_cuda_profiler(const Device& device,
                                                   Metrics& metrics,
                                                   const std::string& own_row) {
  return std::make_unique<CudaProfiler>(device, metrics, own_row);
}

}  // namespace penstock::gpu
