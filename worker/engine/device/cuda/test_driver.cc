// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a driver's library whose GPU is the host (host_gpu.h). A module is its image; GPU 0 is
// an Orin's, GPU 1 one that no NVRTC knows.
#include <cstdint>
#include <cstring>

#include "worker/engine/device/cuda/host_gpu.h"
#include "worker/engine/device/cuda/host_kernels.h"

namespace {

int load_answer = 0;
int launch_answer = 0;
int driver_version = 12040;

}  // namespace

extern "C" {

// What the next calls answer.
void SetTestDriver(int version, int load, int launch) {
  driver_version = version;
  load_answer = load;
  launch_answer = launch;
}

int cuInit(unsigned /*flags*/) {
  return 0;
}
int cuDriverGetVersion(int* version) {
  *version = driver_version;
  return 0;
}
int cuDeviceGet(int* handle, int ordinal) {
  *handle = ordinal;
  return ordinal < 2 ? 0 : 101;  // CUDA_ERROR_INVALID_DEVICE
}
int cuDeviceGetAttribute(int* value, int attribute, int handle) {
  const bool orin = handle == 0;
  *value = attribute == 75 ? (orin ? 8 : 99) : (orin ? 7 : 0);
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int /*handle*/) {
  *context = context;
  return 0;
}
int cuCtxSetCurrent(void* /*context*/) {
  return 0;
}
int cuModuleLoadData(void** module, const void* image) {
  static char one_module = 0;
  *module = &one_module;
  return std::strncmp(static_cast<const char*>(image), "code", 4) == 0 ? load_answer : 200;
}
int cuModuleGetFunction(void** function, void* /*module*/, const char* name) {
  *function = const_cast<wattle::cuda::HostKernel*>(wattle::cuda::FindHostKernel(name));
  return *function != nullptr ? 0 : 500;  // CUDA_ERROR_NOT_FOUND
}
int cuLaunchKernel(void* function, unsigned blocks, unsigned /*y*/, unsigned /*z*/,
                   unsigned threads, unsigned /*block_y*/, unsigned /*block_z*/,
                   unsigned /*shared*/, void* /*stream*/, void** arguments, void** /*extra*/) {
  if (launch_answer == 0) {
    const auto* kernel = static_cast<const wattle::cuda::HostKernel*>(function);
    const auto counts = wattle::cuda::RunOnHost(
        {.blocks = static_cast<int>(blocks), .threads = static_cast<int>(threads)}, 1,
        [&] { kernel->run(arguments[0]); });
    return counts.ok() ? 0 : 719;  // CUDA_ERROR_LAUNCH_FAILED
  }
  return launch_answer;
}
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, void* /*stream*/) {
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return launch_answer;
}
int cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, void* /*stream*/) {
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return 0;
}
int cuStreamSynchronize(void* /*stream*/) {
  return launch_answer;
}
int cuGetErrorName(int error, const char** name) {
  *name = error == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : nullptr;
  return *name != nullptr ? 0 : 1;
}

}  // extern "C"
