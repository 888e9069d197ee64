// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Gemma: the form of Llama with norms of 1 + weight, an embedding multiplied by √width, gated GELU
// and a head size of its own. Gemma 2 adds norms behind attention and MLP, caps of scores and
// logits, and a window in every second layer, from the first on. Gemma Team 2024.
#include <algorithm>
#include <cmath>

#include "models/family.h"
#include "models/shared_fields.h"

namespace wattle::models {
namespace {

constexpr SizeDefaults kGemmaSizes = {
    .max_positions = 8192, .bos_token_id = 2, .eos_token_id = 1, .tied_embeddings = true};
constexpr AttentionDefaults kGemmaAttention = {.head_size = 256};
constexpr double kGemma2AttentionSoftcap = 50.0;
constexpr double kGemma2LogitSoftcap = 30.0;
constexpr double kQueryScalar = 256.0;
constexpr int64_t kWindow = 4096;
constexpr double kSoftcapMax = 1e6;
constexpr char kTanhName[] = "gelu_pytorch_tanh";
constexpr char kWindowed[] = "sliding_attention";
constexpr char kFull[] = "full_attention";

bool HasWindow(size_t layer) {
  return layer % 2 == 0;
}

// What every model of both families is.
void DescribeGemma(DecoderConfig& config, LayerDescription layer) {
  config.norm = Norm::kRmsNormPlusOne;
  config.norm_epsilon = 1e-6;
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  layer.activation = Activation::kGeluTanh;
  layer.gated_mlp = true;
  config.layers.assign(config.layers.size(), layer);
}

void DescribeGemma2(DecoderConfig& config) {
  config.logit_softcap = kGemma2LogitSoftcap;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerDescription& layer = config.layers[i];
    layer.post_norms = true;
    layer.attention_softcap = kGemma2AttentionSoftcap;
    layer.query_pre_attention_scalar = kQueryScalar;
    layer.window = HasWindow(i) ? kWindow : 0;
  }
}

DecoderConfig ReadGemmaShared(FieldReader& reader, Activation activation) {
  DecoderConfig config = ReadSizes(reader, kGemmaSizes);
  if (reader.Flag("use_bidirectional_attention", false)) {
    reader.Refuse("use_bidirectional_attention", "true", "false");
  }
  DescribeGemma(config, ReadAttention(reader, config.width, kGemmaAttention));
  config.norm_epsilon = reader.Number("rms_norm_eps", 1e-6, 0.0, 1.0);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  const bool bias = reader.Flag("attention_bias", false);
  for (LayerDescription& layer : config.layers) {
    layer.activation = activation;
    layer.qkv_bias = layer.attention_output_bias = bias;
  }
  return config;
}

DecoderConfig ReadGemma(FieldReader& reader) {
  // transformers 5 writes hidden_act alone. Gemma's first files say "gelu" there and mean the
  // approximation by tanh.
  const bool own = reader.Has("hidden_activation") || reader.Text("hidden_act", "") == "gelu";
  return ReadGemmaShared(
      reader, ReadActivation(reader, own ? "hidden_activation" : "hidden_act", kTanhName));
}

// 0, no cap, where the field is null; transformers' default, `absent`, without the field.
double ReadSoftcap(FieldReader& reader, const char* field, double absent) {
  return reader.IsNull(field) ? 0.0 : reader.Number(field, absent, 1e-6, kSoftcapMax);
}

DecoderConfig ReadGemma2(FieldReader& reader) {
  DecoderConfig config =
      ReadGemmaShared(reader, ReadActivation(reader, "hidden_activation", kTanhName));
  DescribeGemma2(config);
  config.logit_softcap = ReadSoftcap(reader, "final_logit_softcapping", kGemma2LogitSoftcap);
  const double attention_softcap =
      ReadSoftcap(reader, "attn_logit_softcapping", kGemma2AttentionSoftcap);
  const double scalar =
      reader.Number("query_pre_attn_scalar", kQueryScalar, 1e-6, static_cast<double>(kSizeMax));
  const int64_t window = reader.Size("sliding_window", kWindow);
  const auto types = reader.Texts("layer_types", config.layer_count(), {kWindowed, kFull});
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerDescription& layer = config.layers[i];
    layer.attention_softcap = attention_softcap;
    layer.query_pre_attention_scalar = scalar;
    const bool windowed = types.has_value() ? (*types)[i] == kWindowed : HasWindow(i);
    layer.window = windowed ? window : 0;
  }
  return config;
}

void WriteGemma(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  const char* activation =
      layer.activation == Activation::kGeluTanh ? kTanhName : ActivationName(layer.activation);
  json["hidden_act"] = activation;
  json["hidden_activation"] = activation;
  WriteSizes(config, json);
  WriteAttention(layer, kGemmaAttention, json);
  json["rms_norm_eps"] = config.norm_epsilon;
  json["attention_bias"] = layer.qkv_bias;
  json["attention_dropout"] = config.attention_dropout;
}

nlohmann::ordered_json SoftcapJson(double softcap) {
  return softcap > 0.0 ? nlohmann::ordered_json(softcap) : nlohmann::ordered_json(nullptr);
}

void WriteGemma2(const DecoderConfig& config, nlohmann::ordered_json& json) {
  WriteGemma(config, json);
  int64_t window = 0;
  std::vector<std::string> types;
  for (const LayerDescription& layer : config.layers) {
    window = std::max(window, layer.window);
    types.emplace_back(layer.window > 0 ? kWindowed : kFull);
  }
  json["query_pre_attn_scalar"] = config.layers.front().query_pre_attention_scalar;
  json["sliding_window"] = window > 0 ? window : kWindow;
  json["layer_types"] = types;
  json["attn_logit_softcapping"] = SoftcapJson(config.layers.front().attention_softcap);
  json["final_logit_softcapping"] = SoftcapJson(config.logit_softcap);
}

DecoderConfig GemmaFromSizes(const v1::ModelShape& shape) {
  DecoderConfig config = SizesOfShape(shape);
  DescribeGemma(config, LayerOfShape(shape, 1.0));
  return config;
}

DecoderConfig Gemma2FromSizes(const v1::ModelShape& shape) {
  DecoderConfig config = GemmaFromSizes(shape);
  DescribeGemma2(config);
  return config;
}

std::vector<SlotNames> SharedSlots() {
  return {{Slot::kTokens, {"embed_tokens"}},
          {Slot::kAttentionNorm, {"input_layernorm"}},
          {Slot::kQkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
          {Slot::kAttentionOutput, {"self_attn.o_proj"}},
          {Slot::kUp, {"mlp.gate_proj", "mlp.up_proj"}},
          {Slot::kDown, {"mlp.down_proj"}},
          {Slot::kFinalNorm, {"norm"}},
          {Slot::kHead, {"lm_head"}}};
}

Family Named(const char* name, const char* class_name, const std::vector<SlotNames>& norms) {
  Family family = {.name = name,
                   .class_name = class_name,
                   .file_prefix = "model.",
                   .layer_prefix = "layers.",
                   .slots = SharedSlots(),
                   .harmless_buffers = {},
                   .initial_deviation = 0.02};  // initializer_range
  family.slots.insert(family.slots.end(), norms.begin(), norms.end());
  return family;
}

}  // namespace

const Family& GemmaFamily() {
  static const auto& family = *new Family([] {
    Family gemma =
        Named("gemma", "GemmaForCausalLM", {{Slot::kMlpNorm, {"post_attention_layernorm"}}});
    gemma.read = ReadGemma;
    gemma.write = WriteGemma;
    gemma.from_shape = GemmaFromSizes;
    return gemma;
  }());
  return family;
}

const Family& Gemma2Family() {
  static const auto& family = *new Family([] {
    Family gemma2 = Named("gemma2", "Gemma2ForCausalLM",
                          {{Slot::kAttentionPostNorm, {"post_attention_layernorm"}},
                           {Slot::kMlpNorm, {"pre_feedforward_layernorm"}},
                           {Slot::kMlpPostNorm, {"post_feedforward_layernorm"}}});
    gemma2.read = ReadGemma2;
    gemma2.write = WriteGemma2;
    gemma2.from_shape = Gemma2FromSizes;
    return gemma2;
  }());
  return family;
}

}  // namespace wattle::models
