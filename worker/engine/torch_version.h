// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The only file that depends on the version of libtorch: 1.13.1 (Debian 12) and 2.7.1 are
// supported. The code is written against 1.13.1's API; differences are wrapped only here.
#ifndef WATTLE_WORKER_ENGINE_TORCH_VERSION_H_
#define WATTLE_WORKER_ENGINE_TORCH_VERSION_H_

#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/mm.h>
#include <torch/version.h>

namespace wattle::engine {

// "1.13.1": of the headers, which Debian's and the wheels' packages keep equal to the library.
inline constexpr char kTorchVersion[] = TORCH_VERSION;

static_assert(TORCH_VERSION_MAJOR > 1 || (TORCH_VERSION_MAJOR == 1 && TORCH_VERSION_MINOR >= 13),
              "libtorch 1.13 or later is wanted");

}  // namespace wattle::engine

// at::Allocator: allocate is const in 1.13; in 2.x it is not, and there is copy_data.
#if TORCH_VERSION_MAJOR >= 2
#define WATTLE_TORCH_ALLOCATE_CONST
#define WATTLE_TORCH_ALLOCATOR_COPIES
#else
#define WATTLE_TORCH_ALLOCATE_CONST const
#endif

namespace wattle::engine {

// From 2.8 on libtorch keeps the sums of two-byte factors in FP32 on a GPU if these functions
// request it; before 2.8 they are not called. out: floats.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 8)
inline constexpr bool kGpuHasFloatSums = true;
inline void FloatSumsInto(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  at::mm_out(out, left, right, at::kFloat);
}
inline void AddFloatSums(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  at::addmm_out(out, out, left, right, at::kFloat);
}
inline void FloatSumsOfEachInto(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  at::bmm_out(out, left, right, at::kFloat);
}
#else
inline constexpr bool kGpuHasFloatSums = false;
inline void FloatSumsInto(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  at::mm_out(out, left, right);
}
inline void AddFloatSums(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  out.addmm_(left, right);
}
inline void FloatSumsOfEachInto(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  at::bmm_out(out, left, right);
}
#endif

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TORCH_VERSION_H_
