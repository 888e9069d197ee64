// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/packed_arena.h"

#include "worker/engine/device/device.h"
#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

int64_t RoomOf(int64_t bytes) {
  constexpr int64_t kAlignment = kernels::kPackedAlignment;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

PackedArena::PackedArena(const std::vector<kernels::WeightMatrix>& shapes, at::Device device)
    : device_(device) {
  if (!OperationsOn(device).in_host_memory()) {
    return;
  }
  int64_t room = 0;
  for (const kernels::WeightMatrix& shape : shapes) {
    const kernels::StoredBytes bytes =
        kernels::OperationsOf(shape.format.scheme).stored_bytes(shape);
    room += RoomOf(bytes.packed) + RoomOf(bytes.scales);
  }
  memory_ = at::empty({room}, at::kByte);
  kernels::PreferHugePages(memory_.data_ptr(), room);
}

at::Tensor PackedArena::Take(int64_t bytes) {
  if (!memory_.defined() || taken_ + RoomOf(bytes) > memory_.size(0)) {
    return OperationsOn(device_).ZeroArena(bytes, at::dtype(at::kByte).device(device_));
  }
  taken_ += RoomOf(bytes);
  // Fresh memory is already zero: untouched pages take no memory yet, and memory is at its peak
  // while the first matrices of a model are read.
  return memory_.narrow(0, taken_ - RoomOf(bytes), bytes).zero_();
}

}  // namespace wattle::engine
