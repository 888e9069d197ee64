// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Llama and what has its form: RMSNorm, rotary positions in halves, grouped KV heads, gated SiLU.
// TinyLlama, Llama 3.2 (rotary scaling), SmolLM2, Orca 2 and SOLAR are of the family "llama";
// Mistral adds a sliding window, Qwen 2 biases of query, key and value. Touvron et al. 2023, Jiang
// et al. 2023, Yang et al. 2024.
#include <algorithm>

#include "models/family.h"
#include "models/shared_fields.h"

namespace wattle::models {
namespace {

constexpr double kInitialDeviation = 0.02;  // initializer_range of the three configs
constexpr int64_t kWindow = 4096;           // sliding_window of both configs that have one
constexpr int64_t kQwenFirstWindowedLayer = 28;
constexpr char kWindowed[] = "sliding_attention";
constexpr char kFull[] = "full_attention";

// What every model of these families is.
LayerDescription Gated(LayerDescription layer) {
  layer.activation = Activation::kSilu;
  layer.gated_mlp = true;
  return layer;
}

DecoderConfig ReadLlamaShared(FieldReader& reader, const SizeDefaults& defaults) {
  DecoderConfig config = ReadSizes(reader, defaults);
  config.norm = Norm::kRmsNorm;
  config.norm_epsilon = reader.Number("rms_norm_eps", 1e-6, 0.0, 1.0);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  LayerDescription layer = Gated(ReadAttention(reader, config.width, {}));
  layer.activation = ReadActivation(reader, "hidden_act", "silu");
  config.layers.assign(config.layers.size(), layer);
  return config;
}

void WriteLlamaShared(const DecoderConfig& config, nlohmann::ordered_json& json) {
  json["hidden_act"] = ActivationName(config.layers.front().activation);
  WriteSizes(config, json);
  WriteAttention(config.layers.front(), {}, json);
  json["rms_norm_eps"] = config.norm_epsilon;
  json["attention_dropout"] = config.attention_dropout;
}

DecoderConfig LlamaFromSizes(const v1::ModelShape& shape) {
  DecoderConfig config = SizesOfShape(shape);
  config.norm = Norm::kRmsNorm;
  config.layers.assign(config.layers.size(), Gated(LayerOfShape(shape, 1.0)));
  return config;
}

DecoderConfig ReadLlama(FieldReader& reader) {
  DecoderConfig config = ReadLlamaShared(reader, {});
  const bool bias = reader.Flag("attention_bias", false);
  const bool mlp_bias = reader.Flag("mlp_bias", false);
  for (LayerDescription& layer : config.layers) {
    layer.qkv_bias = layer.attention_output_bias = bias;
    layer.mlp_bias = mlp_bias;
  }
  return config;
}

void WriteLlama(const DecoderConfig& config, nlohmann::ordered_json& json) {
  WriteLlamaShared(config, json);
  json["attention_bias"] = config.layers.front().qkv_bias;
  json["mlp_bias"] = config.layers.front().mlp_bias;
}

// 0, the whole context, where sliding_window is null; transformers' default where it is absent.
int64_t ReadWindow(FieldReader& reader) {
  constexpr char kField[] = "sliding_window";
  return reader.IsNull(kField) ? 0 : reader.Size(kField, kWindow);
}

DecoderConfig ReadMistral(FieldReader& reader) {
  DecoderConfig config = ReadLlamaShared(reader, {.max_positions = int64_t{4096} * 32});
  const int64_t window = ReadWindow(reader);
  for (LayerDescription& layer : config.layers) {
    layer.window = window;
  }
  return config;
}

void WriteMistral(const DecoderConfig& config, nlohmann::ordered_json& json) {
  WriteLlamaShared(config, json);
  const int64_t window = config.layers.front().window;
  json["sliding_window"] =
      window > 0 ? nlohmann::ordered_json(window) : nlohmann::ordered_json(nullptr);
}

DecoderConfig ReadQwen2(FieldReader& reader) {
  DecoderConfig config = ReadLlamaShared(
      reader, {.max_positions = 32768, .bos_token_id = std::nullopt, .eos_token_id = std::nullopt});
  const bool windows = reader.Flag("use_sliding_window", false);
  const int64_t window = ReadWindow(reader);
  const auto first = static_cast<size_t>(reader.Has("max_window_layers")
                                             ? reader.Number("max_window_layers", 0, 0, kSizeMax)
                                             : static_cast<double>(kQwenFirstWindowedLayer));
  const auto types = reader.Texts("layer_types", config.layer_count(), {kWindowed, kFull});
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const bool windowed = types.has_value() ? (*types)[i] == kWindowed : windows && i >= first;
    config.layers[i].window = windowed ? window : 0;
    config.layers[i].qkv_bias = true;
  }
  return config;
}

void WriteQwen2(const DecoderConfig& config, nlohmann::ordered_json& json) {
  WriteLlamaShared(config, json);
  int64_t window = 0;
  std::vector<std::string> types;
  for (const LayerDescription& layer : config.layers) {
    window = std::max(window, layer.window);
    types.emplace_back(layer.window > 0 ? kWindowed : kFull);
  }
  json["use_sliding_window"] = window > 0;
  json["sliding_window"] =
      window > 0 ? nlohmann::ordered_json(window) : nlohmann::ordered_json(nullptr);
  json["layer_types"] = types;
}

DecoderConfig Qwen2FromSizes(const v1::ModelShape& shape) {
  DecoderConfig config = LlamaFromSizes(shape);
  for (LayerDescription& layer : config.layers) {
    layer.qkv_bias = true;
  }
  return config;
}

// The names that the three share.
Family Named(const char* name, const char* class_name) {
  return {
      .name = name,
      .class_name = class_name,
      .file_prefix = "model.",
      .layer_prefix = "layers.",
      .slots = {{Slot::kTokens, {"embed_tokens"}},
                {Slot::kAttentionNorm, {"input_layernorm"}},
                {Slot::kQkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                {Slot::kAttentionOutput, {"self_attn.o_proj"}},
                {Slot::kMlpNorm, {"post_attention_layernorm"}},
                {Slot::kUp, {"mlp.gate_proj", "mlp.up_proj"}},
                {Slot::kDown, {"mlp.down_proj"}},
                {Slot::kFinalNorm, {"norm"}},
                {Slot::kHead, {"lm_head"}}},
      .harmless_buffers = {{".self_attn.rotary_emb.inv_freq", HarmlessBuffer::kInverseFrequencies}},
      .initial_deviation = kInitialDeviation,
      .from_shape = LlamaFromSizes};
}

}  // namespace

const Family& LlamaFamily() {
  static const auto& family = *new Family([] {
    Family llama = Named("llama", "LlamaForCausalLM");
    llama.read = ReadLlama;
    llama.write = WriteLlama;
    return llama;
  }());
  return family;
}

const Family& MistralFamily() {
  static const auto& family = *new Family([] {
    Family mistral = Named("mistral", "MistralForCausalLM");
    mistral.read = ReadMistral;
    mistral.write = WriteMistral;
    return mistral;
  }());
  return family;
}

const Family& Qwen2Family() {
  static const auto& family = *new Family([] {
    Family qwen2 = Named("qwen2", "Qwen2ForCausalLM");
    qwen2.read = ReadQwen2;
    qwen2.write = WriteQwen2;
    qwen2.from_shape = Qwen2FromSizes;
    return qwen2;
  }());
  return family;
}

}  // namespace wattle::models
