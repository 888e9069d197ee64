// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "proto/model_shape.h"

#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace wattle {
namespace {

// Far above any model that fits a device of this fleet: a larger size is a mistake in the file.
constexpr int kLayersMax = 1000;
constexpr int kWidthMax = 65536;
constexpr int kVocabularyMax = 4000000;
constexpr int kContextMax = 4000000;

constexpr ModelFamily kFamilies[] = {
    {.architecture = "gemma", .gated_mlp = true},
    {.architecture = "gemma2", .gated_mlp = true, .layer_norms = 4},
    {.architecture = "gpt2",
     .learned_positions = true,
     .norm_vectors = 2,
     .fused_qkv = true,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true},
    {.architecture = "gpt_neox",
     .norm_vectors = 2,
     .fused_qkv = true,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true},
    {.architecture = "kosmos_2_text_model",
     .norm_vectors = 2,
     .inner_norms = true,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true},
    {.architecture = "llama", .gated_mlp = true},
    {.architecture = "mistral", .gated_mlp = true},
    {.architecture = "phi",
     .norm_vectors = 2,
     .layer_norms = 1,
     .qkv_bias = true,
     .output_bias = true,
     .mlp_bias = true,
     .head_bias = true},
    {.architecture = "qwen2", .gated_mlp = true, .qkv_bias = true},
    {.architecture = "stablelm", .gated_mlp = true, .norm_vectors = 2},
};

const ModelFamily& FamilyOf(const v1::ModelShape& shape) {
  static constexpr ModelFamily kNoFamily = {};
  const ModelFamily* const family = FindModelFamily(shape.architecture());
  return family == nullptr ? kNoFamily : *family;
}

double HeadWeights(const v1::ModelShape& shape) {
  return static_cast<double>(shape.vocabulary_size()) * shape.width();
}

// Norms and biases of one layer.
double LayerVectors(const v1::ModelShape& shape, const ModelFamily& family) {
  const double width = shape.width();
  const double attention = AttentionWidth(shape);
  const double mlp = MlpWidth(shape);
  double count = family.norm_vectors * family.layer_norms * width;
  if (family.inner_norms) {
    count += family.norm_vectors * (attention + mlp);
  }
  if (family.qkv_bias) {
    count += attention * (1.0 + 2.0 * KvShare(shape));
  }
  if (family.output_bias) {
    count += width;
  }
  if (family.mlp_bias) {
    count += UpMatrices(shape) * mlp + width;
  }
  return count;
}

}  // namespace

const ModelFamily* FindModelFamily(absl::string_view architecture) {
  for (const ModelFamily& family : kFamilies) {
    if (family.architecture == architecture) {
      return &family;
    }
  }
  return nullptr;
}

std::string ModelFamilyNames() {
  std::vector<absl::string_view> names;
  for (const ModelFamily& family : kFamilies) {
    names.push_back(family.architecture);
  }
  return absl::StrJoin(names, ", ");
}

absl::Status CheckModelShape(const v1::ModelShape& shape, absl::string_view field) {
  if (FindModelFamily(shape.architecture()) == nullptr) {
    return absl::UnimplementedError(absl::StrCat(field, ".architecture: \"", shape.architecture(),
                                                 "\": not supported in this version; want one of ",
                                                 ModelFamilyNames()));
  }
  struct Size {
    absl::string_view name;
    int value = 0;
    int min = 0;
    int max = 0;
  };
  // 0 means the field's default where it is allowed.
  for (const Size& size :
       {Size{"layers", shape.layers(), 1, kLayersMax}, Size{"width", shape.width(), 1, kWidthMax},
        Size{"heads", shape.heads(), 1, kWidthMax},
        Size{"vocabulary_size", shape.vocabulary_size(), 1, kVocabularyMax},
        Size{"context_length", shape.context_length(), 1, kContextMax},
        Size{"kv_heads", shape.kv_heads(), 0, kWidthMax},
        Size{"head_size", shape.head_size(), 0, kWidthMax},
        Size{"mlp_width", shape.mlp_width(), 0, kWidthMax}}) {
    if (size.value < size.min || size.value > size.max) {
      return absl::InvalidArgumentError(absl::StrCat(field, ".", size.name, ": ", size.value,
                                                     ": want ", size.min, " to ", size.max));
    }
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
  return FamilyOf(shape).gated_mlp ? 2.0 : 1.0;
}

double MatmulParameterCount(const v1::ModelShape& shape) {
  const double attention = (2.0 + 2.0 * KvShare(shape)) * AttentionWidth(shape);
  const double mlp = (UpMatrices(shape) + 1.0) * MlpWidth(shape);
  return shape.layers() * shape.width() * (attention + mlp) + HeadWeights(shape);
}

double ParameterCount(const v1::ModelShape& shape) {
  const ModelFamily& family = FamilyOf(shape);
  const double width = shape.width();
  double count = MatmulParameterCount(shape) + shape.layers() * LayerVectors(shape, family) +
                 family.norm_vectors * width;
  if (shape.untied_head()) {
    count += HeadWeights(shape) + (family.head_bias ? shape.vocabulary_size() : 0.0);
  }
  if (family.learned_positions) {
    count += shape.context_length() * width;
  }
  return count;
}

}  // namespace wattle
