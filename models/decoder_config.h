// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The decoder description: the architecture of a causal language model as data, which lets one
// engine serve every family. A family's file (gpt2.cc, llama.cc) makes a description from a Hugging
// Face config.json; family.h lists the families. Plain values: copy freely.
#ifndef WATTLE_MODELS_DECODER_CONFIG_H_
#define WATTLE_MODELS_DECODER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/safetensors.h"

namespace wattle::v1 {
class ModelShape;
}

namespace wattle::models {

// The maximum of a size in config.json and in a model shape: far above every model, and far below
// the size at which a product of two sizes overflows.
inline constexpr int64_t kSizeMax = 1 << 24;

// In place of a token: none.
inline constexpr int64_t kNoToken = -1;

enum class Norm {
  kLayerNorm,       // mean and variance; weight and bias
  kRmsNorm,         // root mean square; only a weight. Zhang and Sennrich 2019
  kRmsNormPlusOne,  // kRmsNorm with factor 1 + weight, as in Gemma's files
};

enum class Activation {
  kGeluTanh,  // the tanh approximation of GELU, "gelu_new"
  kGeluErf,   // x Φ(x), "gelu"
  kSilu,      // x * sigmoid(x)
  kRelu,      // x if above 0, else 0
};

// How a model scales its rotary angles for sequences longer than those of its first training.
struct RotaryScaling {
  // Every frequency is divided by this …
  double factor = 1.0;
  // … except by wavelength, if the next two are set (Llama 3.1 and later): a wavelength shorter
  // than original_positions / high_frequency_factor stays, one longer than original_positions /
  // low_frequency_factor is divided, and in between the division fades in.
  int64_t original_positions = 0;  // 0: linear
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;

  [[nodiscard]] bool is_linear() const { return original_positions == 0; }
  friend bool operator==(const RotaryScaling&, const RotaryScaling&) = default;
};

// Rotary positions, Su et al. 2021: dimension i and dimension i + dimensions / 2 of a head are
// rotated by position * base^(-2 i / dimensions).
struct Rotary {
  double base = 10000.0;
  int64_t dimensions = 0;  // the first dimensions of each head; even
  std::optional<RotaryScaling> scaling = {};

  // Angle of pair i per position, in radians.
  [[nodiscard]] double Frequency(int64_t i) const;

  friend bool operator==(const Rotary&, const Rotary&) = default;
};

// How a block adds attention and MLP to the residual stream x.
enum class Residual {
  kSequential,       // m = x + attention(norm(x)), then m + mlp(mlp_norm(m))
  kParallel,         // x + attention(norm(x)) + mlp(mlp_norm(x))
  kParallelOneNorm,  // x + attention(norm(x)) + mlp(norm(x)); no mlp_norm
};

struct LayerDescription {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // heads of keys and values; divides `heads`, each serves a group
  int64_t head_size = 0;
  std::optional<Rotary> rotary;
  bool qkv_bias = false;
  bool attention_output_bias = false;
  int64_t window = 0;  // positions visible to a token, including its own; 0: all before it
  double attention_softcap = 0.0;  // scores become cap tanh(score / cap); 0: no cap
  // Queries are divided by the root of this; 0: of head_size.
  double query_pre_attention_scalar = 0.0;

  int64_t mlp_width = 0;  // inner width
  Activation activation = Activation::kGeluTanh;
  bool gated_mlp = false;  // activation(gate x) * (up x) instead of activation(up x)
  bool mlp_bias = false;

  Residual residual = Residual::kSequential;
  // Norms of the heads' output before attention's last matrix, and of the activated MLP before its
  // last matrix (Magneto, Wang et al. 2022).
  bool inner_norms = false;
  // Norms of the outputs of attention and MLP before they are added to the stream (Gemma 2).
  bool post_norms = false;

  // Rows of the matrix that produces query, key and value, and columns of the matrix that takes the
  // heads' output.
  [[nodiscard]] int64_t qkv_rows() const { return (heads + 2 * kv_heads) * head_size; }
  [[nodiscard]] int64_t attention_width() const { return heads * head_size; }
  // Rows of the MLP's first matrix: the rows of gate, then those of up.
  [[nodiscard]] int64_t up_rows() const { return gated_mlp ? 2 * mlp_width : mlp_width; }
  // Whether several query heads share the keys and values of one head.
  [[nodiscard]] bool shares_keys() const { return heads > kv_heads; }
  [[nodiscard]] double query_scale() const;  // factor of the queries

  friend bool operator==(const LayerDescription&, const LayerDescription&) = default;
};

struct DecoderConfig {
  std::string family;         // as in config.json's model_type: "gpt2", "llama"
  int64_t width = 0;          // of the residual stream
  int64_t vocabulary = 0;     // rows of the token embedding
  int64_t max_positions = 0;  // longest sequence, in tokens
  std::vector<LayerDescription> layers;
  bool learned_positions = false;  // a table of max_positions rows is added to the embedding
  int64_t learned_offset = 0;      // extra rows of that table before the row of the first position
  // If set, a fixed table is added: sines and cosines of position + this
  // (worker/engine/models/positions.h).
  std::optional<int64_t> sinusoidal_offset;
  double embedding_scale = 1.0;  // factor of the embedding, excluding positions
  Norm norm = Norm::kLayerNorm;  // of every norm in the model
  double norm_epsilon = 1e-5;
  bool tied_embeddings = true;  // the output head is the token embedding
  bool head_bias = false;       // of an untied head
  double logit_softcap = 0.0;   // logits become cap tanh(logit / cap); 0: no cap

  // Dropout probabilities in training, in [0, 1).
  double attention_dropout = 0.0;
  double residual_dropout = 0.0;
  double embedding_dropout = 0.0;

  // kNoToken if config.json has none; InspectModelDirectory then uses the tokenizer's.
  int64_t bos_token_id = 0;
  int64_t eos_token_id = 0;
  std::vector<int64_t> more_eos_token_ids;  // further tokens that end a text

  // Whether the token ends a text.
  [[nodiscard]] bool ends_text(int64_t token) const;
  [[nodiscard]] int64_t layer_count() const { return static_cast<int64_t>(layers.size()); }
  // Number of trainable parameters; a tied head counts once.
  [[nodiscard]] int64_t parameter_count() const;

  friend bool operator==(const DecoderConfig&, const DecoderConfig&) = default;
};

// Parses the text of a config.json. file: name for messages.
// Errors: kInvalidArgument (not JSON, a field missing, of another type or out of range: with the
// field and the expected value); kUnimplemented "... not supported in this version ..." for another
// model_type or a variant that the engine does not have.
absl::StatusOr<DecoderConfig> ParseDecoderConfig(absl::string_view json, absl::string_view file);
absl::StatusOr<DecoderConfig> ReadDecoderConfig(const std::string& path);

// Adds tokens that end a text. The first one becomes eos_token_id if none was set.
void AddEndTokens(const std::vector<int64_t>& tokens, DecoderConfig& config);

// The text of a config.json that transformers loads; equal values give equal bytes. stored_type:
// the type of the weights beside the file ("torch_dtype").
[[nodiscard]] std::string FormatDecoderConfig(
    const DecoderConfig& config, formats::DataType stored_type = formats::DataType::kF32);

// To and from the sizes in profiles and plans. A shape has no dropout, epsilon, biases or token
// ids: FromShape takes the family's defaults. ToShape omits fields that equal their defaults.
// Errors: kInvalidArgument for a size out of range, kUnimplemented for another architecture.
[[nodiscard]] v1::ModelShape ToShape(const DecoderConfig& config);
absl::StatusOr<DecoderConfig> FromShape(const v1::ModelShape& shape);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_DECODER_CONFIG_H_
