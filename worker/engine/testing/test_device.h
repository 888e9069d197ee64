// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: the device of their tensors. The programs that test the engine run on the host, and
// again on the guarded device (docs/adr/0045-a-guarded-device.md).
#ifndef WATTLE_WORKER_ENGINE_TESTING_TEST_DEVICE_H_
#define WATTLE_WORKER_ENGINE_TESTING_TEST_DEVICE_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "worker/engine/models/weights.h"

namespace wattle::engine {

// The device named by TestDeviceName (test_model.h). Throws if it does not exist.
at::Device TestDevice();
// Copies a tensor of the host to it; on the host returns the tensor itself.
at::Tensor OnTestDevice(const at::Tensor& tensor);
// Same for a packed matrix.
MatrixWeights OnTestDevice(MatrixWeights matrix);
// Whether products of rounded factors may be rounded to the factors' type on the device, as by a
// libtorch without FP32 sums of them. On the host they are FP32 sums.
bool RoundsProducts();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TESTING_TEST_DEVICE_H_
