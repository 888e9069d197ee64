// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// StableLM 2: the form of Llama with layer norms and rotary positions on a quarter of each head.
// Bellagente et al. 2024.
#include "models/family.h"
#include "models/shared_fields.h"

namespace wattle::models {
namespace {

constexpr AttentionDefaults kStableLmAttention = {.has_head_dim = false, .rotary_share = 0.25};

void DescribeStableLm(DecoderConfig& config, LayerDescription layer) {
  layer.activation = Activation::kSilu;
  layer.gated_mlp = true;
  config.layers.assign(config.layers.size(), layer);
}

DecoderConfig ReadStableLm(FieldReader& reader) {
  DecoderConfig config = ReadSizes(
      reader, {.max_positions = 4096, .bos_token_id = std::nullopt, .eos_token_id = std::nullopt});
  if (reader.Flag("qk_layernorm", false)) {
    reader.Refuse("qk_layernorm", "true", "false");
  }
  // transformers drops the MLP's output alone, which no model was trained with.
  if (reader.Number("hidden_dropout", 0.0, 0.0, 1.0) > 0.0) {
    reader.Refuse("hidden_dropout", "above 0", "0");
  }
  DescribeStableLm(config, ReadAttention(reader, config.width, kStableLmAttention));
  const Activation activation = ReadActivation(reader, "hidden_act", "silu");
  const bool bias = reader.Flag("use_qkv_bias", false);
  const bool parallel = reader.Flag("use_parallel_residual", false);
  for (LayerDescription& layer : config.layers) {
    layer.activation = activation;
    layer.qkv_bias = bias;
    layer.residual = parallel ? Residual::kParallelOneNorm : Residual::kSequential;
  }
  config.norm_epsilon = reader.Number("layer_norm_eps", 1e-5, 0.0, 1.0);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  return config;
}

void WriteStableLm(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["hidden_act"] = ActivationName(layer.activation);
  WriteSizes(config, json);
  WriteAttention(layer, kStableLmAttention, json);
  json["partial_rotary_factor"] =
      static_cast<double>(layer.rotary->dimensions) / static_cast<double>(layer.head_size);
  json["use_qkv_bias"] = layer.qkv_bias;
  json["use_parallel_residual"] = layer.residual == Residual::kParallelOneNorm;
  json["layer_norm_eps"] = config.norm_epsilon;
  json["attention_dropout"] = config.attention_dropout;
}

DecoderConfig StableLmFromSizes(const v1::ModelShape& shape) {
  DecoderConfig config = SizesOfShape(shape);
  DescribeStableLm(config, LayerOfShape(shape, kStableLmAttention.rotary_share));
  return config;
}

}  // namespace

const Family& StableLmFamily() {
  static const auto& family = *new Family{
      .name = "stablelm",
      .class_name = "StableLmForCausalLM",
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
      .initial_deviation = 0.02,  // initializer_range
      .scaled_residual_initialization = false,
      .read = ReadStableLm,
      .write = WriteStableLm,
      .from_shape = StableLmFromSizes};
  return family;
}

}  // namespace wattle::models
