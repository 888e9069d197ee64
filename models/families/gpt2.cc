// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// GPT-2 and DistilGPT2: learned positions, layer norm, one fused projection, GELU. The files store
// linear layers as [inputs, outputs] (transformers' Conv1D). Radford et al. 2019.
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "models/family.h"
#include "models/gguf_keys_internal.h"
#include "models/shared_fields.h"

namespace wattle::models::gpt2 {
namespace {

constexpr int64_t kDefaultTokenId = 50256;  // "<|endoftext|>", the default of GPT2Config
constexpr double kDropout = 0.1;

void Describe(DecoderConfig& config, LayerDescription layer) {
  config.learned_positions = true;
  config.attention_dropout = config.residual_dropout = config.embedding_dropout = kDropout;
  // GPT-2's one special token.
  config.bos_token_id = config.eos_token_id = config.vocabulary - 1;
  layer.kv_heads = layer.heads;
  layer.head_size = config.width / layer.heads;
  layer.rotary.reset();
  layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = true;
  config.layers.assign(config.layers.size(), layer);
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

DecoderConfig Read(FieldReader& reader) {
  RefuseVariants(reader);
  DecoderConfig config;
  LayerDescription layer;
  config.layers.resize(static_cast<size_t>(reader.Size("n_layer", std::nullopt)));
  config.width = reader.Size("n_embd", std::nullopt);
  layer.heads = reader.Size("n_head", std::nullopt);
  config.vocabulary = reader.Size("vocab_size", std::nullopt);
  config.max_positions = reader.Size("n_positions", reader.Size("n_ctx", 1024));
  layer.mlp_width = reader.Size("n_inner", 4 * config.width);
  Describe(config, layer);
  config.norm_epsilon = reader.Number("layer_norm_epsilon", 1e-5, 0.0, 1.0);
  config.tied_embeddings = reader.Flag("tie_word_embeddings", true);
  config.attention_dropout = reader.Number("attn_pdrop", kDropout, 0.0, 1.0);
  config.residual_dropout = reader.Number("resid_pdrop", kDropout, 0.0, 1.0);
  config.embedding_dropout = reader.Number("embd_pdrop", kDropout, 0.0, 1.0);
  ReadTextTokens(reader, kDefaultTokenId, kDefaultTokenId, config);
  if (config.width % layer.heads != 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(reader.file(), ": n_embd: a width of ",
                                                        config.width, " is not divisible by ",
                                                        layer.heads, " heads")));
  }
  return config;
}

void Write(const DecoderConfig& config, nlohmann::ordered_json& json) {
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

nlohmann::ordered_json ReadMetadata(MetadataReader& reader) {
  return {{"n_embd", reader.Size(kEmbeddingLength)},
          {"n_layer", reader.Size(kBlockCount)},
          {"n_positions", reader.Size(kContextLength)},
          {"n_head", reader.Size(kHeadCount)},
          {"n_inner", reader.Size(kFeedForwardLength)},
          {"layer_norm_epsilon", reader.Number(kNormEpsilon, std::nullopt)},
          {"tie_word_embeddings", reader.facts().tied}};
}

}  // namespace

std::vector<Family> Families() {
  return {{.name = "gpt2",
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
           .scaled_residual_initialization = true,  // Radford et al. 2019, section 2.3
           .read = Read,
           .write = Write,
           .describe = Describe,
           .gguf = GgufForm{.architecture = "gpt2", .read = ReadMetadata}}};
}

}  // namespace wattle::models::gpt2
