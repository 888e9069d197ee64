// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// GPT-2 and DistilGPT2: learned positions, layer norm, one fused projection, GELU. The files keep
// linear layers as [inputs, outputs] (transformers' Conv1D). Radford et al. 2019.
#include "absl/strings/str_cat.h"

#include "models/family.h"
#include "models/shared_fields.h"

namespace wattle::models {
namespace {

constexpr int64_t kDefaultTokenId = 50256;  // "<|endoftext|>", the default of GPT2Config

LayerDescription Layer(int64_t width, int64_t heads, int64_t mlp_width) {
  LayerDescription layer;
  layer.heads = heads;
  layer.kv_heads = heads;
  layer.head_size = width / heads;
  layer.qkv_bias = true;
  layer.attention_output_bias = true;
  layer.mlp_width = mlp_width;
  layer.mlp_bias = true;
  return layer;
}

void RefuseVariants(FieldReader& reader) {
  const std::string activation = reader.Text("activation_function", "gelu_new");
  // Two names of one function.
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    reader.Refuse("activation_function", activation, "gelu_new");
  }
  if (!reader.Flag("scale_attn_weights", true)) {
    reader.Refuse("scale_attn_weights", "false", "true");
  }
  for (const char* field :
       {"scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"}) {
    if (reader.Flag(field, false)) {
      reader.Refuse(field, "true", "false");
    }
  }
}

DecoderConfig ReadGpt2(FieldReader& reader) {
  RefuseVariants(reader);
  DecoderConfig config;
  const int64_t layers = reader.Size("n_layer", std::nullopt);
  config.width = reader.Size("n_embd", std::nullopt);
  const int64_t heads = reader.Size("n_head", std::nullopt);
  config.vocabulary = reader.Size("vocab_size", std::nullopt);
  config.max_positions = reader.Size("n_positions", reader.Size("n_ctx", 1024));
  const int64_t mlp_width = reader.Size("n_inner", 4 * config.width);
  config.learned_positions = true;
  config.norm_epsilon = reader.Number("layer_norm_epsilon", 1e-5, 0.0, 1.0);
  config.tied_embeddings = reader.Flag("tie_word_embeddings", true);
  config.attention_dropout = reader.Number("attn_pdrop", 0.1, 0.0, 1.0);
  config.residual_dropout = reader.Number("resid_pdrop", 0.1, 0.0, 1.0);
  config.embedding_dropout = reader.Number("embd_pdrop", 0.1, 0.0, 1.0);
  ReadTextTokens(reader, kDefaultTokenId, kDefaultTokenId, config);
  if (config.width % heads != 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(reader.file(), ": n_embd: a width of ",
                                                        config.width, " is not divisible by ",
                                                        heads, " heads")));
  }
  config.layers.assign(static_cast<size_t>(layers), Layer(config.width, heads, mlp_width));
  return config;
}

void WriteGpt2(const DecoderConfig& config, nlohmann::ordered_json& json) {
  const LayerDescription& layer = config.layers.front();
  json["activation_function"] = "gelu_new";
  json["vocab_size"] = config.vocabulary;
  json["n_positions"] = config.max_positions;
  json["n_ctx"] = config.max_positions;
  json["n_embd"] = config.width;
  json["n_layer"] = config.layer_count();
  json["n_head"] = layer.heads;
  json["n_inner"] = layer.mlp_width == 4 * config.width ? nlohmann::ordered_json(nullptr)
                                                        : nlohmann::ordered_json(layer.mlp_width);
  json["layer_norm_epsilon"] = config.norm_epsilon;
  json["attn_pdrop"] = config.attention_dropout;
  json["resid_pdrop"] = config.residual_dropout;
  json["embd_pdrop"] = config.embedding_dropout;
  WriteTextTokens(config, json);
  json["tie_word_embeddings"] = config.tied_embeddings;
}

DecoderConfig Gpt2FromSizes(const v1::ModelShape& shape) {
  DecoderConfig config;
  config.width = shape.width();
  config.vocabulary = shape.vocabulary_size();
  config.max_positions = shape.context_length();
  config.learned_positions = true;
  config.tied_embeddings = !shape.untied_head();
  config.attention_dropout = 0.1;
  config.residual_dropout = 0.1;
  config.embedding_dropout = 0.1;
  config.bos_token_id = config.vocabulary - 1;  // where GPT-2 has its one special token
  config.eos_token_id = config.vocabulary - 1;
  const int64_t mlp_width = shape.mlp_width() > 0 ? shape.mlp_width() : 4 * config.width;
  config.layers.assign(static_cast<size_t>(shape.layers()),
                       Layer(config.width, shape.heads(), mlp_width));
  return config;
}

}  // namespace

const Family& Gpt2Family() {
  static const auto& family = *new Family{
      .name = "gpt2",
      .class_name = "GPT2LMHeadModel",
      .file_prefix = "transformer.",
      .layer_prefix = "h.",
      .slots = {{Slot::kTokens, {"wte"}},
                {Slot::kPositions, {"wpe"}},
                {Slot::kAttentionNorm, {"ln_1"}},
                {Slot::kQkv, {"attn.c_attn"}, true},
                {Slot::kAttentionOutput, {"attn.c_proj"}, true},
                {Slot::kMlpNorm, {"ln_2"}},
                {Slot::kUp, {"mlp.c_fc"}, true},
                {Slot::kDown, {"mlp.c_proj"}, true},
                {Slot::kFinalNorm, {"ln_f"}},
                {Slot::kHead, {"lm_head"}}},
      .harmless_buffers = {{".attn.bias", HarmlessBuffer::kCausalMask},
                           {".attn.masked_bias", HarmlessBuffer::kMaskedBias}},
      .initial_deviation = 0.02,  // and the residual scale: Radford et al. 2019, section 2.3
      .scaled_residual_initialization = true,
      .read = ReadGpt2,
      .write = WriteGpt2,
      .from_shape = Gpt2FromSizes};
  return family;
}

}  // namespace wattle::models
