// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// phi-1.5 and phi-2: one layer norm feeds attention and MLP side by side, rotary positions turn a
// share of each head, every linear layer has a bias, the head's as well. Li et al. 2023.
#include "models/family.h"
#include "models/shared_fields.h"

namespace wattle::models {
namespace {

constexpr AttentionDefaults kPhiAttention = {.has_head_dim = false, .rotary_share = 0.5};

void DescribePhi(DecoderConfig& config, LayerDescription layer) {
  layer.residual = Residual::kParallelOneNorm;
  layer.activation = Activation::kGeluTanh;
  layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = true;
  config.layers.assign(config.layers.size(), layer);
  config.head_bias = !config.tied_embeddings;
}

DecoderConfig ReadPhi(FieldReader& reader) {
  DecoderConfig config =
      ReadSizes(reader, {.bos_token_id = std::nullopt, .eos_token_id = std::nullopt});
  if (config.tied_embeddings) {
    reader.Refuse("tie_word_embeddings", "true", "false");
  }
  if (reader.Flag("qk_layernorm", false)) {
    reader.Refuse("qk_layernorm", "true", "false");
  }
  DescribePhi(config, ReadAttention(reader, config.width, kPhiAttention));
  const Activation activation = ReadActivation(reader, "hidden_act", "gelu_new");
  for (LayerDescription& layer : config.layers) {
    layer.activation = activation;
  }
  config.norm_epsilon = reader.Number("layer_norm_eps", 1e-5, 0.0, 1.0);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  config.residual_dropout = reader.Number("resid_pdrop", 0.0, 0.0, 1.0);
  config.embedding_dropout = reader.Number("embd_pdrop", 0.0, 0.0, 1.0);
  return config;
}

void WritePhi(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["hidden_act"] = ActivationName(layer.activation);
  WriteSizes(config, json);
  WriteAttention(layer, kPhiAttention, json);
  json["partial_rotary_factor"] =
      static_cast<double>(layer.rotary->dimensions) / static_cast<double>(layer.head_size);
  json["layer_norm_eps"] = config.norm_epsilon;
  json["attention_dropout"] = config.attention_dropout;
  json["resid_pdrop"] = config.residual_dropout;
  json["embd_pdrop"] = config.embedding_dropout;
}

DecoderConfig PhiFromSizes(const v1::ModelShape& shape) {
  DecoderConfig config = SizesOfShape(shape);
  config.tied_embeddings = false;
  DescribePhi(config, LayerOfShape(shape, kPhiAttention.rotary_share));
  return config;
}

}  // namespace

const Family& PhiFamily() {
  static const auto& family = *new Family{
      .name = "phi",
      .class_name = "PhiForCausalLM",
      .file_prefix = "model.",
      .layer_prefix = "layers.",
      .slots = {{Slot::kTokens, {"embed_tokens"}},
                {Slot::kAttentionNorm, {"input_layernorm"}},
                {Slot::kQkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                {Slot::kAttentionOutput, {"self_attn.dense"}},
                {Slot::kUp, {"mlp.fc1"}},
                {Slot::kDown, {"mlp.fc2"}},
                {Slot::kFinalNorm, {"final_layernorm"}},
                {Slot::kHead, {"lm_head"}}},
      .harmless_buffers = {{".self_attn.rotary_emb.inv_freq", HarmlessBuffer::kInverseFrequencies}},
      .initial_deviation = 0.02,  // initializer_range
      .scaled_residual_initialization = false,
      .read = ReadPhi,
      .write = WritePhi,
      .from_shape = PhiFromSizes};
  return family;
}

}  // namespace wattle::models
