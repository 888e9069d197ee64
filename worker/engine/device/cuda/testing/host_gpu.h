// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// CUDA's functions for the C++ compiler, so that the kernels run on the host, for tests and for
// counts: grids, blocks, shared memory, shuffles of a warp, barriers. The threads of a block are
// fibers of one thread: each runs until it blocks at a barrier or a shuffle, in a random order from
// a seed, so that a missing barrier changes a result under some seed. Blocks run one after the
// other, also in random order. Loads are the host's, so AddressSanitizer detects those outside of a
// buffer.
//
// Not emulated: the GPU's rounding of division, exp, tanh and erf; its caches; its speed.
//
// Only one thread at a time in the whole process.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_GPU_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_GPU_H_

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "base/fp16.h"

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming,google-runtime-int): names
// and types are CUDA's

#define __global__
#define __device__
#define __launch_bounds__(...)
// Blocks run one after the other, so one array serves all; each block finds NaNs in it.
#define WATTLE_SHARED(type, name, dimensions) \
  static type name dimensions;                \
  wattle::cuda::BeginShared(name, sizeof(name))
#define WATTLE_UNROLL
#define WATTLE_UNROLL_BY(times)

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct GridPlace {
  int x;
};
extern GridPlace threadIdx;
extern GridPlace blockIdx;
extern GridPlace gridDim;

// Waits for all threads of the block.
void __syncthreads();
// The value of the lane whose number differs in the bits of `mask`. lanes: all.
float __shfl_xor_sync(unsigned lanes, float value, int mask);
int __shfl_xor_sync(unsigned lanes, int value, int mask);

inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
// A plain operation, because threads do not run concurrently.
inline unsigned long long atomicAdd(unsigned long long* place, unsigned long long value) {
  const unsigned long long before = *place;
  *place = before + value;
  return before;
}
// Byte i is the one selected by nibble i of `selector` among the eight of x and y.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const uint64_t bytes = static_cast<uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned byte = selector >> (4 * i) & 7U;
    result |= static_cast<unsigned>(bytes >> (8 * byte) & 0xFFU) << (8 * i);
  }
  return result;
}

namespace wattle::cuda {

// Counts of a launch.
struct LaunchCounts {
  // Bytes of weights and their scales requested by warps: lanes of a warp that request the same
  // bytes at the same time count once.
  int64_t weight_bytes = 0;
};

// threads: in a block, a multiple of a warp up to kWideThreads (kernels/arguments.h).
struct GridShape {
  int blocks = 1;
  int threads = 128;
};

// Runs the kernel in every thread of the grid.
// late: memory that is not written yet when a block begins, as on a GPU that begins a kernel before
// the preceding one ends: it has NaNs until all threads of the block have called AwaitKernelBefore.
// kFailedPrecondition if threads wait at a barrier that others of their block or warp skip, if
// `late` is written before that wait, or if the kernel never waits.
absl::StatusOr<LaunchCounts> RunOnHost(const GridShape& grid, uint64_t seed,
                                       absl::FunctionRef<void()> kernel,
                                       absl::Span<std::byte> late = {});

// Called by every thread that reaches an array of the block; the first one finds it undefined.
void BeginShared(void* array, size_t bytes);

// The kernels' loads of weights (kernels/gpu.cuh); which: purpose of the load.
enum class WeightLoad : uint8_t { kCodes16, kCodes4, kCodes2, kScales8, kScale4, kScale2, kScale1 };
void CountLoad(WeightLoad which, const void* place, int bytes);

// See kernels/gpu.cuh. A prefetch reads its memory, so that AddressSanitizer checks it.
void AwaitKernelBefore();
inline void LetNextKernelBegin() {}
inline int AsIfUnknown(int value) {
  return value;
}
template <int kThreads>
void AskAhead(const unsigned char* place, long long bytes) {
  for (long long at = threadIdx.x * 128LL; at < bytes; at += kThreads * 128LL) {
    static_cast<void>(*static_cast<const volatile unsigned char*>(place + at));
  }
}

template <typename Value>
Value Load(WeightLoad which, const void* place) {
  CountLoad(which, place, sizeof(Value));
  return *static_cast<const Value*>(place);
}
inline uint4 LoadWeights16(const void* place) {
  return Load<uint4>(WeightLoad::kCodes16, place);
}
inline unsigned LoadWeights4(const void* place) {
  return Load<unsigned>(WeightLoad::kCodes4, place);
}
inline unsigned LoadWeights2(const void* place) {
  return Load<unsigned short>(WeightLoad::kCodes2, place);
}
inline unsigned LoadWeights4At2(const void* place) {
  CountLoad(WeightLoad::kCodes4, place, 4);
  const auto* halves = static_cast<const unsigned short*>(place);
  return halves[0] | static_cast<unsigned>(halves[1]) << 16;
}
inline uint2 LoadScales8(const void* place) {
  return Load<uint2>(WeightLoad::kScales8, place);
}
inline unsigned LoadScales4(const void* place) {
  return Load<unsigned>(WeightLoad::kScale4, place);
}
inline float LoadScaleFloat(const void* place) {
  return Load<float>(WeightLoad::kScale4, place);
}
inline unsigned LoadScales2(const void* place) {
  return Load<unsigned short>(WeightLoad::kScale2, place);
}
inline unsigned LoadScaleByte(const void* place) {
  return Load<unsigned char>(WeightLoad::kScale1, place);
}

inline float LoadConstant(const float* place) {
  return *place;
}

inline float FloatFromFp16(unsigned bits) {
  return wattle::FloatFromFp16(static_cast<uint16_t>(bits));
}
inline unsigned short Fp16FromFloat(float value) {
  return wattle::Fp16FromFloat(value);
}

}  // namespace wattle::cuda

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming,google-runtime-int)

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_GPU_H_
