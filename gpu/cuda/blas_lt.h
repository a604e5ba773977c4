#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "gpu/cuda/handles.h"
#include "gpu/lm_weights.h"

namespace penstock::gpu {

// A factor of a product in bf16: row-major device memory, or the transpose of such a matrix.
struct LtFactor {
  const Bf16* elements = nullptr;  // at a multiple of 16 bytes
  std::int64_t stride = 0;         // elements from one row of the memory to the next
  bool is_transposed = false;
};

// output [rows, columns] = left [rows, depth] * right [depth, columns] + addend + bias, with sums
// in fp32. Row-major device memory without gaps between rows.
struct LtProduct {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  LtFactor left;
  LtFactor right;
  Bf16* output = nullptr;        // one of
  float* sum = nullptr;          // these; what stands in a sum is added to
  const Bf16* addend = nullptr;  // [rows, columns], with an output; may be null
  const Bf16* bias = nullptr;    // [columns], with an output; may be null
};

// The library cuBLASLt with one workspace, on one stream at a time. How a product of a shape is
// computed is looked up when it is first asked for, which may load code and is not to be captured:
// warm up. No product is summed in an order that could differ between runs.
class BlasLt {
 public:
  BlasLt();
  ~BlasLt();
  BlasLt(const BlasLt&) = delete;
  BlasLt& operator=(const BlasLt&) = delete;

  // Enqueues the product. The matrices stay alive until it is done.
  void multiply(const LtProduct& product, cudaStream_t stream);
  std::size_t workspace_bytes() const { return workspace_.bytes(); }

 private:
  struct Plan;
  // Everything that decides how a product is computed.
  using Key = std::tuple<std::int64_t,
                         std::int64_t,
                         std::int64_t,
                         std::int64_t,
                         std::int64_t,
                         bool,
                         bool,
                         bool,
                         bool,
                         bool>;
  struct Destroy {
    void operator()(cublasLtHandle_t handle) const noexcept { cublasLtDestroy(handle); }
  };

  static Key key_of(const LtProduct& product);
  Plan& plan_of(const LtProduct& product);

  std::unique_ptr<std::remove_pointer_t<cublasLtHandle_t>, Destroy> handle_;
  DeviceArray<std::byte> workspace_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace penstock::gpu
