// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// From a recipe's formats to those of the kernels. Pure.
#ifndef WATTLE_WORKER_ENGINE_QUANT_RECIPE_FORMATS_H_
#define WATTLE_WORKER_ENGINE_QUANT_RECIPE_FORMATS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "models/tensors.h"
#include "wattle/v1/quantization.pb.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::engine {

// The kernels' format of a tensor under a recipe; FP32 for what recipes do not speak of. Errors:
// kFailedPrecondition for a format that the engine lacks, or that does not fit the tensor's shape:
// names the tensor.
absl::StatusOr<kernels::WeightFormat> FormatOfTensor(const v1::QuantizationRecipe& recipe,
                                                     const models::DecoderConfig& config,
                                                     const models::ModelTensor& tensor);

// The same in models::ModelDirectory::stored_recipe, where it may be FP16, BF16 or int6: nothing is
// rounded to them.
absl::StatusOr<kernels::WeightFormat> StoredFormatOfTensor(const v1::QuantizationRecipe& recipe,
                                                           const models::DecoderConfig& config,
                                                           const models::ModelTensor& tensor);

// Whether the engine honours the whole recipe for this model. Errors: kFailedPrecondition for an
// exception that names no matrix of the model, or keys and values in another form than FP32 and
// int8.
absl::Status CheckRecipeFits(const v1::QuantizationRecipe& recipe,
                             const models::DecoderConfig& config);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_RECIPE_FORMATS_H_
