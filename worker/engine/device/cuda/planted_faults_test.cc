// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Faults planted into the kernels, each once, and found: what the tests beside this one rely on.
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "worker/engine/device/cuda/host_gpu.h"
#include "worker/engine/kernels/test_matrix.h"

// The product of panels without its barriers.
#define __syncthreads() static_cast<void>(0)
#include "worker/engine/device/cuda/kernels/panel_product.cuh"
#undef __syncthreads

namespace wattle::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 256;

// As product_int8.cu has it; the case is one row of inputs.
struct PlantedInt8 {
  static constexpr int kColumns = 4;
  static constexpr int kStep = 4;
  static constexpr int kWords = 1;
  static constexpr int kColumnMultiple = 64;
  static constexpr bool kGroups = false;
  static constexpr bool kBlocks = false;
  static void Decode(const unsigned (&words)[kWords], int /*first*/, float* weights) {
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(words[0] ^ 0x80808080U, c, 128.0F);
    }
  }
};

struct PlantedCase {
  kernels::OwnedMatrix matrix{
      {.scheme = kernels::WeightScheme::kInt8}, kRows, kColumns, uint64_t{5}};
  std::vector<float> inputs = kernels::NormalValues(kColumns, 6);
  std::vector<float> out = std::vector<float>(kRows);

  ProductArguments Arguments() {
    ProductArguments a = {};
    a.matrix.packed = reinterpret_cast<const unsigned char*>(matrix.matrix.packed);
    a.matrix.scales = reinterpret_cast<const unsigned char*>(matrix.matrix.scales);
    a.matrix.rows = kRows;
    a.matrix.columns = kColumns;
    a.inputs = inputs.data();
    a.out = out.data();
    a.count = 1;
    a.input_stride = kColumns;
    a.out_stride = kRows;
    return a;
  }
};

// CudaProductTest.EveryOrderOfThreadsGivesTheSameBits holds the kernels themselves to one result.
TEST(PlantedFaultTest, AMissingBarrierIsFoundByTheOrderOfThreads) {
  PlantedCase planted;
  const ProductArguments arguments = planted.Arguments();
  std::set<std::vector<uint32_t>> results;  // bits: where nothing was written stands a NaN
  for (uint64_t order = 1; order < 5; ++order) {
    ASSERT_THAT(RunOnHost({.threads = kWideThreads}, order,
                          [&] { PanelProduct<PlantedInt8, 1>(arguments); }),
                IsOk());
    std::vector<uint32_t> bits(planted.out.size());
    std::memcpy(bits.data(), planted.out.data(), bits.size() * sizeof(float));
    results.insert(bits);
  }
  EXPECT_GT(results.size(), 1U);
}

TEST(PlantedFaultTest, ABarrierThatSomeThreadsLeaveOutIsFound) {
  const auto counts = RunOnHost({}, 1, [] {
    if (threadIdx.x < 64) {
      __syncthreads();
    }
  });
  EXPECT_THAT(counts.status(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                        testing::HasSubstr("wait at a barrier")));
}

TEST(PlantedFaultTest, AReadBehindTheEndIsFoundByAddressSanitizer) {
#ifdef __SANITIZE_ADDRESS__
  PlantedCase planted;
  const ProductArguments arguments = planted.Arguments();
  planted.inputs.resize(kColumns - 1);
  planted.inputs.shrink_to_fit();
  ProductArguments short_by_one = arguments;
  short_by_one.inputs = planted.inputs.data();
  EXPECT_DEATH((void)RunOnHost({.threads = kWideThreads}, 1,
                               [&] { PanelProduct<PlantedInt8, 1>(short_by_one); }),
               "heap-buffer-overflow");
#else
  GTEST_SKIP() << "only AddressSanitizer sees a read behind the end of a buffer";
#endif
}

}  // namespace
}  // namespace wattle::cuda
