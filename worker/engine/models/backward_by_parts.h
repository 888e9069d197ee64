// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The backward pass for those who use the gradients of each part of a model as soon as they are
// complete, so that one buffer may serve many parts (train/updates_in_backward.h). Not thread-safe
// on one set of weights. decoder.cc has the code.
#ifndef WATTLE_WORKER_ENGINE_MODELS_BACKWARD_BY_PARTS_H_
#define WATTLE_WORKER_ENGINE_MODELS_BACKWARD_BY_PARTS_H_

#include "absl/functional/function_ref.h"

#include "models/model_part.h"
#include "worker/engine/models/decoder.h"

namespace wattle::engine {

// Called when the gradients of a part are complete: from then on the pass neither adds to them nor
// reads the part's weights. The head comes first, then each block that the backward pass goes
// through, from the last to the first, then the tables. loss_sum: as LossSumAndGradients returns
// it. false ends the pass.
using GradientsComplete = absl::FunctionRef<bool(const models::ModelPart& part, double loss_sum)>;

// As LossSumAndGradients.
double LossSumAndGradientsByParts(const Decoder& decoder, const TokenBatch& batch,
                                  const DropoutState& dropout, double gradient_scale,
                                  DecoderWeights& gradients, KeptActivations kept,
                                  GradientsComplete complete);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_BACKWARD_BY_PARTS_H_
