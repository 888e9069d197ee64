// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a model of the GPT-2 family costs, from its sizes alone: parameters, floating-point
// operations, bytes of weights. The formulas are explained in docs/design/prediction.md. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_MODEL_COST_H_
#define WATTLE_SCHEDULER_PREDICT_MODEL_COST_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Sizes that make no model, or none of this version. `field` ("finetune.model_shape") begins the
// message. Errors: kInvalidArgument.
absl::Status ValidateModelShape(const v1::ModelShape& shape, absl::string_view field);

// All parameters, token embedding and tied head counted once: 124,439,808 for GPT-2 Small.
double ParameterCount(const v1::ModelShape& shape);

// Weights of the matrix products that each token passes: those of the layers (12 width^2 each of
// GPT-2), and the head once.
double MatmulParameterCount(const v1::ModelShape& shape);

// Floating-point operations of one token of a forward pass among `attended_tokens` positions: two
// per matrix weight, and 4 x layers x heads x head size x attended_tokens for attention (scores and
// their product with the values; the mask saves nothing).
double ForwardFlopsPerToken(const v1::ModelShape& shape, double attended_tokens);

// Forward and backward: the backward pass makes two products for each of the forward pass.
double TrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens);

// Bytes of weights that generating one token reads. quantization: the identity of a recipe
// (proto/quantization_recipe.h); the head counts four bytes a weight.
double WeightBytesPerToken(const v1::ModelShape& shape, absl::string_view quantization);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_MODEL_COST_H_
