// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Parts that many families share: sizes, heads, rotary positions and activations in config.json,
// and names of tensors in the files. A family's file reads these parts with the functions here and
// adds its own. Values with an error are harmless; the reader keeps the error. Thread-safe.
#ifndef WATTLE_MODELS_SHARED_FIELDS_H_
#define WATTLE_MODELS_SHARED_FIELDS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "nlohmann/json_fwd.hpp"

#include "models/decoder_config.h"
#include "models/family.h"
#include "models/field_reader.h"

namespace wattle::models {

// Defaults of optional fields of a config.json. A token has no default if transformers' default is
// wrong for the family's published models: it is kNoToken until the tokenizer provides it.
struct SizeDefaults {
  int64_t max_positions = 2048;
  std::optional<int64_t> bos_token_id = 1;
  std::optional<int64_t> eos_token_id = 2;
  bool tied_embeddings = false;
};

// bos_token_id and eos_token_id, each a token, a list of tokens or null; config.vocabulary must be
// set. A text begins with the first token of a list and ends with any of them.
void ReadTextTokens(FieldReader& reader, std::optional<int64_t> absent_begin,
                    std::optional<int64_t> absent_end, DecoderConfig& config);
void WriteTextTokens(const DecoderConfig& config, nlohmann::ordered_json& json);

// vocab_size, hidden_size, num_hidden_layers (the layers are empty), max_position_embeddings,
// tie_word_embeddings, bos_token_id, eos_token_id.
[[nodiscard]] DecoderConfig ReadSizes(FieldReader& reader, const SizeDefaults& defaults);
void WriteSizes(const DecoderConfig& config, nlohmann::ordered_json& json);

// Rotary positions: the base, rope_scaling and the share of each head's dimensions, or all three in
// rope_parameters, where transformers 5 writes rope_theta and partial_rotary_factor for every
// family. base, share: names of the two in the family's older files; absent_share: the default of
// share.
struct RotaryFields {
  const char* base = "rope_theta";
  const char* share = "partial_rotary_factor";
  double absent_share = 1.0;
};
struct AttentionDefaults {
  int64_t head_size = 0;     // 0: width / heads
  bool has_head_dim = true;  // whether the family's config.json has head_dim
  bool has_kv_heads = true;  // … and num_key_value_heads
  RotaryFields rotary = {};
};

// num_attention_heads, num_key_value_heads, head_dim; intermediate_size; and the rotary positions.
[[nodiscard]] LayerDescription ReadAttention(FieldReader& reader, int64_t width,
                                             const AttentionDefaults& defaults);
// Writes the same fields; partial_rotary_factor only in a family whose default is not 1.
void WriteAttention(const LayerDescription& layer, const AttentionDefaults& defaults,
                    nlohmann::ordered_json& json);
// The share of each head's dimensions with rotary positions.
[[nodiscard]] double RotaryShare(const LayerDescription& layer);
// The value of rope_scaling; null without scaling.
[[nodiscard]] nlohmann::ordered_json RotaryScalingJson(const Rotary& rotary);

// "silu", "gelu", "gelu_new", "relu" and transformers' other names for these functions.
[[nodiscard]] Activation ReadActivation(FieldReader& reader, const char* field, const char* absent);
// Reads the activation for every layer.
void ReadActivation(FieldReader& reader, const char* field, const char* absent,
                    DecoderConfig& config);
[[nodiscard]] const char* ActivationName(Activation activation);

// layer_norm_eps and attention_dropout, for families with layer norms.
void ReadNormAndDropout(FieldReader& reader, double absent_dropout, DecoderConfig& config);
void WriteNormAndDropout(const DecoderConfig& config, nlohmann::ordered_json& json);

// hidden_act, and the fields of WriteSizes and WriteAttention.
void WriteSizesAndAttention(const DecoderConfig& config, const AttentionDefaults& defaults,
                            nlohmann::ordered_json& json);

// The tensor names of Llama's files. mlp_norm: the name of the norm before the MLP.
[[nodiscard]] std::vector<SlotNames> LlamaSlots(const char* mlp_norm = "post_attention_layernorm");

}  // namespace wattle::models

#endif  // WATTLE_MODELS_SHARED_FIELDS_H_
