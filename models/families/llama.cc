// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Llama and models of the same architecture: RMSNorm, rotary positions in halves, grouped KV heads,
// gated SiLU. TinyLlama, Llama 3.2 (rotary scaling), SmolLM2, Orca 2 and SOLAR belong to the family
// "llama"; Mistral adds a sliding window, Qwen 2 biases of query, key and value. Touvron et al.
// 2023, Jiang et al. 2023, Yang et al. 2024.
#include <algorithm>

#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/gguf_keys_internal.h"
#include "models/shared_fields.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models::llama {
namespace {

constexpr int64_t kWindow = 4096;  // sliding_window of the two configs that have the field
constexpr int64_t kQwenFirstWindowedLayer = 28;
constexpr char kWindowed[] = "sliding_attention";
constexpr char kFull[] = "full_attention";

// Properties of every model of these families.
void DescribeLlama(DecoderConfig& config, LayerDescription layer) {
  config.norm = Norm::kRmsNorm;
  layer.activation = Activation::kSilu;
  layer.gated_mlp = true;
  config.layers.assign(config.layers.size(), layer);
}

void DescribeQwen2(DecoderConfig& config, LayerDescription layer) {
  layer.qkv_bias = true;
  DescribeLlama(config, layer);
}

DecoderConfig ReadLlamaShared(FieldReader& reader, const SizeDefaults& defaults) {
  DecoderConfig config = ReadSizes(reader, defaults);
  config.norm_epsilon = reader.Number("rms_norm_eps", 1e-6, 0.0, 1.0);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  DescribeLlama(config, ReadAttention(reader, config.width, {}));
  ReadActivation(reader, "hidden_act", "silu", config);
  return config;
}

void WriteLlamaShared(const DecoderConfig& config, nlohmann::ordered_json& json) {
  WriteSizesAndAttention(config, {}, json);
  json["rms_norm_eps"] = config.norm_epsilon;
  json["attention_dropout"] = config.attention_dropout;
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

// A null sliding_window means the whole context (0); a missing one means transformers' default.
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

nlohmann::ordered_json ReadSharedLlamaMetadata(MetadataReader& reader) {
  nlohmann::ordered_json json = ReadSharedMetadata(reader);
  json["rms_norm_eps"] = reader.Number(kRmsEpsilon, std::nullopt);
  if (reader.Has(kSlidingWindow)) {
    reader.Refuse(kSlidingWindow, "a window");
  }
  if (json.value("partial_rotary_factor", 1.0) < 1.0) {
    reader.Refuse(kRopeDimensions, "rotary positions of a part of each head");
  }
  return json;
}

nlohmann::ordered_json ReadLlamaMetadata(MetadataReader& reader) {
  nlohmann::ordered_json json = ReadSharedLlamaMetadata(reader);
  json["attention_bias"] = reader.HasTensor("blk.0.attn_q.bias");
  json["mlp_bias"] = reader.HasTensor("blk.0.ffn_gate.bias");
  return json;
}

Family Named(const char* name, const char* class_name) {
  return {.name = name,
          .class_name = class_name,
          .slots = LlamaSlots(),
          .harmless_buffers = {
              {".self_attn.rotary_emb.inv_freq", HarmlessBuffer::kInverseFrequencies}}};
}

Family Llama() {
  Family family = Named("llama", "LlamaForCausalLM");
  family.read = ReadLlama;
  family.write = WriteLlama;
  family.describe = DescribeLlama;
  family.gguf = GgufForm{.architecture = "llama",
                         .read = ReadLlamaMetadata,
                         .has_rope_factors = true,
                         .rotary_pairs = true,
                         .pre_tokenizers = {{"llama3", "llama-bpe"}, {"llama-v3", "llama-bpe"}}};
  return family;
}

Family Mistral() {
  Family family = Named("mistral", "MistralForCausalLM");
  family.read = ReadMistral;
  family.write = WriteMistral;
  family.describe = DescribeLlama;
  family.gguf = GgufForm{.architecture = "llama", .has_rope_factors = true, .rotary_pairs = true};
  return family;
}

Family Qwen2() {
  Family family = Named("qwen2", "Qwen2ForCausalLM");
  family.read = ReadQwen2;
  family.write = WriteQwen2;
  family.describe = DescribeQwen2;
  family.gguf = GgufForm{.architecture = "qwen2",
                         .read = ReadSharedLlamaMetadata,
                         .pre_tokenizers = {{"deepseek-r1-qwen", "qwen2"}}};
  return family;
}

}  // namespace

std::vector<Family> Families() {
  return {Llama(), Mistral(), Qwen2()};
}

}  // namespace wattle::models::llama
