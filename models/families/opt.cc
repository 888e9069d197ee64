// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// OPT: layer norms before attention and MLP, learned positions whose table has two rows before the
// first token's, ReLU, a bias in every linear layer except the head. Zhang et al. 2022.
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/shared_fields.h"

namespace wattle::models::opt {
namespace {

constexpr double kDropout = 0.1;
// fairseq counts positions from the one after the padding token's id, which is 1.
constexpr int64_t kLearnedOffset = 2;
// Default of OPTConfig: "</s>" begins and ends a text.
constexpr SizeDefaults kSizes = {.bos_token_id = 2, .eos_token_id = 2, .tied_embeddings = true};

void Describe(DecoderConfig& config, LayerDescription layer) {
  config.learned_positions = true;
  config.learned_offset = kLearnedOffset;
  config.residual_dropout = kDropout;
  layer.kv_heads = layer.heads;
  layer.head_size = config.width / layer.heads;
  layer.rotary.reset();
  layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = true;
  layer.activation = Activation::kRelu;
  config.layers.assign(config.layers.size(), layer);
}

void RefuseVariants(FieldReader& reader, int64_t width) {
  for (const char* field :
       {"do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine"}) {
    if (!reader.Flag(field, true)) {
      reader.Refuse(field, "false", "true");
    }
  }
  if (reader.Flag("_remove_final_layer_norm", false)) {
    reader.Refuse("_remove_final_layer_norm", "true", "false");
  }
  if (const int64_t size = reader.Size("word_embed_proj_dim", width); size != width) {
    reader.Refuse("word_embed_proj_dim", absl::StrCat(size),
                  absl::StrCat("that of hidden_size, ", width));
  }
  if (reader.Number("layerdrop", 0.0, 0.0, 1.0) > 0.0) {
    reader.Refuse("layerdrop", "above 0", "0");
  }
}

DecoderConfig Read(FieldReader& reader) {
  DecoderConfig config = ReadSizes(reader, kSizes);
  RefuseVariants(reader, config.width);
  LayerDescription layer;
  layer.heads = reader.Size("num_attention_heads", std::nullopt);
  layer.mlp_width = reader.Size("ffn_dim", std::nullopt);
  if (config.width % layer.heads != 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(reader.file(), ": hidden_size: a width of ",
                                                        config.width, " is not divisible by ",
                                                        layer.heads, " heads")));
  }
  Describe(config, layer);
  ReadActivation(reader, "activation_function", "relu", config);
  config.attention_dropout = reader.Number("attention_dropout", 0.0, 0.0, 1.0);
  config.residual_dropout = reader.Number("dropout", kDropout, 0.0, 1.0);
  return config;
}

void Write(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["activation_function"] = ActivationName(layer.activation);
  WriteSizes(config, json);
  json["word_embed_proj_dim"] = config.width;
  json["num_attention_heads"] = layer.heads;
  json["ffn_dim"] = layer.mlp_width;
  json["attention_dropout"] = config.attention_dropout;
  json["dropout"] = config.residual_dropout;
}

}  // namespace

std::vector<Family> Families() {
  return {{.name = "opt",
           .class_name = "OPTForCausalLM",
           .layer_prefix = "decoder.layers.",
           .slots = {{Slot::kTokens, {"decoder.embed_tokens"}},
                     {Slot::kPositions, {"decoder.embed_positions"}},
                     {Slot::kAttentionNorm, {"self_attn_layer_norm"}},
                     {Slot::kQkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                     {Slot::kAttentionOutput, {"self_attn.out_proj"}},
                     {Slot::kMlpNorm, {"final_layer_norm"}},
                     {Slot::kUp, {"fc1"}},
                     {Slot::kDown, {"fc2"}},
                     {Slot::kFinalNorm, {"decoder.final_layer_norm"}},
                     {Slot::kHead, {"lm_head"}}},
           .read = Read,
           .write = Write,
           .describe = Describe}};
}

}  // namespace wattle::models::opt
