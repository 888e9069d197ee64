// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: the device on which they make their tensors. The programs that test the engine run on
// the host, and again on the guarded device (docs/adr/0045-a-guarded-device.md).
#ifndef WATTLE_WORKER_ENGINE_TEST_DEVICE_H_
#define WATTLE_WORKER_ENGINE_TEST_DEVICE_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "worker/engine/models/weights.h"

namespace wattle::engine {

// The one that TestDeviceName (test_model.h) names. Throws where it is not there.
at::Device TestDevice();
// A tensor of the host there; on the host the tensor itself.
at::Tensor OnTestDevice(const at::Tensor& tensor);
// The same of a packed matrix.
MatrixWeights OnTestDevice(MatrixWeights matrix);
// Whether products of rounded factors may be rounded to the factors' type there, as libtorch's are
// where it has no FP32 sums of them. On the host they are FP32 sums.
bool RoundsProducts();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TEST_DEVICE_H_
