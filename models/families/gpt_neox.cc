// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// GPT-NeoX, Pythia and Dolly v2: attention and MLP in parallel, each after its own layer norm,
// rotary positions on a share of each head, and one projection whose rows are grouped by head.
// Black et al. 2022.
#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/gguf_keys_internal.h"
#include "models/shared_fields.h"

namespace wattle::models::gpt_neox {
namespace {

constexpr AttentionDefaults kAttention = {
    .has_head_dim = false,
    .has_kv_heads = false,
    .rotary = {.base = "rotary_emb_base", .share = "rotary_pct", .absent_share = 0.25}};

void Describe(DecoderConfig& config, LayerDescription layer) {
  layer.kv_heads = layer.heads;
  layer.residual = Residual::kParallel;
  layer.activation = Activation::kGeluErf;
  layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = true;
  config.layers.assign(config.layers.size(), layer);
}

DecoderConfig Read(FieldReader& reader) {
  DecoderConfig config = ReadSizes(reader, {.bos_token_id = 0, .eos_token_id = std::nullopt});
  Describe(config, ReadAttention(reader, config.width, kAttention));
  ReadActivation(reader, "hidden_act", "gelu", config);
  const bool parallel = reader.Flag("use_parallel_residual", true);
  const bool bias = reader.Flag("attention_bias", true);
  for (LayerDescription& layer : config.layers) {
    layer.residual = parallel ? Residual::kParallel : Residual::kSequential;
    layer.qkv_bias = layer.attention_output_bias = bias;
  }
  ReadNormAndDropout(reader, 0.0, config);
  config.residual_dropout = reader.Number("hidden_dropout", 0.0, 0.0, 1.0);
  config.embedding_dropout = config.residual_dropout;
  return config;
}

void Write(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["hidden_act"] = ActivationName(layer.activation);
  WriteSizes(config, json);
  json["num_attention_heads"] = layer.heads;
  json["intermediate_size"] = layer.mlp_width;
  json["rotary_pct"] = RotaryShare(layer);
  json["rotary_emb_base"] = layer.rotary->base;
  json["rope_scaling"] = RotaryScalingJson(*layer.rotary);
  json["use_parallel_residual"] = layer.residual == Residual::kParallel;
  json["attention_bias"] = layer.qkv_bias;
  WriteNormAndDropout(config, json);
  json["hidden_dropout"] = config.residual_dropout;
}

nlohmann::ordered_json ReadMetadata(MetadataReader& reader) {
  nlohmann::ordered_json json = ReadSharedMetadata(reader);
  json["layer_norm_eps"] = reader.Number(kNormEpsilon, std::nullopt);
  json["rotary_pct"] = json["partial_rotary_factor"];
  json["use_parallel_residual"] = reader.Flag(kParallelResidual, true);
  json["attention_bias"] = reader.HasTensor("blk.0.attn_qkv.bias");
  return json;
}

std::string UnloadableField(const DecoderConfig& config) {
  return !config.layers.front().qkv_bias ? "attention_bias false"
         : config.tied_embeddings        ? "tie_word_embeddings true"
                                         : "";
}

}  // namespace

std::vector<Family> Families() {
  return {{.name = "gpt_neox",
           .class_name = "GPTNeoXForCausalLM",
           .file_prefix = "gpt_neox.",
           .slots = {{Slot::kTokens, {"embed_in"}},
                     {Slot::kAttentionNorm, {"input_layernorm"}},
                     {Slot::kQkv, {"attention.query_key_value"}, false, /*interleaved_heads=*/true},
                     {Slot::kAttentionOutput, {"attention.dense"}},
                     {Slot::kMlpNorm, {"post_attention_layernorm"}},
                     {Slot::kUp, {"mlp.dense_h_to_4h"}},
                     {Slot::kDown, {"mlp.dense_4h_to_h"}},
                     {Slot::kFinalNorm, {"final_layer_norm"}},
                     {Slot::kHead, {"embed_out"}}},
           .harmless_buffers = {{".attention.bias", HarmlessBuffer::kCausalMask},
                                {".attention.masked_bias", HarmlessBuffer::kMaskedBias},
                                {".attention.rotary_emb.inv_freq",
                                 HarmlessBuffer::kInverseFrequencies}},
           .read = Read,
           .write = Write,
           .describe = Describe,
           .rotary_share = kAttention.rotary.absent_share,
           .gguf = GgufForm{.architecture = "gptneox",
                            .read = ReadMetadata,
                            .unloadable = UnloadableField,
                            .has_parallel_residual = true,
                            .pre_tokenizers = {{"mpt", "olmo"}}}}};
}

}  // namespace wattle::models::gpt_neox
