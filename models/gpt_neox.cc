// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// GPT-NeoX, Pythia and Dolly v2: attention and MLP side by side, each behind a layer norm of its
// own, rotary positions on a share of each head, and one projection whose rows stand head by head.
// Black et al. 2022.
#include "absl/strings/str_cat.h"

#include "models/family.h"
#include "models/shared_fields.h"

namespace wattle::models {
namespace {

constexpr double kRotaryShare = 0.25;

void DescribeGptNeox(DecoderConfig& config, LayerDescription layer) {
  layer.residual = Residual::kParallel;
  layer.activation = Activation::kGeluErf;
  layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = true;
  config.layers.assign(config.layers.size(), layer);
}

LayerDescription ReadLayer(FieldReader& reader, int64_t width) {
  LayerDescription layer;
  layer.heads = layer.kv_heads = reader.Size("num_attention_heads", std::nullopt);
  layer.mlp_width = reader.Size("intermediate_size", std::nullopt);
  layer.head_size = width / layer.heads;
  if (width % layer.heads != 0) {
    reader.Fail(
        absl::InvalidArgumentError(absl::StrCat(reader.file(), ": hidden_size: a width of ", width,
                                                " is not divisible by ", layer.heads, " heads")));
  }
  layer.rotary =
      ReadRotary(reader, layer.head_size,
                 {.base = "rotary_emb_base", .share = "rotary_pct", .absent_share = kRotaryShare});
  return layer;
}

DecoderConfig ReadGptNeox(FieldReader& reader) {
  DecoderConfig config = ReadSizes(reader, {.bos_token_id = 0, .eos_token_id = std::nullopt});
  DescribeGptNeox(config, ReadLayer(reader, config.width));
  const Activation activation = ReadActivation(reader, "hidden_act", "gelu");
  const bool parallel = reader.Flag("use_parallel_residual", true);
  const bool bias = reader.Flag("attention_bias", true);
  for (LayerDescription& layer : config.layers) {
    layer.activation = activation;
    layer.residual = parallel ? Residual::kParallel : Residual::kSequential;
    layer.qkv_bias = layer.attention_output_bias = bias;
  }
  config.norm_epsilon = reader.Number("layer_norm_eps", 1e-5, 0.0, 1.0);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  config.residual_dropout = reader.Number("hidden_dropout", 0.0, 0.0, 1.0);
  config.embedding_dropout = config.residual_dropout;
  return config;
}

void WriteGptNeox(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["hidden_act"] = ActivationName(layer.activation);
  WriteSizes(config, json);
  json["num_attention_heads"] = layer.heads;
  json["intermediate_size"] = layer.mlp_width;
  json["rotary_pct"] =
      static_cast<double>(layer.rotary->dimensions) / static_cast<double>(layer.head_size);
  json["rotary_emb_base"] = layer.rotary->base;
  json["rope_scaling"] = RotaryScalingJson(*layer.rotary);
  json["use_parallel_residual"] = layer.residual == Residual::kParallel;
  json["attention_bias"] = layer.qkv_bias;
  json["layer_norm_eps"] = config.norm_epsilon;
  json["attention_dropout"] = config.attention_dropout;
  json["hidden_dropout"] = config.residual_dropout;
}

DecoderConfig GptNeoxFromSizes(const v1::ModelShape& shape) {
  DecoderConfig config = SizesOfShape(shape);
  LayerDescription layer = LayerOfShape(shape, kRotaryShare);
  layer.kv_heads = layer.heads;
  DescribeGptNeox(config, layer);
  return config;
}

}  // namespace

const Family& GptNeoxFamily() {
  static const auto& family = *new Family{
      .name = "gpt_neox",
      .class_name = "GPTNeoXForCausalLM",
      .file_prefix = "gpt_neox.",
      .layer_prefix = "layers.",
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
                           {".attention.rotary_emb.inv_freq", HarmlessBuffer::kInverseFrequencies}},
      .initial_deviation = 0.02,  // initializer_range
      .scaled_residual_initialization = false,
      .read = ReadGptNeox,
      .write = WriteGptNeox,
      .from_shape = GptNeoxFromSizes};
  return family;
}

}  // namespace wattle::models
