// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// phi-1.5 and phi-2: one layer norm feeds attention and MLP in parallel, rotary positions on a
// share of each head, a bias in every linear layer, including the head. Li et al. 2023.
#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/gguf_keys_internal.h"
#include "models/shared_fields.h"

namespace wattle::models::phi {
namespace {

constexpr AttentionDefaults kAttention = {.has_head_dim = false, .rotary = {.absent_share = 0.5}};

void Describe(DecoderConfig& config, LayerDescription layer) {
  config.tied_embeddings = false;
  config.head_bias = true;
  layer.residual = Residual::kParallelOneNorm;
  layer.activation = Activation::kGeluTanh;
  layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = true;
  config.layers.assign(config.layers.size(), layer);
}

DecoderConfig Read(FieldReader& reader) {
  DecoderConfig config =
      ReadSizes(reader, {.bos_token_id = std::nullopt, .eos_token_id = std::nullopt});
  if (config.tied_embeddings) {
    reader.Refuse("tie_word_embeddings", "true", "false");
  }
  if (reader.Flag("qk_layernorm", false)) {
    reader.Refuse("qk_layernorm", "true", "false");
  }
  Describe(config, ReadAttention(reader, config.width, kAttention));
  ReadActivation(reader, "hidden_act", "gelu_new", config);
  ReadNormAndDropout(reader, 0.0, config);
  config.residual_dropout = reader.Number("resid_pdrop", 0.0, 0.0, 1.0);
  config.embedding_dropout = reader.Number("embd_pdrop", 0.0, 0.0, 1.0);
  return config;
}

void Write(const DecoderConfig& config, nlohmann::ordered_json& json) {
  WriteSizesAndAttention(config, kAttention, json);
  WriteNormAndDropout(config, json);
  json["resid_pdrop"] = config.residual_dropout;
  json["embd_pdrop"] = config.embedding_dropout;
}

nlohmann::ordered_json ReadMetadata(MetadataReader& reader) {
  nlohmann::ordered_json json = ReadSharedMetadata(reader);
  json["layer_norm_eps"] = reader.Number(kNormEpsilon, std::nullopt);
  return json;
}

}  // namespace

std::vector<Family> Families() {
  return {
      {.name = "phi",
       .class_name = "PhiForCausalLM",
       .slots = {{Slot::kTokens, {"embed_tokens"}},
                 {Slot::kAttentionNorm, {"input_layernorm"}},
                 {Slot::kQkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                 {Slot::kAttentionOutput, {"self_attn.dense"}},
                 {Slot::kUp, {"mlp.fc1"}},
                 {Slot::kDown, {"mlp.fc2"}},
                 {Slot::kFinalNorm, {"final_layernorm"}},
                 {Slot::kHead, {"lm_head"}}},
       .harmless_buffers = {{".self_attn.rotary_emb.inv_freq",
                             HarmlessBuffer::kInverseFrequencies}},
       .read = Read,
       .write = Write,
       .describe = Describe,
       .rotary_share = kAttention.rotary.absent_share,
       .gguf = GgufForm{
           .architecture = "phi2", .read = ReadMetadata, .pre_tokenizers = {{"phi-2", "gpt-2"}}}}};
}

}  // namespace wattle::models::phi
