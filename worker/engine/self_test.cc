// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/self_test.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/weight_matrix.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_border.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kTestedOutputs = 48;
constexpr int64_t kTestedInputs = 128;
// With codes, inputs are rounded to int8, with BF16 to 8 bits of mantissa.
constexpr double kToleranceOfProduct = 0.02;
// Maximum error of a 4-bit code, relative to the largest weight of its group.
constexpr double kToleranceOfCode = 0.2;
constexpr int kTinySteps = 10;
constexpr kernels::WeightFormat kTestedFormats[] = {
    {kernels::WeightScheme::kFloat32, 0}, {kernels::WeightScheme::kInt8, 0},
    {kernels::WeightScheme::kInt4, 64},   {kernels::WeightScheme::kInt4Asymmetric, 64},
    {kernels::WeightScheme::kNf4, 64},
};

at::Tensor Drawn(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor values = at::empty(shape);
  kernels::RandomNormal({.seed = seed}, 1.0F, values.numel(), values.data_ptr<float>());
  return values;
}

// Whether products [outputs] equal those of the weights [outputs, inputs] with x [inputs], all on
// the host.
absl::Status CompareProduct(const std::string& name, const at::Tensor& weights, const at::Tensor& x,
                            const at::Tensor& products) {
  const float* const w = weights.data_ptr<float>();
  for (int64_t row = 0; row < kTestedOutputs; ++row) {
    double sum = 0;
    double size = 0;
    for (int64_t column = 0; column < kTestedInputs; ++column) {
      const double term =
          static_cast<double>(w[row * kTestedInputs + column]) * x.data_ptr<float>()[column];
      sum += term;
      size += std::abs(term);
    }
    const double got = products.data_ptr<float>()[row];
    if (!(std::abs(got - sum) <= kToleranceOfProduct * size)) {
      return absl::InternalError(
          absl::StrCat("self-test: a product in ", name, " is ", got, ", wanted ", sum));
    }
  }
  return absl::OkStatus();
}

absl::Status TestStored(kernels::WeightFormat format, at::Device device) {
  const std::string name = kernels::FormatName(format);
  const DeviceOperations& operations = OperationsOn(device);
  const at::Tensor values = Drawn({kTestedOutputs, kTestedInputs}, 1);
  const at::Tensor x = Drawn({1, kTestedInputs}, 2);
  WATTLE_ASSIGN_OR_RETURN(MatrixWeights packed, PackFloats("self-test", format, values));
  const MatrixWeights matrix = operations.Stored(std::move(packed), device);
  at::Tensor read = at::zeros({kTestedOutputs, kTestedInputs});
  operations.ForEachPieceOf(matrix, [&read](int64_t first, const at::Tensor& rows) {
    read.narrow(0, first, rows.size(0)).copy_(rows);
  });
  const double off = (read - values).abs().max().item<float>();
  if (!(off <= kToleranceOfCode * values.abs().max().item<float>())) {
    return absl::InternalError(
        absl::StrCat("self-test: a weight in ", name, " is read back off by ", off));
  }
  const at::Tensor products = operations.StoredProduct(matrix, x.to(device), {}).cpu();
  return CompareProduct(name, read, x, products.contiguous());
}

absl::Status TestFloats(const std::string& name, kernels::FactorType factors, at::Device device) {
  const at::Tensor weights = Drawn({kTestedOutputs, kTestedInputs}, 3);
  const at::Tensor x = Drawn({1, kTestedInputs}, 4);
  const at::Tensor products =
      OperationsOn(device).Product(factors, x.to(device), weights.t().contiguous().to(device), {});
  return CompareProduct(name, weights, x, products.cpu().contiguous());
}

// Logits are x W, so the loss's gradient with respect to W is xᵀ times that of the logits.
absl::Status TestTinyModel(at::Device device) {
  constexpr int64_t kExamples = 16;
  constexpr int64_t kClasses = 8;
  constexpr double kRate = 0.5;
  const DeviceOperations& operations = OperationsOn(device);
  const at::Tensor x = Drawn({kExamples, kTestedInputs}, 5).to(device);
  const at::Tensor transposed = x.t().contiguous();
  const at::Tensor targets =
      at::arange(kExamples, at::dtype(at::kLong)).remainder(kClasses).to(device);
  at::Tensor weights = at::zeros({kTestedInputs, kClasses}).to(device);
  double first = 0;
  double last = 0;
  for (int step = 0; step < kTinySteps; ++step) {
    at::Tensor logits = operations.Product(kernels::FactorType::kFloat32, x, weights, {});
    last = operations.CrossEntropyToGradient(targets, 1.0 / kExamples, logits).Read();
    first = step == 0 ? last : first;
    weights.sub_(operations.Product(kernels::FactorType::kFloat32, transposed, logits, {}), kRate);
  }
  const double even = kExamples * std::log(static_cast<double>(kClasses));
  if (!(std::abs(first - even) < 1e-3 && last < 0.1 * first)) {
    return absl::InternalError(absl::StrCat("self-test: the loss of a tiny model goes from ", first,
                                            " (wanted ", even, ") to ", last));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SelfTest(const std::string& device_name) {
  WATTLE_RETURN_IF_ERROR(CheckDevice(device_name));
  WATTLE_ASSIGN_OR_RETURN(const at::Device device, DeviceNamed(device_name));
  return AtTorchBorder("self-test", [&]() -> absl::Status {
    for (const kernels::WeightFormat format : kTestedFormats) {
      WATTLE_RETURN_IF_ERROR(TestStored(format, device));
    }
    WATTLE_RETURN_IF_ERROR(TestFloats("fp32", kernels::FactorType::kFloat32, device));
    WATTLE_RETURN_IF_ERROR(TestFloats("bf16", kernels::FactorType::kBf16, device));
    return TestTinyModel(device);
  });
}

}  // namespace wattle::engine
