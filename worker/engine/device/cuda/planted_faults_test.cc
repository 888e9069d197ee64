// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Faults planted into the kernels, one at a time, must be detected: the other tests here rely on
// this.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/device/cuda/testing/host_gpu.h"
#include "worker/engine/kernels/testing/test_matrix.h"

// The panel product without its barriers.
#define __syncthreads() static_cast<void>(0)
#include "worker/engine/device/cuda/kernels/panel_product.cuh"
#undef __syncthreads

namespace wattle::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 256;

// As in product_int8.cu, for one row of inputs.
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

// CudaProductTest.EveryOrderOfThreadsGivesTheSameBits requires equal results from the kernels
// themselves.
TEST(PlantedFaultTest, AMissingBarrierIsFoundByTheOrderOfThreads) {
  PlantedCase planted;
  const ProductArguments arguments = planted.Arguments();
  std::set<std::vector<uint32_t>> results;  // compared as bits, because unwritten numbers are NaNs
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

// Sixteen numbers that another kernel writes, and results computed from them.
struct LateCase {
  std::vector<float> memory = std::vector<float>(2 * kRows, 1.0F);
  float* inputs = memory.data();
  float* out = memory.data() + kRows;

  absl::Status Run(absl::FunctionRef<void()> kernel) {
    return RunOnHost({.threads = 32}, 1, kernel,
                     absl::MakeSpan(reinterpret_cast<std::byte*>(memory.data()),
                                    memory.size() * sizeof(float)))
        .status();
  }
};

TEST(PlantedFaultTest, AReadBeforeTheKernelBeforeEndedFindsNothing) {
  LateCase late;
  const int thread_count = kRows;
  ASSERT_THAT(late.Run([&] {
    const float input = threadIdx.x < thread_count ? late.inputs[threadIdx.x] : 0.0F;
    AwaitKernelBefore();
    if (threadIdx.x < thread_count) {
      late.out[threadIdx.x] = input;
    }
  }),
              IsOk());
  EXPECT_NE(late.out[3], late.out[3]) << "a NaN";
  LateCase right;
  ASSERT_THAT(right.Run([&] {
    AwaitKernelBefore();
    if (threadIdx.x < thread_count) {
      right.out[threadIdx.x] = 2.0F * right.inputs[threadIdx.x];
    }
  }),
              IsOk());
  EXPECT_EQ(right.out[3], 2.0F);
}

TEST(PlantedFaultTest, AWriteBeforeTheKernelBeforeEndedIsFound) {
  LateCase late;
  EXPECT_THAT(late.Run([&] {
    if (threadIdx.x == 5) {
      late.out[5] = 4.0F;
    }
    AwaitKernelBefore();
  }),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("not waited")));
}

TEST(PlantedFaultTest, AThreadThatDoesNotWaitForTheKernelBeforeIsFound) {
  LateCase late;
  EXPECT_THAT(late.Run([] {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("not waited")));
  EXPECT_THAT(late.Run([] {
    if (threadIdx.x > 0) {
      AwaitKernelBefore();
    }
  }),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("leave out")));
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
