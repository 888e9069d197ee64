// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Interprets a ModelShape (profile.proto): the known architectures, the bounds of the sizes, and
// the number of weights. The coordinator's checks, the predictor and the tests of models/ all use
// these functions. Pure; thread-safe.
#ifndef WATTLE_PROTO_MODEL_SHAPE_H_
#define WATTLE_PROTO_MODEL_SHAPE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/profile.pb.h"

namespace wattle {

// The properties of a family of models for code without models/: which workers have the family, and
// its weights beyond the sizes in a shape. models/families has the full description; tests there
// compare both for each family.
struct Architecture {
  absl::string_view name;          // "gpt2", the model_type of config.json
  int revision = 0;                // The first spec revision with the family: see spec_revision.h.
  bool gated_mlp = false;          // The MLP has a third matrix, the gate.
  bool learned_positions = false;  // A table of context_length rows is added to the embedding.
  int learned_offset = 0;          // Additional rows of that table.
  int norm_vectors = 1;            // Vectors of one norm: 1 (a weight), or 2 (a weight and a bias).
  int layer_norms = 2;             // Norms of one layer with the model's width.
  bool inner_norms = false;        // Two more norms, with the width of all heads and of the MLP.
  bool fused_qkv = false;          // Query, key and value are one matrix in the files.
  bool qkv_bias = false;
  bool output_bias = false;  // Bias of attention's last matrix.
  bool mlp_bias = false;
  bool head_bias = false;  // Bias of an untied head.
};

// In the order used in messages of models/.
[[nodiscard]] absl::Span<const Architecture> Architectures();
// nullptr: this version does not have the architecture.
[[nodiscard]] const Architecture* FindArchitecture(absl::string_view name);
// In alphabetical order: "gemma, gemma2, gpt2".
[[nodiscard]] std::string ArchitectureNames();

// Refuses impossible sizes, and architectures that this version lacks. `field`
// ("finetune.model_shape") begins the message. Errors: kUnimplemented for another architecture,
// kInvalidArgument for a size.
absl::Status CheckModelShape(const v1::ModelShape& shape, absl::string_view field);

// The functions below require a shape that passes CheckModelShape.

[[nodiscard]] double MlpWidth(const v1::ModelShape& shape);
// Width of all heads of a layer together.
[[nodiscard]] double AttentionWidth(const v1::ModelShape& shape);
// Heads of keys and values for each head of queries.
[[nodiscard]] double KvShare(const v1::ModelShape& shape);
// Matrices of the MLP that read the stream: 2 with a gate, otherwise 1.
[[nodiscard]] double UpMatrices(const v1::ModelShape& shape);

// All parameters; a head that is tied to the token embedding counts once: 124,439,808 for GPT-2
// Small.
[[nodiscard]] double ParameterCount(const v1::ModelShape& shape);
// The parameters that finetune.last_layers trains: those of the last `layers` layers, the final
// norm, and an untied head.
[[nodiscard]] double LastLayersParameterCount(const v1::ModelShape& shape, double layers);
// Weights of the matrix products that each token passes: the layers' (12 width² each for GPT-2) and
// the head's.
[[nodiscard]] double MatmulParameterCount(const v1::ModelShape& shape);

struct MatrixSize {
  double rows = 0.0;  // output channels
  double columns = 0.0;
};
// The size of a matrix that each token passes, by its name in models/tensors.h
// ("layers.3.qkv.weight"); nullopt: the model has no such matrix.
[[nodiscard]] std::optional<MatrixSize> FindMatrix(const v1::ModelShape& shape,
                                                   absl::string_view tensor);
// Whether the name belongs to the output head, or to the token embedding, which is the head of a
// tied model.
[[nodiscard]] bool IsHeadTensor(absl::string_view tensor);

}  // namespace wattle

#endif  // WATTLE_PROTO_MODEL_SHAPE_H_
