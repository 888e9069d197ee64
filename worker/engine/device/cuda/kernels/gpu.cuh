// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Additions to the CUDA language that the kernels use. Two compilers read the kernels: NVRTC, for
// which this file has PTX, and the tests' C++ compiler, for which host_gpu.h has the definitions.
#pragma once

#include "arguments.h"

#ifndef __CUDACC_RTC__
#include "worker/engine/device/cuda/testing/host_gpu.h"
#else

// Shared memory of the block: an array, uninitialized.
#define WATTLE_SHARED(type, name, dimensions) __shared__ type name dimensions
#define WATTLE_UNROLL _Pragma("unroll")
#define WATTLE_PRAGMA(words) _Pragma(#words)
#define WATTLE_UNROLL_BY(times) WATTLE_PRAGMA(unroll times)

namespace wattle::cuda {

// Weights are read only once: bypass the L1 cache where the GPU supports it.
__device__ inline uint4 LoadWeights16(const void* place) {
  return __ldg(static_cast<const uint4*>(place));
}
__device__ inline unsigned LoadWeights4(const void* place) {
  return __ldg(static_cast<const unsigned*>(place));
}
__device__ inline unsigned LoadWeights2(const void* place) {
  return __ldg(static_cast<const unsigned short*>(place));
}
// Load of 4 bytes from an even address.
__device__ inline unsigned LoadWeights4At2(const void* place) {
  const auto* halves = static_cast<const unsigned short*>(place);
  return __ldg(halves) | static_cast<unsigned>(__ldg(halves + 1)) << 16;
}
__device__ inline uint2 LoadScales8(const void* place) {
  return __ldg(static_cast<const uint2*>(place));
}
__device__ inline unsigned LoadScales4(const void* place) {
  return __ldg(static_cast<const unsigned*>(place));
}
__device__ inline float LoadScaleFloat(const void* place) {
  return __ldg(static_cast<const float*>(place));
}
__device__ inline unsigned LoadScales2(const void* place) {
  return __ldg(static_cast<const unsigned short*>(place));
}
__device__ inline unsigned LoadScaleByte(const void* place) {
  return __ldg(static_cast<const unsigned char*>(place));
}

// Load of a number that no kernel writes during a step: a bias, a gain, a level.
__device__ inline float LoadConstant(const float* place) {
  return __ldg(place);
}

// From compute capability 9.0 on, a kernel of a graph begins while the preceding one ends
// (driver.h). Every thread calls this before it reads or writes anything but weights, because
// another kernel may still use that memory. A kernel ends only after its own wait, so that all
// preceding kernels are done then. Does not wait without a preceding kernel or on older GPUs.
__device__ inline void AwaitKernelBefore() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// Lets the next kernel begin in the space that this one leaves, once all blocks have called this.
__device__ inline void LetNextKernelBegin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
// Returns the same value, but keeps the compiler from holding values derived from it in registers.
__device__ inline int AsIfUnknown(int value) {
#if __CUDA_ARCH__ >= 900
  asm volatile("" : "+r"(value));
#endif
  return value;
}
// Prefetches weights, by all threads of the block, so that they arrive during a following wait.
template <int kThreads>
__device__ inline void AskAhead(const unsigned char* place, long long bytes) {
#if __CUDA_ARCH__ >= 900
  constexpr int kCacheLine = 128;
  WATTLE_UNROLL_BY(1)
  for (int at = static_cast<int>(threadIdx.x) * kCacheLine; at < bytes;
       at += kThreads * kCacheLine) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(place + at));
  }
#endif
}

// The low half of `bits` as FP16.
__device__ inline float FloatFromFp16(unsigned bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<unsigned short>(bits)));
  return value;
}
__device__ inline unsigned short Fp16FromFloat(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

}  // namespace wattle::cuda

#endif
