// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/predict/model_cost.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"

namespace wattle::scheduler {
namespace {

// Size of an adaptive recipe, relative to int4, if the job names no budget.
constexpr double kAdaptiveBytesOverInt4 = 1.3;

v1::QuantizationRecipe RecipeOf(const v1::WorkloadSignature& signature) {
  if (signature.has_recipe()) {
    return signature.recipe();
  }
  const absl::string_view identity = signature.quantization();
  absl::StatusOr<v1::QuantizationRecipe> recipe = RecipeOfIdentity(identity);
  if (!recipe.ok()) {  // A row of an older version has only the hash of its per-tensor formats.
    recipe = RecipeOfIdentity(identity.substr(0, identity.rfind('+')));
  }
  // An unknown identity counts as FP32.
  return recipe.ok() ? *std::move(recipe) : v1::QuantizationRecipe();
}

}  // namespace

double ForwardFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return 2.0 * MatmulParameterCount(shape) +
         4.0 * shape.layers() * AttentionWidth(shape) * attended_tokens;
}

double TrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return 3.0 * ForwardFlopsPerToken(shape, attended_tokens);
}

double LastLayersTrainingFlopsPerToken(const v1::ModelShape& shape, double layers,
                                       double attended_tokens) {
  const double head = 2.0 * shape.vocabulary_size() * shape.width();
  const double forward = ForwardFlopsPerToken(shape, attended_tokens);
  const double share = layers / shape.layers();
  return forward + 2.0 * share * (forward - head) + (shape.untied_head() ? 2.0 : 1.0) * head;
}

double AdapterTrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return TrainingFlopsPerToken(shape, attended_tokens) - ForwardFlopsPerToken(shape, 0);
}

double AdapterParameterCount(const v1::ModelShape& shape, double rank) {
  const double width = shape.width();
  const double attention = AttentionWidth(shape);
  const Architecture* const family = FindArchitecture(shape.architecture());
  // The inputs of query, key and value, which are one matrix or three in the files, and their
  // outputs.
  const double inputs = family != nullptr && family->fused_qkv ? width : 3.0 * width;
  const double outputs = (1.0 + 2.0 * KvShare(shape)) * attention;
  const double sides =
      inputs + outputs + attention + width + (UpMatrices(shape) + 1.0) * (width + MlpWidth(shape));
  return rank * shape.layers() * sides;
}

double WeightBytesPerToken(const v1::ModelShape& shape, const v1::QuantizationRecipe& recipe) {
  const v1::TensorFormat matrices = MatrixFormat(recipe, "", /*is_head=*/false);
  const v1::TensorFormat head = MatrixFormat(recipe, "", /*is_head=*/true);
  const double width = shape.width();
  const double attention = AttentionWidth(shape);
  const double layer =
      StoredBytes(matrices, attention * (1.0 + 2.0 * KvShare(shape)), width) +  // query, key, value
      StoredBytes(matrices, width, attention) +                                 // output
      StoredBytes(matrices, UpMatrices(shape) * MlpWidth(shape), width) +
      StoredBytes(matrices, width, MlpWidth(shape));
  double bytes = shape.layers() * layer + StoredBytes(head, shape.vocabulary_size(), width);
  for (const v1::TensorException& exception : recipe.exceptions()) {
    if (const auto matrix = FindMatrix(shape, exception.tensor()); matrix.has_value()) {
      bytes += StoredBytes(exception.format(), matrix->rows, matrix->columns) -
               StoredBytes(IsHeadTensor(exception.tensor()) ? head : matrices, matrix->rows,
                           matrix->columns);
    }
  }
  return bytes;
}

double WeightBytesPerToken(const v1::WorkloadSignature& signature) {
  if (signature.quantization() == kAdaptiveQuantization) {
    return kAdaptiveBytesOverInt4 *
           WeightBytesPerToken(signature.model(), *RecipeOfIdentity("int4-g64"));
  }
  return WeightBytesPerToken(signature.model(), RecipeOf(signature));
}

}  // namespace wattle::scheduler
