// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fields of config.json that mean the same in many families: sizes, heads, rotary positions, names
// of activations. A family's file reads with them and adds its own. Values with an error are
// harmless; the reader keeps the error. Thread-safe.
#ifndef WATTLE_MODELS_SHARED_FIELDS_H_
#define WATTLE_MODELS_SHARED_FIELDS_H_

#include <cstdint>
#include <optional>

#include "nlohmann/json.hpp"

#include "models/decoder_config.h"
#include "models/field_reader.h"

namespace wattle::models {

// What a config.json may leave out. A token without a default is one whose default in transformers
// is no such token for the family's published models: kNoToken until the tokenizer tells it.
struct SizeDefaults {
  int64_t max_positions = 2048;
  std::optional<int64_t> bos_token_id = 1;
  std::optional<int64_t> eos_token_id = 2;
  bool tied_embeddings = false;
};

// bos_token_id and eos_token_id, each a token, a list of them or null; config.vocabulary is set. A
// text begins with the first of a list and ends with any of it.
void ReadTextTokens(FieldReader& reader, std::optional<int64_t> absent_begin,
                    std::optional<int64_t> absent_end, DecoderConfig& config);
void WriteTextTokens(const DecoderConfig& config, nlohmann::ordered_json& json);

// vocab_size, hidden_size, num_hidden_layers (the layers are empty), max_position_embeddings,
// tie_word_embeddings, bos_token_id, eos_token_id.
[[nodiscard]] DecoderConfig ReadSizes(FieldReader& reader, const SizeDefaults& defaults);
void WriteSizes(const DecoderConfig& config, nlohmann::ordered_json& json);

struct AttentionDefaults {
  int64_t head_size = 0;      // 0: width / heads
  bool has_head_dim = true;   // whether the family's config.json has the field head_dim
  double rotary_share = 1.0;  // of each head's dimensions, partial_rotary_factor
};

// num_attention_heads, num_key_value_heads, head_dim; intermediate_size; and what ReadRotary reads.
[[nodiscard]] LayerDescription ReadAttention(FieldReader& reader, int64_t width,
                                             const AttentionDefaults& defaults);
// The same but for partial_rotary_factor, which only some families write.
void WriteAttention(const LayerDescription& layer, const AttentionDefaults& defaults,
                    nlohmann::ordered_json& json);
// Rotary positions: the base, rope_scaling and the share of each head's dimensions, or all three in
// rope_parameters, where transformers 5 writes rope_theta and partial_rotary_factor for every
// family. base, share: what the family's older files call the two; absent_share: without the field.
struct RotaryFields {
  const char* base = "rope_theta";
  const char* share = "partial_rotary_factor";
  double absent_share = 1.0;
};
[[nodiscard]] Rotary ReadRotary(FieldReader& reader, int64_t head_size, const RotaryFields& names);
// What rope_scaling is written as; null without one.
[[nodiscard]] nlohmann::ordered_json RotaryScalingJson(const Rotary& rotary);

// "silu", "gelu", "gelu_new" and the other names of transformers for these functions.
[[nodiscard]] Activation ReadActivation(FieldReader& reader, const char* field, const char* absent);
[[nodiscard]] const char* ActivationName(Activation activation);

// A description of a shape's sizes; token ids are 1 and 2 where the vocabulary has them.
[[nodiscard]] DecoderConfig SizesOfShape(const v1::ModelShape& shape);
[[nodiscard]] LayerDescription LayerOfShape(const v1::ModelShape& shape, double rotary_share);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_SHARED_FIELDS_H_
