// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/kernel_device.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include "base/file.h"
#include "base/status_macros.h"
#include "units/format.h"
#include "worker/engine/device/cuda/decode_step.h"
#include "worker/engine/device/cuda/driver_launcher.h"
#include "worker/engine/device/cuda_capability.h"
#include "worker/engine/device/kernel_decode.h"
#include "worker/engine/device/libtorch_cuda.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// The CUDA handle of libtorch's current stream. The default stream is null. For another stream only
// libtorch's CUDA library has the handle, and it is always loaded if such streams exist.
cuda::Stream CurrentStream(at::Device device) {
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
  if (stream.id() == 0) {
    return nullptr;
  }
  // c10::cuda::CUDAStream::stream() const; the object consists only of its c10::Stream.
  auto* const handle_of = reinterpret_cast<cuda::Stream (*)(const c10::Stream*)>(
      dlsym(RTLD_DEFAULT, "_ZNK3c104cuda10CUDAStream6streamEv"));
  TORCH_CHECK(handle_of != nullptr, "cuda: libtorch has no handle of its current stream");
  return handle_of(&stream);
}

}  // namespace

absl::StatusOr<std::unique_ptr<cuda::DriverLauncher>> LauncherByDriver(at::Device device) {
  const char* const directory =
      std::getenv("WATTLE_KERNEL_CACHE");  // NOLINT(concurrency-mt-unsafe)
  return LauncherWithCache(device, cuda::KernelCache(directory != nullptr ? directory : "",
                                                     cuda::KernelCache::Use::kFind));
}

absl::StatusOr<std::unique_ptr<cuda::DriverLauncher>> LauncherWithCache(at::Device device,
                                                                        cuda::KernelCache cache) {
  PreferNvrtcOfLibtorch();
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<cuda::KernelCompiler> compiler,
                          cuda::KernelCompiler::Open());
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<cuda::Driver> driver,
                          cuda::Driver::Open(device.has_index() ? device.index() : 0));
  return std::make_unique<cuda::DriverLauncher>(std::move(driver), std::move(compiler),
                                                std::move(cache),
                                                [device] { return CurrentStream(device); });
}

std::optional<int64_t> FreeSharedMemory(at::Device device) {
  if (!SharesHostMemory(device)) {
    return std::nullopt;
  }
  const absl::StatusOr<int64_t> free = ReadKibibyteLine("/proc/meminfo", "MemAvailable");
  return free.ok() ? std::optional(*free) : std::nullopt;
}

void KernelDevice::AskFor(int64_t bytes, at::Device device) const {
  const std::optional<int64_t> free =
      free_memory_ != nullptr ? free_memory_(device) : std::optional<int64_t>();
  TORCH_CHECK(!free.has_value() || bytes <= *free, "CUDA out of memory: ", FormatBytes(bytes),
              " wanted, ", FormatBytes(*free), " are free");
}

at::Tensor KernelDevice::ZeroArena(int64_t elements, const at::TensorOptions& options) const {
  AskFor(elements * static_cast<int64_t>(options.dtype().itemsize()), options.device());
  return AtenDevice::ZeroArena(elements, options);
}

at::Tensor KernelDevice::SessionMemory(int64_t elements, const at::TensorOptions& options) const {
  AskFor(elements * static_cast<int64_t>(options.dtype().itemsize()), options.device());
  return AtenDevice::SessionMemory(elements, options);
}

void KernelDevice::MakeRoom(int64_t bytes, at::Device device) const {
  AskFor(bytes - room_bytes_, device);
  AtenDevice::MakeRoom(bytes, device);
  room_bytes_ = std::max(room_bytes_, bytes);
}

bool KernelDevice::Carries(at::Device device,
                           absl::FunctionRef<absl::Status(cuda::KernelLauncher&)> body) const {
  if (gave_up_) {
    return false;
  }
  const absl::StatusOr<cuda::KernelLauncher*> launcher = LauncherOn(device);
  const absl::Status status = launcher.ok() ? body(**launcher) : launcher.status();
  if (!status.ok()) {
    GiveUp(status);
  }
  return status.ok();
}

std::unique_ptr<DecodeOperator> KernelDevice::MakeDecode(DecodeRequest request) const {
  if (gave_up_) {
    return nullptr;
  }
  absl::Status status = request.model.status();
  if (status.ok()) {
    status = cuda::CheckModel(*request.model);
  }
  if (!status.ok()) {
    const std::string reason(status.message());
    if (told_.insert(reason).second) {
      std::fprintf(stderr,
                   "wattle-runner: %s; this model decodes by libtorch's operators, which are "
                   "slower\n",
                   reason.c_str());
    }
    return nullptr;
  }
  const absl::StatusOr<cuda::KernelLauncher*> launcher = LauncherOn(request.device);
  if (!launcher.ok()) {
    GiveUp(launcher.status());
    return nullptr;
  }
  absl::StatusOr<std::unique_ptr<DecodeOperator>> decode =
      MakeKernelDecode(std::move(request), *this, **launcher);
  if (!decode.ok()) {
    GiveUp(decode.status());
    return nullptr;
  }
  return *std::move(decode);
}

absl::StatusOr<cuda::KernelLauncher*> KernelDevice::LauncherOn(at::Device device) const {
  if (launcher_ == nullptr) {
    WATTLE_ASSIGN_OR_RETURN(launcher_, make_launcher_(device));
  }
  return launcher_.get();
}

void KernelDevice::GiveUp(const absl::Status& status) const {
  TORCH_CHECK(!absl::IsInternal(status) && !absl::IsResourceExhausted(status),
              std::string(status.message()));
  gave_up_ = true;
  std::fprintf(stderr, "wattle-runner: %s; until then libtorch's operators, which are slower\n",
               std::string(status.message()).c_str());
}

}  // namespace wattle::engine
