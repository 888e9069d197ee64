// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/recipe_formats.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "proto/quantization_recipe.h"

namespace wattle::engine {

absl::StatusOr<kernels::WeightFormat> FormatOfTensor(const v1::QuantizationRecipe& recipe,
                                                     const models::DecoderConfig& config,
                                                     const models::ModelTensor& tensor) {
  WATTLE_ASSIGN_OR_RETURN(const kernels::WeightFormat format,
                          StoredFormatOfTensor(recipe, config, tensor));
  if (format.scheme == kernels::WeightScheme::kFloat16 ||
      format.scheme == kernels::WeightScheme::kBf16 ||
      format.scheme == kernels::WeightScheme::kInt6) {
    return absl::FailedPreconditionError(
        absl::StrCat(tensor.name, ": format ", kernels::FormatName(format),
                     ": the engine does not round to it; write bits: 8, "
                     "or leave the recipe out where the files have it"));
  }
  return format;
}

absl::StatusOr<kernels::WeightFormat> StoredFormatOfTensor(const v1::QuantizationRecipe& recipe,
                                                           const models::DecoderConfig& config,
                                                           const models::ModelTensor& tensor) {
  v1::TensorFormat wanted;
  if (tensor.is_multiplied(config)) {
    const bool is_head = tensor.slot == models::Slot::kTokens || tensor.slot == models::Slot::kHead;
    wanted = MatrixFormat(recipe, tensor.name, is_head);
  } else if (tensor.slot == models::Slot::kTokens) {
    wanted = EmbeddingFormat(recipe);
  } else {
    return kernels::WeightFormat{};
  }
  // Recipes and kernels use the same names of formats.
  const std::string name = FormatName(wanted);
  const auto format = kernels::ParseFormatName(name);
  if (!format.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(tensor.name, ": format ", name,
                     ": the engine does not have it: ", std::string(format.status().message())));
  }
  const absl::Status fits = kernels::CheckShape(*format, tensor.shape[0], tensor.shape[1]);
  if (!fits.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(tensor.name, ": format ", name, ": ", std::string(fits.message())));
  }
  return *format;
}

absl::Status CheckRecipeFits(const v1::QuantizationRecipe& recipe,
                             const models::DecoderConfig& config) {
  if (recipe.has_kv_cache() && FormatName(recipe.kv_cache()) != "fp32" &&
      !KeysAndValuesAreInt8(recipe)) {
    return absl::FailedPreconditionError(
        absl::StrCat("recipe.kv_cache: ", FormatName(recipe.kv_cache()),
                     ": not supported in this version; write {bits: 8}, or leave it out"));
  }
  const std::vector<models::ModelTensor> tensors = models::ModelTensors(config);
  for (const v1::TensorException& exception : recipe.exceptions()) {
    const bool known =
        std::any_of(tensors.begin(), tensors.end(), [&](const models::ModelTensor& tensor) {
          return tensor.name == exception.tensor() && tensor.is_multiplied(config);
        });
    if (!known) {
      return absl::FailedPreconditionError(
          absl::StrCat("recipe.exceptions: \"", exception.tensor(),
                       "\": no matrix of this model; names are like layers.0.qkv.weight"));
    }
  }
  return absl::OkStatus();
}

}  // namespace wattle::engine
