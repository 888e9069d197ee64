// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/shared_fields.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "wattle/v1/profile.pb.h"

namespace wattle::models {
namespace {

constexpr double kRotaryBase = 10000.0;

// The fields of rope_scaling, or those of rope_parameters.
std::optional<RotaryScaling> ScalingOf(FieldReader& fields) {
  for (const char* layers : {"full_attention", "sliding_attention"}) {
    if (fields.Has(layers)) {
      fields.Refuse(layers, "with positions of its own", "the same positions in every layer");
    }
  }
  const std::string kind = fields.Text("rope_type", fields.Text("type", "default").c_str());
  if (kind == "default") {
    if (fields.Has("factor")) {
      fields.Fail(absl::InvalidArgumentError(absl::StrCat(
          fields.file(), ": rope_type: missing beside factor; write default, linear or llama3")));
    }
    return std::nullopt;
  }
  RotaryScaling scaling;
  scaling.factor = fields.Number("factor", 1.0, 1.0, 1e6);
  if (kind == "llama3") {
    scaling.original_positions = fields.Size("original_max_position_embeddings", std::nullopt);
    scaling.low_frequency_factor = fields.Number("low_freq_factor", 1.0, 1e-6, 1e6);
    scaling.high_frequency_factor = fields.Number("high_freq_factor", 4.0, 1e-6, 1e6);
    if (scaling.high_frequency_factor <= scaling.low_frequency_factor) {
      fields.Fail(absl::InvalidArgumentError(
          absl::StrCat(fields.file(), ": high_freq_factor: must be above low_freq_factor")));
    }
  } else if (kind != "linear") {
    fields.Refuse("rope_type", kind, "default, linear or llama3");
  }
  return scaling;
}

Rotary ReadRotary(FieldReader& reader, int64_t head_size, const RotaryFields& names) {
  if (reader.Has("rope_scaling") && reader.Has("rope_parameters")) {
    // Versions of transformers differ in which of the two counts.
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(
        reader.file(), ": rope_scaling: stands beside rope_parameters; keep one of the two")));
  }
  const auto base_of = [](FieldReader& fields, const char* field, double absent) {
    return fields.Number(field, absent, 1.0, 1e12);
  };
  const auto share_of = [](FieldReader& fields, const char* field, double absent) {
    return fields.Number(field, absent, 0.0, 1.0 + 1e-9);
  };
  Rotary rotary;
  rotary.base = base_of(reader, names.base, base_of(reader, "rope_theta", kRotaryBase));
  double share = share_of(reader, names.share, names.absent_share);
  const char* share_field = names.share;  // for messages
  for (const char* object : {"rope_scaling", "rope_parameters"}) {
    reader.Inside(object, [&](FieldReader& fields) {
      rotary.scaling = ScalingOf(fields);
      rotary.base = base_of(fields, "rope_theta", rotary.base);
      share = share_of(fields, "partial_rotary_factor", share);
      share_field = fields.Has("partial_rotary_factor") ? "partial_rotary_factor" : names.share;
    });
  }
  rotary.dimensions = static_cast<int64_t>(static_cast<double>(head_size) * share);
  if (rotary.dimensions % 2 != 0 || rotary.dimensions == 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(
        reader.file(), ": ", share < 1.0 ? share_field : "head_dim", ": ", rotary.dimensions,
        " dimensions of a head are not pairs; rotary positions turn pairs")));
  }
  return rotary;
}

}  // namespace

void ReadTextTokens(FieldReader& reader, std::optional<int64_t> absent_begin,
                    std::optional<int64_t> absent_end, DecoderConfig& config) {
  const std::vector<int64_t> begins =
      reader.TokenIds("bos_token_id", absent_begin, config.vocabulary);
  config.bos_token_id = begins.empty() ? kNoToken : begins.front();
  config.eos_token_id = kNoToken;
  config.more_eos_token_ids.clear();
  AddEndTokens(reader.TokenIds("eos_token_id", absent_end, config.vocabulary), config);
}

void WriteTextTokens(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const auto id_or_null = [](int64_t token) {
    return token == kNoToken ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(token);
  };
  json["bos_token_id"] = id_or_null(config.bos_token_id);
  json["eos_token_id"] = id_or_null(config.eos_token_id);
  if (!config.more_eos_token_ids.empty()) {
    std::vector<int64_t> ends = {config.eos_token_id};
    ends.insert(ends.end(), config.more_eos_token_ids.begin(), config.more_eos_token_ids.end());
    json["eos_token_id"] = ends;
  }
}

DecoderConfig ReadSizes(FieldReader& reader, const SizeDefaults& defaults) {
  DecoderConfig config;
  config.layers.resize(static_cast<size_t>(reader.Size("num_hidden_layers", std::nullopt)));
  config.width = reader.Size("hidden_size", std::nullopt);
  config.vocabulary = reader.Size("vocab_size", std::nullopt);
  config.max_positions = reader.Size("max_position_embeddings", defaults.max_positions);
  config.tied_embeddings = reader.Flag("tie_word_embeddings", defaults.tied_embeddings);
  ReadTextTokens(reader, defaults.bos_token_id, defaults.eos_token_id, config);
  return config;
}

void WriteSizes(const DecoderConfig& config, nlohmann::ordered_json& json) {
  json["vocab_size"] = config.vocabulary;
  json["max_position_embeddings"] = config.max_positions;
  json["hidden_size"] = config.width;
  json["num_hidden_layers"] = config.layer_count();
  WriteTextTokens(config, json);
  json["tie_word_embeddings"] = config.tied_embeddings;
}

LayerDescription ReadAttention(FieldReader& reader, int64_t width,
                               const AttentionDefaults& defaults) {
  LayerDescription layer;
  layer.heads = reader.Size("num_attention_heads", std::nullopt);
  layer.kv_heads =
      defaults.has_kv_heads ? reader.Size("num_key_value_heads", layer.heads) : layer.heads;
  layer.mlp_width = reader.Size("intermediate_size", std::nullopt);
  layer.head_size =
      defaults.head_size > 0 ? defaults.head_size : std::max<int64_t>(1, width / layer.heads);
  const bool own_head_size =
      defaults.has_head_dim && (reader.Has("head_dim") || defaults.head_size > 0);
  if (own_head_size) {
    layer.head_size = reader.Size("head_dim", layer.head_size);
  } else if (width % layer.heads != 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(
        reader.file(), ": hidden_size: a width of ", width, " is not divisible by ", layer.heads,
        " heads", defaults.has_head_dim ? ", and there is no head_dim" : "")));
  }
  if (layer.heads % layer.kv_heads != 0) {
    reader.Fail(absl::InvalidArgumentError(
        absl::StrCat(reader.file(), ": num_key_value_heads: ", layer.kv_heads,
                     " does not divide num_attention_heads ", layer.heads)));
  }
  layer.rotary = ReadRotary(reader, layer.head_size, defaults.rotary);
  return layer;
}

double RotaryShare(const LayerDescription& layer) {
  return static_cast<double>(layer.rotary->dimensions) / static_cast<double>(layer.head_size);
}

nlohmann::ordered_json RotaryScalingJson(const Rotary& rotary) {
  if (!rotary.scaling.has_value()) {
    return nullptr;
  }
  nlohmann::ordered_json json;
  json["rope_type"] = rotary.scaling->is_linear() ? "linear" : "llama3";
  json["factor"] = rotary.scaling->factor;
  if (!rotary.scaling->is_linear()) {
    json["low_freq_factor"] = rotary.scaling->low_frequency_factor;
    json["high_freq_factor"] = rotary.scaling->high_frequency_factor;
    json["original_max_position_embeddings"] = rotary.scaling->original_positions;
  }
  return json;
}

void WriteAttention(const LayerDescription& layer, const AttentionDefaults& defaults,
                    nlohmann::ordered_json& json) {
  json["num_attention_heads"] = layer.heads;
  json["num_key_value_heads"] = layer.kv_heads;
  if (defaults.has_head_dim) {
    json["head_dim"] = layer.head_size;
  }
  json["intermediate_size"] = layer.mlp_width;
  json["rope_theta"] = layer.rotary->base;
  json["rope_scaling"] = RotaryScalingJson(*layer.rotary);
  if (defaults.rotary.absent_share < 1.0) {
    json["partial_rotary_factor"] = RotaryShare(layer);
  }
}

Activation ReadActivation(FieldReader& reader, const char* field, const char* absent) {
  const std::string name = reader.Text(field, absent);
  if (name == "silu" || name == "swish") {
    return Activation::kSilu;
  }
  if (name == "gelu") {
    return Activation::kGeluErf;
  }
  if (name == "relu") {
    return Activation::kRelu;
  }
  if (name != "gelu_new" && name != "gelu_pytorch_tanh" && name != "gelu_fast") {
    reader.Refuse(field, name, "silu, gelu, gelu_new or relu");
  }
  return Activation::kGeluTanh;
}

void ReadActivation(FieldReader& reader, const char* field, const char* absent,
                    DecoderConfig& config) {
  const Activation activation = ReadActivation(reader, field, absent);
  for (LayerDescription& layer : config.layers) {
    layer.activation = activation;
  }
}

const char* ActivationName(Activation activation) {
  switch (activation) {
    case Activation::kGeluTanh:
      return "gelu_new";
    case Activation::kGeluErf:
      return "gelu";
    case Activation::kSilu:
      return "silu";
    case Activation::kRelu:
      return "relu";
  }
  return "";
}

void ReadNormAndDropout(FieldReader& reader, double absent_dropout, DecoderConfig& config) {
  config.norm_epsilon = reader.Number("layer_norm_eps", 1e-5, 0.0, 1.0);
  config.attention_dropout = reader.Number("attention_dropout", absent_dropout, 0.0, 1.0);
}

void WriteNormAndDropout(const DecoderConfig& config, nlohmann::ordered_json& json) {
  json["layer_norm_eps"] = config.norm_epsilon;
  json["attention_dropout"] = config.attention_dropout;
}

void WriteSizesAndAttention(const DecoderConfig& config, const AttentionDefaults& defaults,
                            nlohmann::ordered_json& json) {
  json["hidden_act"] = ActivationName(config.layers.front().activation);
  WriteSizes(config, json);
  WriteAttention(config.layers.front(), defaults, json);
}

std::vector<SlotNames> LlamaSlots(const char* mlp_norm) {
  return {{Slot::kTokens, {"embed_tokens"}},
          {Slot::kAttentionNorm, {"input_layernorm"}},
          {Slot::kQkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
          {Slot::kAttentionOutput, {"self_attn.o_proj"}},
          {Slot::kMlpNorm, {mlp_norm}},
          {Slot::kUp, {"mlp.gate_proj", "mlp.up_proj"}},
          {Slot::kDown, {"mlp.down_proj"}},
          {Slot::kFinalNorm, {"norm"}},
          {Slot::kHead, {"lm_head"}}};
}

}  // namespace wattle::models
