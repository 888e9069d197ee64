// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/aten/stored_rows.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kBufferElements = int64_t{1} << 20;  // on the host, before the copy to the device

}  // namespace

bool AtenDevice::in_host_memory() const {
  return false;
}

at::Tensor AtenDevice::ZeroArena(int64_t elements, const at::TensorOptions& options) const {
  return at::zeros({elements}, options);
}

at::Tensor AtenDevice::SessionMemory(int64_t elements, const at::TensorOptions& options) const {
  return at::empty({elements}, options);
}

void AtenDevice::MakeRoom(int64_t bytes, at::Device device) const {
  const at::Tensor room = at::empty({bytes}, at::TensorOptions(at::kByte).device(device));
}

void AtenDevice::CopyFromHost(const at::Tensor& rows, at::Tensor& place) const {
  CopyThroughBuffer(rows, kBufferElements, place);
}

MatrixWeights AtenDevice::Stored(MatrixWeights matrix, at::Device device) const {
  return StoredOn(std::move(matrix), device);
}

}  // namespace wattle::engine
