// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/model_shape.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "proto/field_bounds.h"

namespace wattle {
namespace {

// Far above any model that fits a device of this fleet: a larger size is a mistake in the file.
constexpr int kLayersMax = 1000;
constexpr int kWidthMax = 65536;
constexpr int kVocabularyMax = 4000000;
constexpr int kContextMax = 4000000;
// 0 means the field's default where it is allowed.
constexpr FieldBound kSizes[] = {
    {"layers", 1, kLayersMax},
    {"width", 1, kWidthMax},
    {"heads", 1, kWidthMax},
    {"vocabulary_size", 1, kVocabularyMax},
    {"context_length", 1, kContextMax},
    {"kv_heads", 0, kWidthMax},
    {"head_size", 0, kWidthMax},
    {"mlp_width", 0, kWidthMax},
};

constexpr absl::string_view kHeadTensor = "head.weight";
constexpr absl::string_view kTokensTensor = "tokens.weight";

constexpr Architecture kArchitectures[] = {
    {.name = "gpt2",
     .learned_positions = true,
     .norm_vectors = 2,
     .fused_qkv = true,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true},
    {.name = "llama", .revision = 1, .gated_mlp = true},
    {.name = "mistral", .revision = 1, .gated_mlp = true},
    {.name = "qwen2", .revision = 1, .gated_mlp = true, .qkv_bias = true},
    {.name = "phi",
     .revision = 1,
     .norm_vectors = 2,
     .layer_norms = 1,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true,
     .head_bias = true},
    {.name = "gemma", .revision = 1, .gated_mlp = true},
    {.name = "gemma2", .revision = 1, .gated_mlp = true, .layer_norms = 4},
    {.name = "gpt_neox",
     .revision = 1,
     .norm_vectors = 2,
     .fused_qkv = true,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true},
    {.name = "stablelm", .revision = 1, .gated_mlp = true, .norm_vectors = 2},
    {.name = "kosmos_2_text_model",
     .revision = 1,
     .norm_vectors = 2,
     .inner_norms = true,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true},
    {.name = "opt",
     .revision = 1,
     .learned_positions = true,
     .learned_offset = 2,
     .norm_vectors = 2,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true},
};

const Architecture& ArchitectureOf(const v1::ModelShape& shape) {
  static constexpr Architecture kUnknown = {};
  const Architecture* const found = FindArchitecture(shape.architecture());
  return found == nullptr ? kUnknown : *found;
}

double HeadWeights(const v1::ModelShape& shape) {
  return static_cast<double>(shape.vocabulary_size()) * shape.width();
}

// Weights of the matrices of one layer.
double LayerMatrices(const v1::ModelShape& shape) {
  const double attention = (2.0 + 2.0 * KvShare(shape)) * AttentionWidth(shape);
  const double mlp = (UpMatrices(shape) + 1.0) * MlpWidth(shape);
  return shape.width() * (attention + mlp);
}

// Norms and biases of one layer.
double LayerVectors(const v1::ModelShape& shape, const Architecture& one) {
  const double width = shape.width();
  const double attention = AttentionWidth(shape);
  const double mlp = MlpWidth(shape);
  double count = one.norm_vectors * one.layer_norms * width;
  if (one.inner_norms) {
    count += one.norm_vectors * (attention + mlp);
  }
  if (one.qkv_bias) {
    count += attention * (1.0 + 2.0 * KvShare(shape));
  }
  if (one.output_bias) {
    count += width;
  }
  if (one.mlp_bias) {
    count += UpMatrices(shape) * mlp + width;
  }
  return count;
}

}  // namespace

absl::Span<const Architecture> Architectures() {
  return kArchitectures;
}

const Architecture* FindArchitecture(absl::string_view name) {
  for (const Architecture& one : kArchitectures) {
    if (one.name == name) {
      return &one;
    }
  }
  return nullptr;
}

std::string ArchitectureNames() {
  std::vector<absl::string_view> names;
  for (const Architecture& one : kArchitectures) {
    names.push_back(one.name);
  }
  std::sort(names.begin(), names.end());
  return absl::StrJoin(names, ", ");
}

absl::Status CheckModelShape(const v1::ModelShape& shape, absl::string_view field) {
  if (FindArchitecture(shape.architecture()) == nullptr) {
    return absl::UnimplementedError(absl::StrCat(field, ".architecture: \"", shape.architecture(),
                                                 "\": not supported in this version; want one of ",
                                                 ArchitectureNames()));
  }
  if (const absl::Status sizes = CheckBounds(shape, absl::StrCat(field, "."), kSizes);
      !sizes.ok()) {
    return sizes;
  }
  if (shape.head_size() == 0 && shape.width() % shape.heads() != 0) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".heads: ", shape.heads(),
                                                   ": want a divisor of width ", shape.width()));
  }
  if (shape.kv_heads() > 0 && shape.heads() % shape.kv_heads() != 0) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".kv_heads: ", shape.kv_heads(),
                                                   ": want a divisor of heads ", shape.heads()));
  }
  return absl::OkStatus();
}

double MlpWidth(const v1::ModelShape& shape) {
  return shape.mlp_width() > 0 ? shape.mlp_width() : 4.0 * shape.width();
}

double AttentionWidth(const v1::ModelShape& shape) {
  return shape.head_size() > 0 ? static_cast<double>(shape.heads()) * shape.head_size()
                               : static_cast<double>(shape.width());
}

double KvShare(const v1::ModelShape& shape) {
  return shape.kv_heads() > 0 ? static_cast<double>(shape.kv_heads()) / shape.heads() : 1.0;
}

double UpMatrices(const v1::ModelShape& shape) {
  return ArchitectureOf(shape).gated_mlp ? 2.0 : 1.0;
}

double MatmulParameterCount(const v1::ModelShape& shape) {
  return shape.layers() * LayerMatrices(shape) + HeadWeights(shape);
}

std::optional<MatrixSize> FindMatrix(const v1::ModelShape& shape, absl::string_view tensor) {
  const double width = shape.width();
  if (IsHeadTensor(tensor)) {
    const bool has = tensor == (shape.untied_head() ? kHeadTensor : kTokensTensor);
    return has ? std::optional<MatrixSize>({static_cast<double>(shape.vocabulary_size()), width})
               : std::nullopt;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(tensor, '.');
  int layer = 0;
  if (parts.size() != 4 || parts[0] != "layers" || !absl::SimpleAtoi(parts[1], &layer) ||
      layer < 0 || layer >= shape.layers() || parts[3] != "weight") {
    return std::nullopt;
  }
  const double attention = AttentionWidth(shape);
  if (parts[2] == "qkv") {
    return MatrixSize{attention * (1.0 + 2.0 * KvShare(shape)), width};
  }
  if (parts[2] == "attention_output") {
    return MatrixSize{width, attention};
  }
  if (parts[2] == "up") {
    return MatrixSize{UpMatrices(shape) * MlpWidth(shape), width};
  }
  if (parts[2] == "down") {
    return MatrixSize{width, MlpWidth(shape)};
  }
  return std::nullopt;
}

bool IsHeadTensor(absl::string_view tensor) {
  return tensor == kHeadTensor || tensor == kTokensTensor;
}

double ParameterCount(const v1::ModelShape& shape) {
  double count = LastLayersParameterCount(shape, shape.layers()) + HeadWeights(shape);
  if (const Architecture& one = ArchitectureOf(shape); one.learned_positions) {
    count += (static_cast<double>(shape.context_length()) + one.learned_offset) * shape.width();
  }
  return count;
}

double LastLayersParameterCount(const v1::ModelShape& shape, double layers) {
  const Architecture& one = ArchitectureOf(shape);
  const double count = layers * (LayerMatrices(shape) + LayerVectors(shape, one)) +
                       static_cast<double>(one.norm_vectors) * shape.width();
  return shape.untied_head()
             ? count + HeadWeights(shape) + (one.head_bias ? shape.vocabulary_size() : 0.0)
             : count;
}

}  // namespace wattle
