// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NF4 with double quantization against bitsandbytes (tests/golden/engine/nf4.safetensors).
#include "worker/engine/kernels/nf4_double.h"

#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr kernels::WeightFormat kFormat = {kernels::WeightScheme::kNf4DoubleQuantized, 64};

at::Tensor TensorOf(absl::Span<const float> values) {
  return at::tensor(at::ArrayRef<float>(values.data(), values.size()));
}

TEST(Nf4DoubleTest, TablesAreThoseOfBitsandbytes) {
  const auto golden = ReadTensors("nf4.safetensors");
  EXPECT_TRUE(TensorOf(kernels::Nf4Values()).equal(golden.at("levels")));
  // bitsandbytes computes the map in single precision.
  EXPECT_LT(RelativeError(TensorOf(kernels::DynamicMap()), golden.at("map")), 1e-6);
}

TEST(Nf4DoubleTest, CodesAreThoseOfBitsandbytes) {
  const auto golden = ReadTensors("nf4.safetensors");
  const auto packed = PackFloats("golden", kFormat, golden.at("weight"));
  ASSERT_THAT(packed, IsOk());
  EXPECT_TRUE(packed->packed.equal(golden.at("packed")));
  const int64_t groups = golden.at("scale_codes").numel();
  EXPECT_TRUE(packed->scales.narrow(0, 0, groups).equal(golden.at("scale_codes")));
  // 4.127 bits per weight in a large matrix.
  EXPECT_EQ(packed->packed.numel(), golden.at("weight").numel() / 2);
  EXPECT_EQ(packed->scales.numel(), groups + 2 * 4 + 4);
}

TEST(Nf4DoubleTest, DequantizedWeightsAreThoseOfBitsandbytes) {
  const auto golden = ReadTensors("nf4.safetensors");
  const auto packed = PackFloats("golden", kFormat, golden.at("weight"));
  ASSERT_THAT(packed, IsOk());
  const at::Tensor wanted = golden.at("dequantized");
  EXPECT_LT(RelativeError(Dequantize(OnTestDevice(*packed)), wanted), 1e-6);
  // Any rows, as needed in training.
  at::Tensor rows = at::empty({3, wanted.size(1)});
  kernels::OperationsOf(kFormat.scheme)
      .dequantize(packed->matrix, 250, 253, rows.data_ptr<float>());
  EXPECT_LT(RelativeError(rows, wanted.narrow(0, 250, 3)), 1e-6);
}

// The golden detects a wrong encoder: nearest among rounded levels, as for products.
TEST(Nf4DoubleTest, TheGoldenTellsOtherLevels) {
  const auto golden = ReadTensors("nf4.safetensors");
  const auto packed = PackFloats("golden", {kernels::WeightScheme::kNf4, 64}, golden.at("weight"));
  ASSERT_THAT(packed, IsOk());
  EXPECT_GT(RelativeError(Dequantize(OnTestDevice(*packed)), golden.at("dequantized")), 1e-4);
}

TEST(Nf4DoubleTest, EqualScalesAndZerosComeBack) {
  at::Tensor same = at::full({2, 64}, 0.25);
  same[1].mul_(-1.0);
  for (const at::Tensor& values : {same, at::zeros({2, 64})}) {
    const auto packed = PackFloats("edge", kFormat, values);
    ASSERT_THAT(packed, IsOk());
    EXPECT_TRUE(Dequantize(OnTestDevice(*packed)).cpu().equal(values));
  }
}

}  // namespace
}  // namespace wattle::engine
