// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// StableLM 2: Llama's architecture with layer norms and rotary positions on a quarter of each head.
// Bellagente et al. 2024.
#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/gguf_keys_internal.h"
#include "models/shared_fields.h"

namespace wattle::models::stablelm {
namespace {

constexpr AttentionDefaults kAttention = {.has_head_dim = false, .rotary = {.absent_share = 0.25}};

void Describe(DecoderConfig& config, LayerDescription layer) {
  layer.activation = Activation::kSilu;
  layer.gated_mlp = true;
  config.layers.assign(config.layers.size(), layer);
}

DecoderConfig Read(FieldReader& reader) {
  DecoderConfig config = ReadSizes(
      reader, {.max_positions = 4096, .bos_token_id = std::nullopt, .eos_token_id = std::nullopt});
  if (reader.Flag("qk_layernorm", false)) {
    reader.Refuse("qk_layernorm", "true", "false");
  }
  // transformers applies dropout only to the MLP's output; no published model was trained with it.
  if (reader.Number("hidden_dropout", 0.0, 0.0, 1.0) > 0.0) {
    reader.Refuse("hidden_dropout", "above 0", "0");
  }
  Describe(config, ReadAttention(reader, config.width, kAttention));
  ReadActivation(reader, "hidden_act", "silu", config);
  const bool bias = reader.Flag("use_qkv_bias", false);
  const bool parallel = reader.Flag("use_parallel_residual", false);
  for (LayerDescription& layer : config.layers) {
    layer.qkv_bias = bias;
    layer.residual = parallel ? Residual::kParallelOneNorm : Residual::kSequential;
  }
  ReadNormAndDropout(reader, 0.0, config);
  return config;
}

void Write(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  WriteSizesAndAttention(config, kAttention, json);
  json["use_qkv_bias"] = layer.qkv_bias;
  json["use_parallel_residual"] = layer.residual == Residual::kParallelOneNorm;
  WriteNormAndDropout(config, json);
}

nlohmann::ordered_json ReadMetadata(MetadataReader& reader) {
  nlohmann::ordered_json json = ReadSharedMetadata(reader);
  json["layer_norm_eps"] = reader.Number(kNormEpsilon, std::nullopt);
  json["use_qkv_bias"] = reader.HasTensor("blk.0.attn_q.bias");
  // llama.cpp also decides by the tensor and not by use_parallel_residual.
  json["use_parallel_residual"] = !reader.HasTensor("blk.0.ffn_norm.weight");
  return json;
}

std::string UnloadableField(const DecoderConfig& config) {
  return config.tied_embeddings ? "tie_word_embeddings true" : "";
}

}  // namespace

std::vector<Family> Families() {
  return {{.name = "stablelm",
           .class_name = "StableLmForCausalLM",
           .slots = LlamaSlots(),
           .harmless_buffers = {{".self_attn.rotary_emb.inv_freq",
                                 HarmlessBuffer::kInverseFrequencies}},
           .read = Read,
           .write = Write,
           .describe = Describe,
           .rotary_share = kAttention.rotary.absent_share,
           .gguf = GgufForm{.architecture = "stablelm",
                            .read = ReadMetadata,
                            .unloadable = UnloadableField,
                            .has_parallel_residual = true,
                            .pre_tokenizers = {{"stablelm2", "qwen2"}}}}};
}

}  // namespace wattle::models::stablelm
