// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/rates.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "proto/rate_bounds.h"
#include "units/format.h"
#include "worker/engine/device/cuda_capability.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_border.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Size of an array that fits in no cache: a board's caches have at most 8 MiB, a GPU's 50 MiB.
constexpr int64_t kArrayBytes = int64_t{128} << 20;
// Cache of a server's processor; the array should be several times as large.
constexpr int64_t kArrayBytesMax = int64_t{512} << 20;
constexpr int64_t kCachesOfArray = 4;
// A product is enlarged until it takes this long, or is as large as those of a small model.
constexpr double kProductSecondsMin = 0.01;
constexpr int64_t kProductSizeMin = 512;
constexpr int64_t kProductSizeMax = 4096;
// Each rate is the best of at least this many rounds, because other processes can only slow a round
// down.
constexpr int kRoundsMin = 3;
constexpr double kSecondsOfRate = 0.2;
// One of many stored matrices that are read one after the other, like the layers of a model.
constexpr int64_t kMatrixRows = 1024;
constexpr int64_t kMatrixColumns = 4096;
constexpr int32_t kInt4Group = 64;
constexpr int64_t kFirstProductSize = 64;

double SecondsOf(absl::FunctionRef<void()> body) {
  const Monotonic start = Clock::Real().Boottime();
  body();
  return absl::ToDoubleSeconds(Clock::Real().Boottime() - start);
}

// amount: work of one call, which returns when the work is done.
double BestRate(double amount, absl::FunctionRef<void()> body) {
  body();  // Warms up.
  double best = 0;
  double spent = 0;
  for (int round = 0; round < kRoundsMin || spent < kSecondsOfRate; ++round) {
    const double seconds = SecondsOf(body);
    spent += seconds;
    best = std::max(best, seconds > 0 ? amount / seconds : 0);
  }
  return best;
}

// A device works asynchronously until a number is read.
void Await(const at::Tensor& result) {
  (void)result.flatten()[0].item<float>();
}

at::Tensor DrawnOnHost(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor values = at::empty(shape);
  kernels::RandomNormal({.seed = seed}, 1.0F, values.numel(), values.data_ptr<float>());
  return values;
}

int64_t ArrayBytes() {
  const int64_t cache = std::max<int64_t>(0, sysconf(_SC_LEVEL3_CACHE_SIZE));
  return std::clamp(kCachesOfArray * cache, kArrayBytes, kArrayBytesMax);
}

double MeasureMemory(at::Device device) {
  const int64_t bytes = ArrayBytes();
  const at::Tensor array =
      at::full({bytes / static_cast<int64_t>(sizeof(float))}, 1.0, at::dtype(at::kFloat))
          .to(device);
  return BestRate(static_cast<double>(bytes), [&] { Await(array.sum()); });
}

absl::StatusOr<double> MeasureProduct(kernels::FactorType factors, at::Device device) {
  WATTLE_RETURN_IF_ERROR(CheckFactors(factors, CapabilityOf(device)));
  const DeviceOperations& operations = OperationsOn(device);
  for (int64_t size = kProductSizeMin;; size *= 2) {
    const at::Tensor left = DrawnOnHost({size, size}, 1).to(device);
    const at::Tensor right = DrawnOnHost({size, size}, 2).to(device);
    const auto multiply = [&] { Await(operations.Product(factors, left, right, {})); };
    multiply();
    if (size >= kProductSizeMax || SecondsOf(multiply) >= kProductSecondsMin) {
      const auto edge = static_cast<double>(size);
      return BestRate(2 * edge * edge * edge, multiply);
    }
  }
}

absl::StatusOr<double> MeasureStored(kernels::WeightFormat format, at::Device device) {
  const DeviceOperations& operations = OperationsOn(device);
  const at::Tensor values = DrawnOnHost({kMatrixRows, kMatrixColumns}, 3);
  WATTLE_ASSIGN_OR_RETURN(const MatrixWeights packed, PackFloats("rates", format, values));
  const auto packed_bytes = static_cast<int64_t>(packed.packed.nbytes());
  std::vector<MatrixWeights> matrices;
  for (int64_t bytes = 0; bytes < ArrayBytes(); bytes += packed_bytes) {
    matrices.push_back(operations.Stored(CopyPacked(packed), device));
  }
  const at::Tensor row = DrawnOnHost({1, kMatrixColumns}, 4).to(device);
  const double weights =
      static_cast<double>(kMatrixRows * kMatrixColumns) * static_cast<double>(matrices.size());
  return BestRate(weights, [&] {
    at::Tensor out;
    for (const MatrixWeights& matrix : matrices) {
      out = operations.StoredProduct(matrix, row, {});
    }
    Await(out);
  });
}

// The part of a card's memory that is not free. Includes other programs' part, because the driver
// can only be queried after the first tensor. 0 if the memory is the host's.
int64_t TakenOfCard(at::Device device) {
  const std::optional<int64_t> total = TotalMemory(device);
  const std::optional<int64_t> free = FreeMemory(device);
  if (SharesHostMemory(device) || !total.has_value() || !free.has_value()) {
    return 0;
  }
  const int64_t taken = std::max<int64_t>(0, *total - *free);
  if (taken > kAcceleratorUseBytesMax) {
    std::fprintf(stderr,
                 "card memory: not measured: %s of it are in use; end the other programs on it and "
                 "run this again\n",
                 FormatBytes(taken).c_str());
    return 0;
  }
  return taken;
}

// Memory of the board and of the card that the device's first products of each kind take, on
// tensors of a few KiB: driver, libraries, their workspaces, kernels. The process must not have
// used the device before, and kernels must be compiled ahead, because memory for compiling would
// count too.
void MeasureAcceleratorMemory(at::Device device, v1::MeasuredRates& rates) {
  const auto available = [] {
    return ReadKibibyteLine("/proc/meminfo", "MemAvailable").value_or(0);
  };
  const int64_t before = available();
  const DeviceOperations& operations = OperationsOn(device);
  const at::Tensor values = DrawnOnHost({kFirstProductSize, kFirstProductSize}, 5);
  const at::Tensor on_device = values.to(device);
  for (const kernels::FactorType factors :
       {kernels::FactorType::kFloat32, kernels::FactorType::kBf16, kernels::FactorType::kFp16}) {
    Await(operations.Product(factors, on_device, on_device, {}));
  }
  if (const auto packed = PackFloats("rates", {kernels::WeightScheme::kInt8, 0}, values);
      packed.ok()) {
    const MatrixWeights stored = operations.Stored(CopyPacked(*packed), device);
    Await(operations.StoredProduct(stored, on_device.narrow(0, 0, 1), {}));
  }
  rates.set_accelerator_memory_bytes(std::max<int64_t>(0, before - available()));
  rates.set_card_memory_bytes(TakenOfCard(device));
}

// 0 if the device does not support the operation, such as BF16 on an old GPU.
double RateOrNone(const char* name, absl::FunctionRef<absl::StatusOr<double>()> measure) {
  const absl::StatusOr<double> rate = AtTorchBorder(name, [&] { return measure(); });
  if (!rate.ok()) {
    std::fprintf(stderr, "%s: not measured: %s\n", name,
                 std::string(rate.status().message()).c_str());
    return 0;
  }
  return *rate;
}

}  // namespace

absl::StatusOr<v1::MeasuredRates> MeasureRates(const std::string& device_name) {
  WATTLE_RETURN_IF_ERROR(CheckDevice(device_name));
  WATTLE_ASSIGN_OR_RETURN(const at::Device device, DeviceNamed(device_name));
  const auto product = [device](const char* name, kernels::FactorType factors) {
    return RateOrNone(name, [&] { return MeasureProduct(factors, device); });
  };
  const auto stored = [device](const char* name, kernels::WeightFormat format) {
    return RateOrNone(name, [&] { return MeasureStored(format, device); });
  };
  v1::MeasuredRates rates;
  rates.set_engine_version(EngineVersion());
  if (!OperationsOn(device).in_host_memory()) {
    RateOrNone("accelerator memory", [&]() -> absl::StatusOr<double> {
      MeasureAcceleratorMemory(device, rates);
      return 0.0;
    });
  }
  rates.set_memory_bytes_per_second(
      RateOrNone("memory", [&]() -> absl::StatusOr<double> { return MeasureMemory(device); }));
  rates.set_fp32_flops(product("fp32", kernels::FactorType::kFloat32));
  rates.set_bf16_flops(product("bf16", kernels::FactorType::kBf16));
  rates.set_fp16_flops(product("fp16", kernels::FactorType::kFp16));
  rates.set_int8_weights_per_second(stored("int8", {kernels::WeightScheme::kInt8, 0}));
  rates.set_int4_weights_per_second(stored("int4", {kernels::WeightScheme::kInt4, kInt4Group}));
  if (rates.memory_bytes_per_second() == 0 && rates.fp32_flops() == 0) {
    return absl::ResourceExhaustedError(
        "no rate could be measured; the lines above say why; close other programs");
  }
  return rates;
}

}  // namespace wattle::engine
