// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/decode_operator.h"

namespace wattle::engine {

// Null, because the decoder's plain form already consists of libtorch's operators.
std::unique_ptr<DecodeOperator> AtenDevice::MakeDecode(DecodeRequest /*request*/) const {
  return nullptr;
}

}  // namespace wattle::engine
