// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The cost of a decoder model from its sizes: floating-point operations and bytes of weights.
// proto/model_shape.h counts the weights. docs/design/prediction.md explains the formulas. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_MODEL_COST_H_
#define WATTLE_SCHEDULER_PREDICT_MODEL_COST_H_

#include "wattle/v1/profile.pb.h"
#include "wattle/v1/quantization.pb.h"

namespace wattle::scheduler {

// Floating-point operations of one token in a forward pass that attends to `attended_tokens`
// positions: two for each matrix weight, and 4 × layers × heads × head size × attended_tokens for
// attention (scores, and their product with the values; the causal mask saves nothing).
double ForwardFlopsPerToken(const v1::ModelShape& shape, double attended_tokens);

// Operations of the forward and the backward pass. The backward pass has two matrix products for
// each product of the forward pass.
double TrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens);

// TrainingFlopsPerToken if the products' weights are frozen, so that no gradient of them is
// computed. The adapters' own operations are left out: a hundredth.
double AdapterTrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens);

// TrainingFlopsPerToken if only the last `layers` layers are trained: the forward pass covers the
// whole model; the backward pass covers these layers and the head, which has a gradient of its own
// only if it is not tied.
double LastLayersTrainingFlopsPerToken(const v1::ModelShape& shape, double layers,
                                       double attended_tokens);

// Numbers in adapters of this rank beside every matrix of the layers: rank x (inputs + outputs) of
// each.
double AdapterParameterCount(const v1::ModelShape& shape, double rank);

// Bytes of weights that generating one token reads, scales included: the matrices of the layers and
// the head, each in the format that the recipe gives it.
double WeightBytesPerToken(const v1::ModelShape& shape, const v1::QuantizationRecipe& recipe);
// WeightBytesPerToken by the signature's recipe, or by `quantization` if the name is enough;
// "adaptive" counts as 1.3 times int4, the default budget of its search. If a row has only the name
// of a recipe with per-tensor formats, these tensors count with the layers' format.
double WeightBytesPerToken(const v1::WorkloadSignature& signature);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_MODEL_COST_H_
