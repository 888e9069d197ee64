// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

bool CpuDevice::in_host_memory() const {
  return true;
}

at::Tensor CpuDevice::ZeroArena(int64_t elements, const at::TensorOptions& options) const {
  at::Tensor arena = at::empty({elements}, options);
  // Before the first touch, so that pages are huge from the start.
  kernels::PreferHugePages(arena.data_ptr(), static_cast<int64_t>(arena.nbytes()));
  return arena.zero_();
}

at::Tensor CpuDevice::SessionMemory(int64_t elements, const at::TensorOptions& options) const {
  return at::empty({elements}, options);
}

void CpuDevice::MakeRoom(int64_t /*bytes*/, at::Device /*device*/) const {}

void CpuDevice::CopyFromHost(const at::Tensor& rows, at::Tensor& place) const {
  place.copy_(rows);
}

MatrixWeights CpuDevice::Stored(MatrixWeights matrix, at::Device /*device*/) const {
  return matrix;
}

}  // namespace wattle::engine
