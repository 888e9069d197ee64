// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda_capability.h"

#include <dlfcn.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle::engine {
namespace {

// The driver's numbers, as cuda.h has them.
constexpr int kSuccess = 0;
constexpr int kIntegrated = 18;  // it shares the host's memory
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;
constexpr int kFirstWithBf16 = 8;  // Ampere

template <typename Function>
Function* Find(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

// Of a CUDA device; none for another device, or where the driver does not answer.
std::optional<int> AttributeOf(at::Device device, int wanted, const char* driver) {
  if (!device.is_cuda()) {
    return std::nullopt;
  }
  void* library = dlopen(driver, RTLD_NOW | RTLD_LOCAL);  // stays: libtorch uses the same one
  if (library == nullptr) {
    return std::nullopt;
  }
  auto* const start = Find<int(unsigned int)>(library, "cuInit");
  auto* const get = Find<int(int*, int)>(library, "cuDeviceGet");
  auto* const attribute = Find<int(int*, int, int)>(library, "cuDeviceGetAttribute");
  if (start == nullptr || get == nullptr || attribute == nullptr) {
    return std::nullopt;
  }
  int handle = 0;
  int value = 0;
  const bool answered = start(0) == kSuccess &&
                        get(&handle, std::max<int>(device.index(), 0)) == kSuccess &&
                        attribute(&value, wanted, handle) == kSuccess;
  return answered ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<ComputeCapability> CapabilityOf(at::Device device, const char* driver) {
  const std::optional<int> major = AttributeOf(device, kCapabilityMajor, driver);
  const std::optional<int> minor = AttributeOf(device, kCapabilityMinor, driver);
  return major.has_value() && minor.has_value()
             ? std::optional(ComputeCapability{.major = *major, .minor = *minor})
             : std::nullopt;
}

bool SharesHostMemory(at::Device device, const char* driver) {
  return AttributeOf(device, kIntegrated, driver).value_or(0) == 1;
}

absl::Status CheckFactors(kernels::FactorType factors,
                          const std::optional<ComputeCapability>& capability) {
  if (factors != kernels::FactorType::kBf16 || !capability.has_value() ||
      capability->major >= kFirstWithBf16) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "precision: bf16; this GPU (compute capability ", capability->major, ".", capability->minor,
      ") has no BF16 products, which begin with 8.0; use precision: fp16"));
}

}  // namespace wattle::engine
