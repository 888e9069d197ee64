// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/predict/model_cost.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "proto/quantization_recipe.h"

namespace wattle::scheduler {
namespace {

// Far above any model that fits a device of this fleet: a larger size is a mistake in the file.
constexpr int kLayersMax = 1000;
constexpr int kWidthMax = 65536;
constexpr int kVocabularyMax = 4000000;
constexpr int kContextMax = 4000000;

constexpr absl::string_view kGpt2 = "gpt2";
constexpr absl::string_view kLlama = "llama";
// Size of an adaptive recipe, relative to int4, if the job names no budget.
constexpr double kAdaptiveBytesOverInt4 = 1.3;

double MlpWidth(const v1::ModelShape& shape) {
  return shape.mlp_width() > 0 ? shape.mlp_width() : 4.0 * shape.width();
}

// Width of all heads of a layer together.
double AttentionWidth(const v1::ModelShape& shape) {
  return shape.head_size() > 0 ? static_cast<double>(shape.heads()) * shape.head_size()
                               : static_cast<double>(shape.width());
}

// Heads of keys and values for each head of queries.
double KvShare(const v1::ModelShape& shape) {
  return shape.kv_heads() > 0 ? static_cast<double>(shape.kv_heads()) / shape.heads() : 1.0;
}

// The recipe of an identity, without the formats of single tensors that may end it ("+3x9f0c21d4").
// An unknown identity counts as FP32.
v1::QuantizationRecipe RecipeWithoutExceptions(absl::string_view identity) {
  absl::StatusOr<v1::QuantizationRecipe> recipe = RecipeOfIdentity(identity);
  if (!recipe.ok()) {
    recipe = RecipeOfIdentity(identity.substr(0, identity.rfind('+')));
  }
  return recipe.ok() ? *std::move(recipe) : v1::QuantizationRecipe();
}

// Weights of one layer's matrices: query, key, value and output; two for the MLP, or three for a
// gated MLP.
double LayerWeights(const v1::ModelShape& shape) {
  const double attention = (2.0 + 2.0 * KvShare(shape)) * AttentionWidth(shape);
  const double mlp = (shape.architecture() == kLlama ? 3.0 : 2.0) * MlpWidth(shape);
  return shape.width() * (attention + mlp);
}

double HeadWeights(const v1::ModelShape& shape) {
  return static_cast<double>(shape.vocabulary_size()) * shape.width();
}

absl::Status CheckRange(absl::string_view name, int value, int max) {
  if (value >= 1 && value <= max) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", value, "; wanted 1 to ", max));
}

}  // namespace

absl::Status ValidateModelShape(const v1::ModelShape& shape, absl::string_view field) {
  if (shape.architecture() != kGpt2 && shape.architecture() != kLlama) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".architecture: \"", shape.architecture(),
                     "\" is not supported in this version; wanted \"gpt2\" or \"llama\""));
  }
  struct Size {
    absl::string_view name;
    int value = 0;
    int max = 0;
  };
  for (const Size& size :
       {Size{"layers", shape.layers(), kLayersMax}, Size{"width", shape.width(), kWidthMax},
        Size{"heads", shape.heads(), kWidthMax},
        Size{"vocabulary_size", shape.vocabulary_size(), kVocabularyMax},
        Size{"context_length", shape.context_length(), kContextMax}}) {
    const absl::Status status =
        CheckRange(absl::StrCat(field, ".", size.name), size.value, size.max);
    if (!status.ok()) {
      return status;
    }
  }
  if (shape.head_size() == 0 && shape.width() % shape.heads() != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".heads: ", shape.heads(), " does not divide width ", shape.width()));
  }
  // 0 means the field's default.
  for (const Size& size : {Size{"kv_heads", shape.kv_heads(), kWidthMax},
                           Size{"head_size", shape.head_size(), kWidthMax},
                           Size{"mlp_width", shape.mlp_width(), kWidthMax}}) {
    if (size.value < 0 || size.value > size.max) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".", size.name, ": ", size.value, "; wanted 0 to ", size.max));
    }
  }
  if (shape.kv_heads() > 0 && shape.heads() % shape.kv_heads() != 0) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".kv_heads: ", shape.kv_heads(),
                                                   " does not divide heads ", shape.heads()));
  }
  return absl::OkStatus();
}

double MatmulParameterCount(const v1::ModelShape& shape) {
  return shape.layers() * LayerWeights(shape) + HeadWeights(shape);
}

double ParameterCount(const v1::ModelShape& shape) {
  const double width = shape.width();
  const double embedding = shape.untied_head() ? HeadWeights(shape) : 0.0;
  if (shape.architecture() == kLlama) {  // two norms for each layer and one at the end, no biases
    return MatmulParameterCount(shape) + embedding + (2.0 * shape.layers() + 1.0) * width;
  }
  // A layer's biases: 3 + 1 + 1 widths and one MLP width. Its two norms: 4 widths. The last norm: 2
  // widths.
  const double vectors = shape.layers() * (9.0 * width + MlpWidth(shape)) + 2.0 * width;
  return MatmulParameterCount(shape) + embedding + vectors + shape.context_length() * width;
}

double ForwardFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return 2.0 * MatmulParameterCount(shape) +
         4.0 * shape.layers() * AttentionWidth(shape) * attended_tokens;
}

double TrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return 3.0 * ForwardFlopsPerToken(shape, attended_tokens);
}

double AdapterTrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return TrainingFlopsPerToken(shape, attended_tokens) - ForwardFlopsPerToken(shape, 0);
}

double AdapterParameterCount(const v1::ModelShape& shape, double rank) {
  const double width = shape.width();
  const double kv_share =
      shape.kv_heads() > 0 ? static_cast<double>(shape.kv_heads()) / shape.heads() : 1.0;
  const double attention = AttentionWidth(shape);
  // The inputs and outputs of query, key and value: three matrices in Llama's files, one in
  // GPT-2's.
  const bool llama = shape.architecture() == kLlama;
  const double projections = (llama ? 3.0 : 1.0) * width + (1.0 + 2.0 * kv_share) * attention;
  const double sides =
      projections + attention + width + (llama ? 3.0 : 2.0) * (width + MlpWidth(shape));
  return rank * shape.layers() * sides;
}

double WeightBytesPerToken(const v1::ModelShape& shape, absl::string_view quantization) {
  if (quantization == kAdaptiveQuantization) {
    return kAdaptiveBytesOverInt4 * WeightBytesPerToken(shape, "int4-g64");
  }
  const v1::QuantizationRecipe recipe = RecipeWithoutExceptions(quantization);
  const v1::TensorFormat matrices = MatrixFormat(recipe, "", /*is_head=*/false);
  const double width = shape.width();
  const double attention = AttentionWidth(shape);
  const double gates = shape.architecture() == kLlama ? 2.0 : 1.0;
  const double layer =
      StoredBytes(matrices, attention * (1.0 + 2.0 * KvShare(shape)), width) +  // query, key, value
      StoredBytes(matrices, width, attention) +                                 // output
      StoredBytes(matrices, gates * MlpWidth(shape), width) +
      StoredBytes(matrices, width, MlpWidth(shape));
  return shape.layers() * layer +
         StoredBytes(MatrixFormat(recipe, "", /*is_head=*/true), shape.vocabulary_size(), width);
}

}  // namespace wattle::scheduler
