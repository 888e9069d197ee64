// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda_capability.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;
using testing::AllOf;
using testing::HasSubstr;

TEST(CudaCapabilityTest, TheDriverIsAskedForTheDevice) {
  const auto xavier = CapabilityOf(at::Device(at::kCUDA), WATTLE_TEST_CUDA_DRIVER);
  ASSERT_TRUE(xavier.has_value());
  EXPECT_EQ(xavier->major, 7);
  EXPECT_EQ(xavier->minor, 2);
  const auto orin = CapabilityOf(at::Device(at::kCUDA, 1), WATTLE_TEST_CUDA_DRIVER);
  ASSERT_TRUE(orin.has_value());
  EXPECT_EQ(orin->major, 8);
  EXPECT_EQ(orin->minor, 7);
}

TEST(CudaCapabilityTest, WhatDoesNotAnswerHasNone) {
  EXPECT_FALSE(CapabilityOf(at::Device(at::kCUDA, 2), WATTLE_TEST_CUDA_DRIVER).has_value());
  EXPECT_FALSE(CapabilityOf(at::Device(at::kCPU), WATTLE_TEST_CUDA_DRIVER).has_value());
  EXPECT_FALSE(CapabilityOf(at::Device(at::kCUDA), "libnothing-of-this-name.so").has_value());
  EXPECT_FALSE(CapabilityOf(at::Device(at::kCUDA), "libc.so.6").has_value()) << "no such functions";
}

TEST(CudaCapabilityTest, TheDriverSaysWhoseMemoryItIs) {
  EXPECT_TRUE(SharesHostMemory(at::Device(at::kCUDA, 1), WATTLE_TEST_CUDA_DRIVER));
  EXPECT_FALSE(SharesHostMemory(at::Device(at::kCUDA, 0), WATTLE_TEST_CUDA_DRIVER));
  EXPECT_FALSE(SharesHostMemory(at::Device(at::kCPU), WATTLE_TEST_CUDA_DRIVER));
  EXPECT_FALSE(SharesHostMemory(at::Device(at::kCUDA), "libnothing-of-this-name.so"));
}

TEST(CudaCapabilityTest, TheDriverSaysHowMuchMemoryThereIsAndHowMuchIsFree) {
  EXPECT_EQ(TotalMemory(at::Device(at::kCUDA, 0), WATTLE_TEST_CUDA_DRIVER), int64_t{24} << 30);
  EXPECT_EQ(TotalMemory(at::Device(at::kCUDA, 1), WATTLE_TEST_CUDA_DRIVER), int64_t{8} << 30);
  EXPECT_EQ(FreeMemory(at::Device(at::kCUDA, 0), WATTLE_TEST_CUDA_DRIVER), int64_t{23} << 30);
  EXPECT_FALSE(TotalMemory(at::Device(at::kCUDA, 2), WATTLE_TEST_CUDA_DRIVER).has_value());
  for (const char* const none : {"libnothing-of-this-name.so", "libc.so.6"}) {
    EXPECT_FALSE(TotalMemory(at::Device(at::kCUDA), none).has_value()) << none;
    EXPECT_FALSE(FreeMemory(at::Device(at::kCUDA), none).has_value()) << none;
  }
  EXPECT_FALSE(TotalMemory(at::Device(at::kCPU), WATTLE_TEST_CUDA_DRIVER).has_value());
  EXPECT_FALSE(FreeMemory(at::Device(at::kCPU), WATTLE_TEST_CUDA_DRIVER).has_value());
}

TEST(CudaCapabilityTest, Bf16IsRefusedBeforeAmpereWithItsRemedy) {
  for (const ComputeCapability old : {ComputeCapability{5, 3}, {6, 2}, {7, 2}, {7, 5}}) {
    EXPECT_THAT(CheckFactors(FactorType::kBf16, old),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("BF16"), HasSubstr("use precision: fp16"))));
    EXPECT_THAT(CheckFactors(FactorType::kFp16, old), IsOk());
    EXPECT_THAT(CheckFactors(FactorType::kFloat32, old), IsOk());
  }
  EXPECT_THAT(CheckFactors(FactorType::kBf16, ComputeCapability{8, 7}), IsOk());
  EXPECT_THAT(CheckFactors(FactorType::kBf16, std::nullopt), IsOk());
}

}  // namespace
}  // namespace wattle::engine
