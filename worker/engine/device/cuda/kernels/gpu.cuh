// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the kernels use beside CUDA's own words. Two compilers read them: NVRTC, for which this file
// has PTX, and the C++ compiler of the tests, for which host_gpu.h answers.
#pragma once

#include "arguments.h"

#ifndef __CUDACC_RTC__
#include "worker/engine/device/cuda/host_gpu.h"
#else

// Memory of the block: an array of undefined content.
#define WATTLE_SHARED(type, name, dimensions) __shared__ type name dimensions
#define WATTLE_UNROLL _Pragma("unroll")
#define WATTLE_PRAGMA(words) _Pragma(#words)
#define WATTLE_UNROLL_BY(times) WATTLE_PRAGMA(unroll times)

namespace wattle::cuda {

// Weights are read once: past the first cache where the GPU has a way for that.
__device__ inline uint4 LoadWeights16(const void* place) {
  return __ldg(static_cast<const uint4*>(place));
}
__device__ inline unsigned LoadWeights4(const void* place) {
  return __ldg(static_cast<const unsigned*>(place));
}
__device__ inline unsigned LoadWeights2(const void* place) {
  return __ldg(static_cast<const unsigned short*>(place));
}
// Of blocks that begin at even addresses.
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

// A number that no kernel writes while a step runs: a bias, a gain, a level.
__device__ inline float LoadConstant(const float* place) {
  return __ldg(place);
}

// From compute capability 9.0 on, a kernel of a graph begins while the one before it ends
// (driver.h). Every thread calls this before it reads or writes what is no weight: of that, all may
// be another kernel's until then. A kernel ends only after its own wait, so that all kernels before
// are done. Where no kernel is before, and on older GPUs, nothing waits.
__device__ inline void AwaitKernelBefore() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// The next kernel may begin in the room that this one leaves, once all blocks have called this.
__device__ inline void LetNextKernelBegin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
// The same value: what is computed of it is not kept in registers for what follows.
__device__ inline int AsIfUnknown(int value) {
#if __CUDA_ARCH__ >= 900
  asm volatile("" : "+r"(value));
#endif
  return value;
}
// Asks for weights ahead, by all threads of the block, where a wait follows in which they may come.
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
__device__ inline float FloatFromHalf(unsigned bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<unsigned short>(bits)));
  return value;
}
__device__ inline unsigned short HalfFromFloat(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

}  // namespace wattle::cuda

#endif
