// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Llama and what has its form (TinyLlama, Orca 2, SOLAR): RMSNorm, rotary positions in halves,
// grouped KV heads, gated SiLU, an output head of its own. Touvron et al. 2023.
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "models/family.h"

namespace wattle::models {
namespace {

struct LayerSizes {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_size = 0;
  int64_t mlp_width = 0;
  double rotary_base = 10000.0;
};

LayerDescription Layer(const LayerSizes& sizes) {
  LayerDescription layer;
  layer.heads = sizes.heads;
  layer.kv_heads = sizes.kv_heads;
  layer.head_size = sizes.head_size;
  layer.rotary = Rotary{.base = sizes.rotary_base, .dimensions = sizes.head_size};
  layer.mlp_width = sizes.mlp_width;
  layer.activation = Activation::kSilu;
  layer.gated_mlp = true;
  return layer;
}

void CheckSizes(FieldReader& reader, int64_t width, const LayerSizes& sizes) {
  if (!reader.Has("head_dim") && width % sizes.heads != 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(reader.file(), ": hidden_size: a width of ",
                                                        width, " is not divisible by ", sizes.heads,
                                                        " heads, and there is no head_dim")));
  }
  if (sizes.heads % sizes.kv_heads != 0) {
    reader.Fail(absl::InvalidArgumentError(
        absl::StrCat(reader.file(), ": num_key_value_heads: ", sizes.kv_heads,
                     " does not divide num_attention_heads ", sizes.heads)));
  }
  if (sizes.head_size % 2 != 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(
        reader.file(), ": head_dim: ", sizes.head_size, " is odd; rotary positions turn pairs")));
  }
}

DecoderConfig Read(FieldReader& reader) {
  const std::string activation = reader.Text("hidden_act", "silu");
  if (activation != "silu") {
    reader.Refuse("hidden_act", activation, "silu");
  }
  if (reader.Has("rope_scaling")) {
    reader.Refuse("rope_scaling", "that is not null", "null");
  }
  DecoderConfig config;
  const int64_t layers = reader.Size("num_hidden_layers", std::nullopt);
  config.width = reader.Size("hidden_size", std::nullopt);
  config.vocabulary = reader.Size("vocab_size", std::nullopt);
  config.max_positions = reader.Size("max_position_embeddings", 2048);
  LayerSizes sizes;
  sizes.heads = reader.Size("num_attention_heads", std::nullopt);
  sizes.kv_heads = reader.Size("num_key_value_heads", sizes.heads);
  sizes.head_size = reader.Size("head_dim", std::max<int64_t>(1, config.width / sizes.heads));
  sizes.mlp_width = reader.Size("intermediate_size", std::nullopt);
  sizes.rotary_base = reader.Number("rope_theta", 10000.0, 1.0, 1e12);
  CheckSizes(reader, config.width, sizes);
  config.norm = Norm::kRmsNorm;
  config.norm_epsilon = reader.Number("rms_norm_eps", 1e-6, 0.0, 1.0);
  config.tied_embeddings = reader.Flag("tie_word_embeddings", false);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  config.bos_token_id = reader.TokenId("bos_token_id", 1, config.vocabulary);
  config.eos_token_id = reader.TokenId("eos_token_id", 2, config.vocabulary);
  LayerDescription layer = Layer(sizes);
  layer.qkv_bias = reader.Flag("attention_bias", false);
  layer.attention_output_bias = layer.qkv_bias;
  layer.mlp_bias = reader.Flag("mlp_bias", false);
  config.layers.assign(static_cast<size_t>(layers), layer);
  return config;
}

void Write(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["hidden_act"] = "silu";
  json["vocab_size"] = config.vocabulary;
  json["max_position_embeddings"] = config.max_positions;
  json["hidden_size"] = config.width;
  json["num_hidden_layers"] = config.layer_count();
  json["num_attention_heads"] = layer.heads;
  json["num_key_value_heads"] = layer.kv_heads;
  json["head_dim"] = layer.head_size;
  json["intermediate_size"] = layer.mlp_width;
  json["rms_norm_eps"] = config.norm_epsilon;
  json["rope_theta"] = layer.rotary->base;
  json["rope_scaling"] = nullptr;
  json["attention_bias"] = layer.qkv_bias;
  json["mlp_bias"] = layer.mlp_bias;
  json["attention_dropout"] = config.attention_dropout;
  json["bos_token_id"] = config.bos_token_id;
  json["eos_token_id"] = config.eos_token_id;
  json["tie_word_embeddings"] = config.tied_embeddings;
}

DecoderConfig FromSizes(const v1::ModelShape& shape) {
  DecoderConfig config;
  config.width = shape.width();
  config.vocabulary = shape.vocabulary_size();
  config.max_positions = shape.context_length();
  config.norm = Norm::kRmsNorm;
  config.tied_embeddings = !shape.untied_head();
  config.bos_token_id = std::min<int64_t>(1, config.vocabulary - 1);
  config.eos_token_id = std::min<int64_t>(2, config.vocabulary - 1);
  config.layers.assign(
      static_cast<size_t>(shape.layers()),
      Layer({.heads = shape.heads(),
             .kv_heads = shape.kv_heads() > 0 ? shape.kv_heads() : shape.heads(),
             .head_size = shape.head_size() > 0 ? shape.head_size() : config.width / shape.heads(),
             .mlp_width = shape.mlp_width() > 0 ? shape.mlp_width() : 4 * config.width}));
  return config;
}

}  // namespace

const Family& LlamaFamily() {
  static const auto& family = *new Family{
      .name = "llama",
      .class_name = "LlamaForCausalLM",
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
      .initial_deviation = 0.02,  // LlamaConfig's initializer_range
      .scaled_residual_initialization = false,
      .read = Read,
      .write = Write,
      .from_shape = FromSizes};
  return family;
}

}  // namespace wattle::models
