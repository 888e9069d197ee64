// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which models the decode operator serves (worker/engine/kernels/decode_step.h). Pure.
#ifndef WATTLE_MODELS_DECODE_OPERATOR_H_
#define WATTLE_MODELS_DECODE_OPERATOR_H_

#include "models/decoder_config.h"

namespace wattle::models {

// Whether the operator has everything that the description asks for. What it lacks runs through the
// plain blocks.
[[nodiscard]] bool DecodeOperatorServes(const DecoderConfig& config);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_DECODE_OPERATOR_H_
