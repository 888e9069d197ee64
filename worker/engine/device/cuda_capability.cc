// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda_capability.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace wattle::engine {
namespace {

// Constants of the driver, from cuda.h.
constexpr int kSuccess = 0;
constexpr int kIntegrated = 18;  // the GPU shares the host's memory
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;
constexpr int kFirstWithBf16 = 8;  // Ampere

template <typename Function>
Function* Find(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

// The driver's library, for a CUDA device; null for another device, or without a driver.
void* LibraryFor(at::Device device, const char* driver) {
  // Never closed: libtorch uses the same library.
  return device.is_cuda() ? dlopen(driver, RTLD_NOW | RTLD_LOCAL) : nullptr;
}

// The driver's number of the device.
std::optional<int> HandleOf(at::Device device, void* library) {
  auto* const start = Find<int(unsigned int)>(library, "cuInit");
  auto* const get = Find<int(int*, int)>(library, "cuDeviceGet");
  int handle = 0;
  const bool answered = start != nullptr && get != nullptr && start(0) == kSuccess &&
                        get(&handle, std::max<int>(device.index(), 0)) == kSuccess;
  return answered ? std::optional(handle) : std::nullopt;
}

// An attribute of a CUDA device; nullopt for another device, or if the driver does not answer.
std::optional<int> AttributeOf(at::Device device, int wanted, const char* driver) {
  void* const library = LibraryFor(device, driver);
  if (library == nullptr) {
    return std::nullopt;
  }
  auto* const attribute = Find<int(int*, int, int)>(library, "cuDeviceGetAttribute");
  const std::optional<int> handle = HandleOf(device, library);
  int value = 0;
  const bool answered =
      attribute != nullptr && handle.has_value() && attribute(&value, wanted, *handle) == kSuccess;
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

std::optional<int64_t> TotalMemory(at::Device device, const char* driver) {
  void* const library = LibraryFor(device, driver);
  if (library == nullptr) {
    return std::nullopt;
  }
  auto* const total_memory = Find<int(size_t*, int)>(library, "cuDeviceTotalMem_v2");
  const std::optional<int> handle = HandleOf(device, library);
  size_t bytes = 0;
  const bool answered =
      total_memory != nullptr && handle.has_value() && total_memory(&bytes, *handle) == kSuccess;
  return answered ? std::optional(static_cast<int64_t>(bytes)) : std::nullopt;
}

std::optional<int64_t> FreeMemory(at::Device device, const char* driver) {
  void* const library = LibraryFor(device, driver);
  if (library == nullptr) {
    return std::nullopt;
  }
  auto* const ask = Find<int(size_t*, size_t*)>(library, "cuMemGetInfo_v2");
  size_t free = 0;
  size_t total = 0;
  return ask != nullptr && ask(&free, &total) == kSuccess
             ? std::optional(static_cast<int64_t>(free))
             : std::nullopt;
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
