#include "gpu/cuda/blas_lt.h"

#include <cstddef>
#include <source_location>
#include <string>
#include <type_traits>

#include "gpu/cuda/check.h"

namespace penstock::gpu {
namespace {

// What cuBLAS advises for Hopper.
constexpr std::int64_t kWorkspaceBytes = 32 << 20;

void check(cublasStatus_t status,
           const char* call,
           std::source_location where = std::source_location::current()) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw CudaError(std::string(call) + " failed: " + cublasLtGetStatusName(status) + " (" +
                    cublasLtGetStatusString(status) + "), at " + where.file_name() + ":" +
                    std::to_string(where.line()));
  }
}

// One kind of cuBLASLt's descriptors.
template <typename Handle, cublasStatus_t (*destroy)(Handle)>
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (handle_ != nullptr) {
      destroy(handle_);
    }
  }
  Handle get() const { return handle_; }
  Handle* put() { return &handle_; }

 private:
  Handle handle_ = nullptr;
};

using Matmul = Descriptor<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Descriptor<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Descriptor<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

template <typename T>
void set(const Matmul& matmul, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check(cublasLtMatmulDescSetAttribute(matmul.get(), attribute, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}

template <typename T>
void set(const Preference& preference,
         cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

// To cuBLAS, whose matrices are column-major, a matrix in row-major memory is its transpose: of
// `rows` and `columns` as the product sees it, it is columns x rows, or the other way round where
// the memory holds the transpose.
void make_layout(Layout& layout, const LtFactor& factor, std::int64_t rows, std::int64_t columns) {
  const std::int64_t memory_columns = factor.is_transposed ? rows : columns;
  const std::int64_t memory_rows = factor.is_transposed ? columns : rows;
  check(cublasLtMatrixLayoutCreate(layout.put(),
                                   CUDA_R_16BF,
                                   static_cast<std::uint64_t>(memory_columns),
                                   static_cast<std::uint64_t>(memory_rows),
                                   factor.stride),
        "cublasLtMatrixLayoutCreate");
}

}  // namespace

struct BlasLt::Plan {
  Matmul matmul;
  Layout left;
  Layout right;
  Layout output;
  cublasLtMatmulAlgo_t algorithm{};
};

BlasLt::BlasLt() : workspace_(kWorkspaceBytes, "the workspace of cuBLAS", "batch_size") {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "cublasLtCreate");
  handle_.reset(handle);
}

BlasLt::~BlasLt() = default;

BlasLt::Key BlasLt::key_of(const LtProduct& product) {
  return {product.rows,
          product.columns,
          product.depth,
          product.left.stride,
          product.right.stride,
          product.left.is_transposed,
          product.right.is_transposed,
          product.sum != nullptr,
          product.addend != nullptr,
          product.bias != nullptr};
}

// The product's transpose, right^T * left^T, is what is computed, so that left and right trade
// places.
BlasLt::Plan& BlasLt::plan_of(const LtProduct& product) {
  std::unique_ptr<Plan>& plan = plans_[key_of(product)];
  if (plan) {
    return *plan;
  }
  auto made = std::make_unique<Plan>();
  check(cublasLtMatmulDescCreate(made->matmul.put(), CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  const auto operation = [](const LtFactor& factor) {
    return factor.is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  };
  set(made->matmul, CUBLASLT_MATMUL_DESC_TRANSA, operation(product.right));
  set(made->matmul, CUBLASLT_MATMUL_DESC_TRANSB, operation(product.left));
  if (product.bias != nullptr) {
    set(made->matmul, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(made->matmul, CUBLASLT_MATMUL_DESC_BIAS_POINTER, product.bias);
  }
  make_layout(made->right, product.right, product.depth, product.columns);
  make_layout(made->left, product.left, product.rows, product.depth);
  check(cublasLtMatrixLayoutCreate(made->output.put(),
                                   product.sum != nullptr ? CUDA_R_32F : CUDA_R_16BF,
                                   static_cast<std::uint64_t>(product.columns),
                                   static_cast<std::uint64_t>(product.rows),
                                   product.columns),
        "cublasLtMatrixLayoutCreate");

  Preference preference;
  check(cublasLtMatmulPreferenceCreate(preference.put()), "cublasLtMatmulPreferenceCreate");
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_.bytes());
  // Without the sums in place, which are added in any order.
  set(preference,
      CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  cublasLtMatmulHeuristicResult_t found{};
  int num_found = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle_.get(),
                                       made->matmul.get(),
                                       made->right.get(),
                                       made->left.get(),
                                       made->output.get(),
                                       made->output.get(),
                                       preference.get(),
                                       1,
                                       &found,
                                       &num_found),
        "cublasLtMatmulAlgoGetHeuristic");
  made->algorithm = found.algo;
  plan = std::move(made);
  return *plan;
}

void BlasLt::multiply(const LtProduct& product, cudaStream_t stream) {
  Plan& plan = plan_of(product);
  if (product.bias != nullptr) {
    set(plan.matmul, CUBLASLT_MATMUL_DESC_BIAS_POINTER, product.bias);
  }
  void* output = product.sum != nullptr ? static_cast<void*>(product.sum) : product.output;
  const void* addend = product.addend != nullptr ? product.addend : output;
  const float one = 1;
  const float added = product.sum != nullptr || product.addend != nullptr ? 1 : 0;
  check(cublasLtMatmul(handle_.get(),
                       plan.matmul.get(),
                       &one,
                       product.right.elements,
                       plan.right.get(),
                       product.left.elements,
                       plan.left.get(),
                       &added,
                       addend,
                       plan.output.get(),
                       output,
                       plan.output.get(),
                       &plan.algorithm,
                       workspace_.get(),
                       workspace_.bytes(),
                       stream),
        "cublasLtMatmul");
}

}  // namespace penstock::gpu
