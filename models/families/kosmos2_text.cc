// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The text decoder of KOSMOS-2: layer norms before and inside attention and MLP, fixed sinusoidal
// positions, an embedding multiplied by √width. Peng et al. 2023. The whole model's directory also
// has a vision tower; to save only the text decoder, use transformers'
// `Kosmos2ForConditionalGeneration.from_pretrained(...).text_model.save_pretrained(...)`.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/shared_fields.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models::kosmos2_text {
namespace {

constexpr int64_t kPadTokenId = 1;
// transformers applies dropout to the embedding twice.
constexpr int kEmbeddingDrops = 2;

void Describe(DecoderConfig& config, LayerDescription layer) {
  config.sinusoidal_offset = kPadTokenId + 1;
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  layer.rotary.reset();
  layer.kv_heads = layer.heads;
  layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = true;
  layer.activation = Activation::kGeluErf;
  layer.inner_norms = true;
  config.layers.assign(config.layers.size(), layer);
}

void RefuseVariants(FieldReader& reader) {
  for (const char* field : {"activation_dropout", "layerdrop"}) {
    if (reader.Number(field, 0.0, 0.0, 1.0) > 0.0) {
      reader.Refuse(field, "above 0", "0");
    }
  }
  if (reader.Flag("add_cross_attention", false)) {
    reader.Refuse("add_cross_attention", "true", "false");
  }
}

DecoderConfig Read(FieldReader& reader) {
  RefuseVariants(reader);
  DecoderConfig config;
  config.layers.resize(static_cast<size_t>(reader.Size("layers", std::nullopt)));
  config.width = reader.Size("embed_dim", std::nullopt);
  config.vocabulary = reader.Size("vocab_size", std::nullopt);
  config.max_positions = reader.Size("max_position_embeddings", 2048);
  config.tied_embeddings = reader.Flag("tie_word_embeddings", true);
  ReadTextTokens(reader, 0, 2, config);
  LayerDescription layer;
  layer.heads = reader.Size("attention_heads", std::nullopt);
  layer.head_size = config.width / layer.heads;
  layer.mlp_width = reader.Size("ffn_dim", std::nullopt);
  if (config.width % layer.heads != 0 || config.width % 2 != 0 || config.width < 4) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(
        reader.file(), ": embed_dim: ", config.width,
        ": wants an even width from 4 on, divisible by attention_heads ", layer.heads)));
  }
  Describe(config, layer);
  config.sinusoidal_offset = reader.TokenId("pad_token_id", kPadTokenId, config.vocabulary) + 1;
  if (!reader.Flag("scale_embedding", true)) {
    config.embedding_scale = 1.0;
  }
  ReadActivation(reader, "activation_function", "gelu", config);
  ReadNormAndDropout(reader, 0.1, config);
  config.residual_dropout = reader.Number("dropout", 0.1, 0.0, 1.0);
  config.embedding_dropout = 1.0 - std::pow(1.0 - config.residual_dropout, kEmbeddingDrops);
  return config;
}

void Write(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["activation_function"] = ActivationName(layer.activation);
  json["vocab_size"] = config.vocabulary;
  json["max_position_embeddings"] = config.max_positions;
  json["embed_dim"] = config.width;
  json["layers"] = config.layer_count();
  json["attention_heads"] = layer.heads;
  json["ffn_dim"] = layer.mlp_width;
  json["scale_embedding"] = config.embedding_scale != 1.0;
  WriteNormAndDropout(config, json);
  json["dropout"] = config.residual_dropout;
  json["pad_token_id"] = *config.sinusoidal_offset - 1;
  WriteTextTokens(config, json);
  json["tie_word_embeddings"] = config.tied_embeddings;
}

}  // namespace

std::vector<Family> Families() {
  return {
      {.name = "kosmos_2_text_model",
       .class_name = "Kosmos2TextForCausalLM",
       .slots = {{Slot::kTokens, {"embed_tokens"}},
                 {Slot::kAttentionNorm, {"self_attn_layer_norm"}},
                 {Slot::kQkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                 {Slot::kAttentionInnerNorm, {"self_attn.inner_attn_ln"}},
                 {Slot::kAttentionOutput, {"self_attn.out_proj"}},
                 {Slot::kMlpNorm, {"final_layer_norm"}},
                 {Slot::kUp, {"ffn.fc1"}},
                 {Slot::kMlpInnerNorm, {"ffn.ffn_layernorm"}},
                 {Slot::kDown, {"ffn.fc2"}},
                 {Slot::kFinalNorm, {"layer_norm"}},
                 {Slot::kHead, {"lm_head"}}},
       .whole_model =
           WholeModel{.model_type = "kosmos-2",
                      .remedy = "save its text decoder alone with Kosmos2ForConditionalGeneration"
                                ".from_pretrained(...).text_model.save_pretrained(DIRECTORY) "
                                "and put a BPE tokenizer there"},
       .read = Read,
       .write = Write,
       .describe = Describe}};
}

}  // namespace wattle::models::kosmos2_text
