// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/decoder_config.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"
#include "models/family.h"
#include "models/tensors.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models {
namespace {

constexpr int64_t kConfigBytesMax = 1 << 20;
// A description has one entry per layer; the limit keeps a damaged config.json from creating
// millions.
constexpr int64_t kLayersMax = 1 << 12;

// Token ids are 1 and 2 if the vocabulary has them; the layers are empty.
DecoderConfig SizesOfShape(const v1::ModelShape& shape) {
  DecoderConfig config;
  config.width = shape.width();
  config.vocabulary = shape.vocabulary_size();
  config.max_positions = shape.context_length();
  config.tied_embeddings = !shape.untied_head();
  config.bos_token_id = std::min<int64_t>(1, config.vocabulary - 1);
  config.eos_token_id = std::min<int64_t>(2, config.vocabulary - 1);
  config.layers.resize(static_cast<size_t>(shape.layers()));
  return config;
}

LayerDescription LayerOfShape(const v1::ModelShape& shape, double rotary_share) {
  LayerDescription layer;
  layer.heads = shape.heads();
  layer.kv_heads = shape.kv_heads() > 0 ? shape.kv_heads() : shape.heads();
  layer.head_size =
      shape.head_size() > 0 ? shape.head_size() : int64_t{shape.width()} / shape.heads();
  layer.mlp_width = shape.mlp_width() > 0 ? shape.mlp_width() : 4 * int64_t{shape.width()};
  const auto dimensions = static_cast<int64_t>(static_cast<double>(layer.head_size) * rotary_share);
  layer.rotary = Rotary{.dimensions = dimensions / 2 * 2};
  return layer;
}

}  // namespace

double Rotary::Frequency(int64_t i) const {
  const double plain =
      std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dimensions));
  if (!scaling.has_value()) {
    return plain;
  }
  if (scaling->is_linear()) {
    return plain / scaling->factor;
  }
  // Rotations of the pair over the sequence length of the first training.
  constexpr double kTurn = 2.0 * 3.14159265358979323846;
  const double turns = static_cast<double>(scaling->original_positions) * plain / kTurn;
  const double kept =
      std::clamp((turns - scaling->low_frequency_factor) /
                     (scaling->high_frequency_factor - scaling->low_frequency_factor),
                 0.0, 1.0);
  return (1.0 - kept) * plain / scaling->factor + kept * plain;
}

double LayerDescription::query_scale() const {
  return 1.0 / std::sqrt(query_pre_attention_scalar > 0.0 ? query_pre_attention_scalar
                                                          : static_cast<double>(head_size));
}

bool DecoderConfig::ends_text(int64_t token) const {
  return token == eos_token_id || std::find(more_eos_token_ids.begin(), more_eos_token_ids.end(),
                                            token) != more_eos_token_ids.end();
}

int64_t DecoderConfig::parameter_count() const {
  int64_t count = 0;
  for (const ModelTensor& tensor : ModelTensors(*this)) {
    count += tensor.element_count();
  }
  return count;
}

absl::StatusOr<DecoderConfig> ParseDecoderConfig(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const formats::Json json, formats::ParseJson(text, file));
  if (!json.is_object()) {
    return formats::WrongKind(file, "the file", "an object", json);
  }
  FieldReader reader(json, file);
  const std::string model_type = reader.Text("model_type", "");
  WATTLE_RETURN_IF_ERROR(reader.status());
  if (model_type.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": model_type: missing; is this a Hugging Face config.json?"));
  }
  const Family* family = FindFamily(model_type);
  if (const WholeModel* whole = FindWholeModel(model_type); whole != nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        file, ": model_type ", model_type, ": not supported in this version; ", whole->remedy));
  }
  if (family == nullptr) {
    return absl::UnimplementedError(absl::StrCat(file, ": model_type ",
                                                 formats::Printable(model_type),
                                                 ": not supported in this version; use a model of "
                                                 "one of these families: ",
                                                 FamilyNames()));
  }
  for (const char* field : {"n_layer", "num_hidden_layers", "layers"}) {
    if (reader.Has(field) && reader.Size(field, 1) > kLayersMax) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": ", field, ": wants at most ", kLayersMax, " layers"));
    }
  }
  DecoderConfig config = family->read(reader);
  WATTLE_RETURN_IF_ERROR(reader.status());
  config.family = family->name;
  return config;
}

void AddEndTokens(const std::vector<int64_t>& tokens, DecoderConfig& config) {
  for (const int64_t token : tokens) {
    if (config.eos_token_id == kNoToken) {
      config.eos_token_id = token;
    } else if (!config.ends_text(token)) {
      config.more_eos_token_ids.push_back(token);
    }
  }
}

absl::StatusOr<DecoderConfig> ReadDecoderConfig(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kConfigBytesMax));
  return ParseDecoderConfig(text, path);
}

std::string FormatDecoderConfig(const DecoderConfig& config, formats::DataType stored_type) {
  const Family& family = FamilyOf(config);
  nlohmann::ordered_json json;
  json["architectures"] = {family.class_name};
  json["model_type"] = family.name;
  family.write(config, json);
  json["torch_dtype"] = stored_type == formats::DataType::kF16    ? "float16"
                        : stored_type == formats::DataType::kBF16 ? "bfloat16"
                                                                  : "float32";
  return json.dump(2) + "\n";
}

v1::ModelShape ToShape(const DecoderConfig& config) {
  const LayerDescription& layer = config.layers.front();
  v1::ModelShape shape;
  shape.set_architecture(config.family);
  shape.set_layers(static_cast<int32_t>(config.layer_count()));
  shape.set_width(static_cast<int32_t>(config.width));
  shape.set_heads(static_cast<int32_t>(layer.heads));
  shape.set_vocabulary_size(static_cast<int32_t>(config.vocabulary));
  shape.set_context_length(static_cast<int32_t>(config.max_positions));
  if (layer.kv_heads != layer.heads) {
    shape.set_kv_heads(static_cast<int32_t>(layer.kv_heads));
  }
  if (layer.head_size * layer.heads != config.width) {
    shape.set_head_size(static_cast<int32_t>(layer.head_size));
  }
  if (layer.mlp_width != 4 * config.width) {
    shape.set_mlp_width(static_cast<int32_t>(layer.mlp_width));
  }
  shape.set_untied_head(!config.tied_embeddings);
  return shape;
}

absl::StatusOr<DecoderConfig> FromShape(const v1::ModelShape& shape) {
  const Family* family = FindFamily(shape.architecture());
  if (family == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("model_shape.architecture: \"", formats::Printable(shape.architecture()),
                     "\" is not supported in this version; write one of: ", FamilyNames()));
  }
  struct Size {
    absl::string_view field;
    int32_t value = 0;
    int64_t low = 1;
    int64_t high = kSizeMax;
  };
  for (const Size& size :
       {Size{"layers", shape.layers(), 1, kLayersMax}, Size{"width", shape.width()},
        Size{"heads", shape.heads()}, Size{"vocabulary_size", shape.vocabulary_size()},
        Size{"context_length", shape.context_length()}, Size{"kv_heads", shape.kv_heads(), 0},
        Size{"head_size", shape.head_size(), 0}, Size{"mlp_width", shape.mlp_width(), 0}}) {
    if (size.value < size.low || size.value > size.high) {
      return absl::InvalidArgumentError(absl::StrCat("model_shape.", size.field, ": ", size.value,
                                                     " is not between ", size.low, " and ",
                                                     size.high));
    }
  }
  if (shape.head_size() == 0 && shape.width() % shape.heads() != 0) {
    return absl::InvalidArgumentError(absl::StrCat("model_shape.width: a width of ", shape.width(),
                                                   " is not divisible by ", shape.heads(),
                                                   " heads"));
  }
  if (shape.kv_heads() != 0 && shape.heads() % shape.kv_heads() != 0) {
    return absl::InvalidArgumentError(absl::StrCat("model_shape.kv_heads: ", shape.kv_heads(),
                                                   " does not divide ", shape.heads(), " heads"));
  }
  DecoderConfig config = SizesOfShape(shape);
  family->describe(config, LayerOfShape(shape, family->rotary_share));
  config.family = family->name;
  return config;
}

}  // namespace wattle::models
