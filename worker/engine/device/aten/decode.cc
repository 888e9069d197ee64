// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/decode_operator.h"

namespace wattle::engine {

// The decoder's plain form is made of libtorch's operators already.
std::unique_ptr<DecodeOperator> AtenDevice::MakeDecode(DecodeRequest /*request*/) const {
  return nullptr;
}

}  // namespace wattle::engine
