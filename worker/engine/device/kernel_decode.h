// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Decoding with the kernels of cuda/ (cuda/decode_run.h), in memory of their device.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_KERNEL_DECODE_H_
#define WATTLE_WORKER_ENGINE_DEVICE_KERNEL_DECODE_H_

#include <memory>

#include "absl/status/statusor.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/device/decode_operator.h"
#include "worker/engine/device/device.h"

namespace wattle::engine {

// request.model: passes cuda::CheckModel. An error is the launcher's when the kernels were
// prepared. operations: those of the device. The launcher must outlive the operator. After that a
// failed launch throws, because its numbers would be wrong. A device without memory for the session
// throws at once.
absl::StatusOr<std::unique_ptr<DecodeOperator>> MakeKernelDecode(DecodeRequest request,
                                                                 const DeviceOperations& operations,
                                                                 cuda::KernelLauncher& launcher);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_KERNEL_DECODE_H_
