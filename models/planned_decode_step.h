// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The decode operator (worker/engine/kernels/decode_step.h): which models it serves, and its
// buffers and the keys and values as planned tensors. The plan mirrors
// worker/engine/kernels/kv_cache.cc and decode_step.cc: the same buffers in the same order. Each
// buffer lives as long as the session, because a step allocates nothing. A change on either side
// needs the same change on the other; worker/engine/generate/decode_plan_test.cc compares them.
// Part of tensor_plan.h.
#ifndef WATTLE_MODELS_PLANNED_DECODE_STEP_H_
#define WATTLE_MODELS_PLANNED_DECODE_STEP_H_

#include <cstdint>
#include <vector>

#include "models/planned_layer.h"
#include "models/tensor_plan.h"

namespace wattle::models {

// Whether the operator supports everything in the description. Other models run through the plain
// blocks.
[[nodiscard]] bool DecodeOperatorServes(const DecoderConfig& config);

// Keys and values of `slots` sequences of `capacity` tokens each, in the layout of the operator, or
// of the plain blocks if the operator does not serve the model.
[[nodiscard]] int64_t KeyValueBytes(const DecoderConfig& config,
                                    const v1::QuantizationRecipe& recipe, int64_t slots,
                                    int64_t capacity);

// pass: of kind kDecode, for a model that the operator serves.
[[nodiscard]] std::vector<Planned> PlanDecodeStep(const PlannedPass& pass, PlanRecorder& memory);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_PLANNED_DECODE_STEP_H_
