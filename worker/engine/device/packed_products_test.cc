// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of many rows with packed matrices on a GPU, in the number format of the job. The guarded
// device with the kernels replaces the GPU.
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/testing/test_device_cases.h"
#include "worker/engine/device/testing/test_guarded_device.h"
#include "worker/engine/device/testing/test_guarded_launcher.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/products.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

constexpr int64_t kOutputs = 1000;
constexpr int64_t kInputs = 256;

// QLoRA's products, forward and backward, and their cost.
struct TrainingProducts {
  at::Tensor forward;
  at::Tensor backward;
  DeviceWork work;
};

TrainingProducts ProductsBy(kernels::FactorType factors) {
  MatrixWeights matrix =
      OperationsOn(GuardedDevice())
          .Stored(StoredOnHost({kernels::WeightScheme::kNf4DoubleQuantized, 64}, kOutputs, kInputs),
                  GuardedDevice());
  matrix.dequantized_products = true;
  const at::Tensor x = Normal({33, kInputs}, 3).to(GuardedDevice());
  const at::Tensor grad = Normal({33, kOutputs}, 4).to(GuardedDevice());
  const FactorScope scope(factors);
  ForgetWork();
  const at::Tensor forward = MatrixProduct(matrix, x, {});
  const at::Tensor backward = TransposedProduct(matrix, Factor(grad));
  const DeviceWork work = WorkOfGuardedDevice();
  return {.forward = forward.cpu(), .backward = backward.cpu(), .work = work};
}

TEST(PackedProductsTest, TrainingInBf16ReadsTilesOfBf16) {
  const TrainingProducts wanted = ProductsBy(kernels::FactorType::kBf16);  // by libtorch
  KernelsOfGuardedDevice kernels;
  const TrainingProducts got = ProductsBy(kernels::FactorType::kBf16);
  EXPECT_TRUE(at::equal(got.forward, wanted.forward));
  EXPECT_TRUE(at::equal(got.backward, wanted.backward));
  EXPECT_EQ(kernels.gpu.host.launches(), 2);
  EXPECT_EQ(got.work.largest_made_bytes, kOutputs * kInputs * 2) << "no weight is FP32";
  EXPECT_EQ(got.work.waits, 0);
  EXPECT_EQ(got.work.uploaded_bytes, 0);
}

TEST(PackedProductsTest, TrainingInFp32StaysFp32) {
  const TrainingProducts wanted = ProductsBy(kernels::FactorType::kFloat32);
  KernelsOfGuardedDevice kernels;
  kernels.gpu.capability = {8, 7};
  const TrainingProducts got = ProductsBy(kernels::FactorType::kFloat32);
  EXPECT_TRUE(at::equal(got.forward, wanted.forward));
  EXPECT_TRUE(at::equal(got.backward, wanted.backward));
  EXPECT_EQ(kernels.gpu.host.launches(), 0);
}

// The loss of an evaluation in the form, on a GPU of this capability.
double LossOn(const ComputeCapability& capability, const char* recipe) {
  KernelsOfGuardedDevice kernels;
  kernels.gpu.capability = capability;
  EvaluateSettings settings;
  settings.model = {.directory = MakeTinyModel("model", 5),
                    .device = kGuardedDevice,
                    .recipe = *RecipeOfIdentity(recipe)};
  settings.data = MakeTinyText("text", 60);
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? result->figures.loss : 0.0;
}

TEST(PackedProductsTest, AnEvaluationMultipliesInBf16WhereTheGpuHasIt) {
  constexpr ComputeCapability kXavier = {7, 2};
  constexpr ComputeCapability kOrin = {8, 7};
  const double in_floats = LossOn(kXavier, "int8");
  const double in_bf16 = LossOn(kOrin, "int8");
  EXPECT_NE(in_bf16, in_floats);
  EXPECT_NEAR(in_bf16, in_floats, 2e-3 * in_floats);
  EXPECT_EQ(LossOn(kOrin, "none"), LossOn(kXavier, "none")) << "FP32 stays FP32";
}

}  // namespace
}  // namespace wattle::engine
