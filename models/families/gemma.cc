// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Gemma: Llama's architecture with norms of 1 + weight, an embedding multiplied by √width, gated
// GELU and its own head size. Gemma 2 adds norms after attention and MLP, caps of scores and
// logits, and a window in every second layer, starting with the first. Gemma Team 2024.
#include <algorithm>
#include <cmath>

#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/gguf_keys_internal.h"
#include "models/shared_fields.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models::gemma {
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
constexpr int64_t kGemma2LayersOf27B = 46;

bool HasWindow(size_t layer) {
  return layer % 2 == 0;
}

// Properties of every model of both families.
void DescribeGemma(DecoderConfig& config, LayerDescription layer) {
  config.norm = Norm::kRmsNormPlusOne;
  config.norm_epsilon = 1e-6;
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  layer.activation = Activation::kGeluTanh;
  layer.gated_mlp = true;
  config.layers.assign(config.layers.size(), layer);
}

// Gemma 2's additions.
void AddGemma2(DecoderConfig& config) {
  config.logit_softcap = kGemma2LogitSoftcap;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerDescription& layer = config.layers[i];
    layer.post_norms = true;
    layer.attention_softcap = kGemma2AttentionSoftcap;
    layer.query_pre_attention_scalar = kQueryScalar;
    layer.window = HasWindow(i) ? kWindow : 0;
  }
}

void DescribeGemma2(DecoderConfig& config, LayerDescription layer) {
  DescribeGemma(config, layer);
  AddGemma2(config);
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
  // transformers 5 writes only hidden_act. Gemma's first files have "gelu" there but mean the
  // approximation by tanh.
  const bool own = reader.Has("hidden_activation") || reader.Text("hidden_act", "") == "gelu";
  return ReadGemmaShared(
      reader, ReadActivation(reader, own ? "hidden_activation" : "hidden_act", kTanhName));
}

// A null field means no cap (0); a missing field means transformers' default, `absent`.
double ReadSoftcap(FieldReader& reader, const char* field, double absent) {
  return reader.IsNull(field) ? 0.0 : reader.Number(field, absent, 1e-6, kSoftcapMax);
}

DecoderConfig ReadGemma2(FieldReader& reader) {
  DecoderConfig config =
      ReadGemmaShared(reader, ReadActivation(reader, "hidden_activation", kTanhName));
  AddGemma2(config);
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

nlohmann::ordered_json ReadGemmaMetadata(MetadataReader& reader) {
  nlohmann::ordered_json json = ReadSharedMetadata(reader);
  json["rms_norm_eps"] = reader.Number(kRmsEpsilon, std::nullopt);
  json["head_dim"] = reader.Size(kKeyLength);
  json["hidden_activation"] = kTanhName;
  return json;
}

nlohmann::ordered_json ReadGemma2Metadata(MetadataReader& reader) {
  nlohmann::ordered_json json = ReadGemmaMetadata(reader);
  json["attn_logit_softcapping"] = reader.Number(kAttentionSoftcap, kGemma2AttentionSoftcap);
  json["final_logit_softcapping"] = reader.Number(kLogitSoftcap, kGemma2LogitSoftcap);
  json["sliding_window"] = reader.Size(kSlidingWindow, kWindow);
  // Only the 27B model divides by another number. llama.cpp recognizes it by its layer count.
  json["query_pre_attn_scalar"] = reader.Size(kBlockCount) == kGemma2LayersOf27B
                                      ? reader.Size(kEmbeddingLength) / reader.Size(kHeadCount)
                                      : reader.Size(kKeyLength);
  return json;
}

std::string UnloadableField(const DecoderConfig& config) {
  return config.tied_embeddings ? "" : "tie_word_embeddings false";
}

}  // namespace

std::vector<Family> Families() {
  Family gemma2 = {
      .name = "gemma2",
      .class_name = "Gemma2ForCausalLM",
      .slots = LlamaSlots("pre_feedforward_layernorm"),
      .read = ReadGemma2,
      .write = WriteGemma2,
      .describe = DescribeGemma2,
      .gguf = GgufForm{
          .architecture = "gemma2", .read = ReadGemma2Metadata, .unloadable = UnloadableField}};
  gemma2.slots.push_back({Slot::kAttentionPostNorm, {"post_attention_layernorm"}});
  gemma2.slots.push_back({Slot::kMlpPostNorm, {"post_feedforward_layernorm"}});
  return {{.name = "gemma",
           .class_name = "GemmaForCausalLM",
           .slots = LlamaSlots(),
           .read = ReadGemma,
           .write = WriteGemma,
           .describe = DescribeGemma,
           .gguf = GgufForm{.architecture = "gemma",
                            .read = ReadGemmaMetadata,
                            .unloadable = UnloadableField}},
          gemma2};
}

}  // namespace wattle::models::gemma
