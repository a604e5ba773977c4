#include "gpu/synchronising_calls.h"

#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

TEST(SynchronisingCalls, KnowsThemByTheirPlainNames) {
  for (const char* name : {"cudaDeviceSynchronize",
                           "cudaStreamSynchronize",
                           "cudaEventSynchronize",
                           "cudaMemcpy",
                           "cudaMemset",
                           "cudaMalloc",
                           "cudaFree",
                           "cudaHostAlloc",
                           "cudaHostRegister",
                           "cuCtxSynchronize",
                           "cuMemcpyDtoH",
                           "cuArray3DCreate",
                           "cuMipmappedArrayDestroy"}) {
    EXPECT_EQ(synchronising_call(name), name);
  }
}

TEST(SynchronisingCalls, LooksBehindVersionsAndDefaultStreams) {
  EXPECT_EQ(synchronising_call("cudaMemcpy_v3020"), "cudaMemcpy");
  EXPECT_EQ(synchronising_call("cudaMemcpy_ptds_v7000"), "cudaMemcpy");
  EXPECT_EQ(synchronising_call("cudaStreamSynchronize_ptsz_v7000"), "cudaStreamSynchronize");
  EXPECT_EQ(synchronising_call("cuMemcpyDtoH_v2"), "cuMemcpyDtoH");
  EXPECT_EQ(synchronising_call("cuMemcpyDtoH_v2_ptds"), "cuMemcpyDtoH");
}

TEST(SynchronisingCalls, LeavesOutWhatDoesNotWait) {
  for (const char* name : {"cudaMemcpyAsync_v3020",
                           "cudaMemcpyAsync_ptsz_v7000",
                           "cudaMemsetAsync_v3020",
                           "cudaMallocAsync_v11020",
                           "cudaEventQuery_v3020",
                           "cudaEventRecord_v3020",
                           "cudaStreamWaitEvent_v3020",
                           "cudaLaunchKernel_v7000",
                           "cuMemcpyDtoHAsync_v2",
                           "cuLaunchKernel",
                           "cuMemcpy_v",
                           "cuMemcpy_vx1",
                           "_v2",
                           ""}) {
    EXPECT_EQ(synchronising_call(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace penstock::gpu
