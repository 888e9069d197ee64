// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The decoder description: what a causal language model's architecture is, as data, so that one
// engine serves every family. It is read from a Hugging Face config.json. Only the GPT-2 family
// (GPT-2, DistilGPT2) is supported in this version, and only what that family needs is a field
// here; another family adds enumerators and fields, never a copy of the engine. Plain values: copy
// freely.
#ifndef WATTLE_FORMATS_DECODER_CONFIG_H_
#define WATTLE_FORMATS_DECODER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/safetensors.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::formats {

enum class NormKind { kLayerNorm };    // mean and variance, weight and bias
enum class PositionKind { kLearned };  // a table of max_positions rows
enum class MlpKind { kGeluTanh };      // up, tanh-approximated GELU ("gelu_new"), down
enum class ResidualKind { kSequentialPreNorm };
enum class QkvLayout { kFusedConv1d };  // one [width, 3 * width] matrix: query, key, value columns

struct DecoderConfig {
  // Sizes, each ≥ 1.
  int64_t layers = 0;
  int64_t width = 0;  // of the residual stream; divisible by heads
  int64_t heads = 0;
  int64_t mlp_width = 0;      // inner width of the MLP; 4 * width where config.json says null
  int64_t vocabulary = 0;     // rows of the token embedding
  int64_t max_positions = 0;  // longest sequence

  NormKind norm = NormKind::kLayerNorm;
  PositionKind positions = PositionKind::kLearned;
  MlpKind mlp = MlpKind::kGeluTanh;
  ResidualKind residual = ResidualKind::kSequentialPreNorm;
  QkvLayout qkv = QkvLayout::kFusedConv1d;

  double norm_epsilon = 1e-5;
  bool tied_embeddings = true;  // the output head is the token embedding

  // Dropout probabilities in training, in [0, 1).
  double attention_dropout = 0.1;
  double residual_dropout = 0.1;
  double embedding_dropout = 0.1;

  int64_t bos_token_id = 0;
  int64_t eos_token_id = 0;

  [[nodiscard]] int64_t head_size() const { return width / heads; }
  // Trainable numbers; a tied head counts once.
  [[nodiscard]] int64_t parameter_count() const;

  friend bool operator==(const DecoderConfig&, const DecoderConfig&) = default;
};

// Parses the text of a config.json. file: name for messages.
// Errors: kInvalidArgument (not JSON, a field missing, of another type or out of range: names the
// field and what was wanted); kUnimplemented "... not supported in this version ..." for another
// model_type, activation or attention variant.
absl::StatusOr<DecoderConfig> ParseDecoderConfig(absl::string_view json, absl::string_view file);
absl::StatusOr<DecoderConfig> ReadDecoderConfig(const std::string& path);

// The text of a config.json that transformers loads as GPT2LMHeadModel; the same bytes for the same
// value. stored_type: of the weights beside it ("torch_dtype").
[[nodiscard]] std::string FormatDecoderConfig(const DecoderConfig& config,
                                              DataType stored_type = DataType::kF32);

// The tensors that a checkpoint must hold, by the names of a Hugging Face GPT2Model ("wte.weight",
// "h.0.ln_1.weight", … "ln_f.bias", and "lm_head.weight" where the head is not tied), in file
// order. type: the one given. Linear layers are Conv1D: [in, out].
[[nodiscard]] std::vector<TensorDescription> CheckpointTensors(const DecoderConfig& config,
                                                               DataType type = DataType::kF32);

// Whether int8 quantization applies to it: the matrices of the blocks, and the head (tied: the
// token embedding).
[[nodiscard]] bool IsLinearWeight(const DecoderConfig& config,
                                  absl::string_view checkpoint_tensor_name);

// To and from the sizes that profiles and plans carry. A shape has no MLP width, dropout, epsilon
// or token ids: FromShape takes 4 * width, a tied head, and the defaults. Errors: kInvalidArgument
// for a size out of range, kUnimplemented for another architecture.
[[nodiscard]] v1::ModelShape ToShape(const DecoderConfig& config);
absl::StatusOr<DecoderConfig> FromShape(const v1::ModelShape& shape);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_DECODER_CONFIG_H_
