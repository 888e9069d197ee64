// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/rounded_weights.h"

#include "base/status_macros.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/device.h"
#include "worker/engine/quant/recipe_formats.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
absl::StatusOr<RoundedWeights> RoundedWeights::Make(const LoadedModel& model,
                                                    const v1::QuantizationRecipe& recipe) {
  const models::DecoderConfig& config = model.files.config;
  WATTLE_RETURN_IF_ERROR(CheckRecipeFits(recipe, config));
  RoundedWeights rounded;
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    WATTLE_ASSIGN_OR_RETURN(const kernels::WeightFormat format,
                            FormatOfTensor(recipe, config, tensor));
    if (format.scheme != kernels::WeightScheme::kFloat32) {
      rounded.matrices_.push_back(
          {i, format, at::empty(tensor.shape, at::dtype(at::kFloat).device(model.decoder.device))});
    }
  }
  rounded.decoder_ = model.decoder;
  return rounded;
}

void RoundedWeights::Refresh(const LoadedModel& model) {
  DecoderWeights source = model.decoder.weights;  // shares the tensors
  decoder_ = model.decoder;
  for (Rounded& matrix : matrices_) {
    const models::ModelTensor& tensor = model.parameters[matrix.parameter].tensor;
    const at::Tensor weights = MatrixAt(source, tensor).value;
    OperationsOn(weights).RoundToCodes(matrix.format, weights, matrix.values);
    MatrixAt(decoder_.weights, tensor).value = matrix.values;
  }
  TieHead(decoder_.config, decoder_.weights);
}

}  // namespace wattle::engine
