// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Converts a recipe's formats to those of the kernels. Pure.
#ifndef WATTLE_WORKER_ENGINE_QUANT_RECIPE_FORMATS_H_
#define WATTLE_WORKER_ENGINE_QUANT_RECIPE_FORMATS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "models/tensors.h"
#include "wattle/v1/quantization.pb.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::engine {

// The kernels' format of a tensor under a recipe; FP32 for tensors that recipes do not cover.
// Errors: kFailedPrecondition, with the tensor, for a format that the engine does not have, or that
// does not fit the tensor's shape.
absl::StatusOr<kernels::WeightFormat> FormatOfTensor(const v1::QuantizationRecipe& recipe,
                                                     const models::DecoderConfig& config,
                                                     const models::ModelTensor& tensor);

// Same for models::ModelDirectory::stored_recipe, which may also have FP16, BF16 or int6, to which
// nothing is rounded.
absl::StatusOr<kernels::WeightFormat> StoredFormatOfTensor(const v1::QuantizationRecipe& recipe,
                                                           const models::DecoderConfig& config,
                                                           const models::ModelTensor& tensor);

// Whether the engine supports the whole recipe for this model. Errors: kFailedPrecondition for an
// exception that matches no matrix of the model, or keys and values in a form other than FP32 and
// int8.
absl::Status CheckRecipeFits(const v1::QuantizationRecipe& recipe,
                             const models::DecoderConfig& config);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_RECIPE_FORMATS_H_
