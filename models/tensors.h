// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of a decoder: the engine's form of each, and the tensors of a Hugging Face file that
// make it up. Every matrix of the engine is [outputs, inputs]; query, key and value are one matrix,
// and so are a gated MLP's gate and up. Plain values.
#ifndef WATTLE_MODELS_TENSORS_H_
#define WATTLE_MODELS_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "formats/safetensors.h"
#include "models/decoder_config.h"

namespace wattle::models {

inline constexpr int64_t kFloatBytes = 4;  // of an FP32 number

// The places of a decoder that hold weights.
enum class Slot {
  kTokens,         // the token embedding, and the head if the two are tied
  kPositions,      // learned positions
  kAttentionNorm,  // in a layer, like the next nine
  kQkv,            // rows: query, key, value
  kAttentionInnerNorm,
  kAttentionOutput,
  kAttentionPostNorm,
  kMlpNorm,
  kUp,  // rows: gate (of a gated MLP), up
  kMlpInnerNorm,
  kDown,
  kMlpPostNorm,
  kFinalNorm,
  kHead,  // only of an untied model
};

enum class Part { kWeight, kBias };

// A tensor of the model's files.
struct FileTensor {
  std::string name;  // without the prefix that some files have
  std::vector<int64_t> shape;
};

// How the layout in the files differs from the engine's.
struct FileLayout {
  bool transposed = false;  // [inputs, outputs] (Conv1D)
  // If more than 0, the number of heads: the rows of query, key and value are grouped by head: the
  // first head's query, key, value, then the second's (GPT-NeoX).
  int64_t interleaved_heads = 0;
};

// A tensor in the engine's form.
struct ModelTensor {
  Slot slot = Slot::kTokens;
  Part part = Part::kWeight;
  int64_t layer = -1;          // -1: outside the layers
  std::string name;            // "layers.3.qkv.weight"
  std::vector<int64_t> shape;  // [outputs, inputs] for a matrix
  // The tensors that are stacked by rows in the engine's form: their rows add up to shape[0].
  std::vector<FileTensor> files;
  FileLayout layout;

  [[nodiscard]] int64_t element_count() const;
  // A table or the weights of a linear layer; weight decay applies to it.
  [[nodiscard]] bool is_matrix() const { return shape.size() == 2; }
  // A matrix that multiplies inputs: the layers' linear ones, and the head (tied: the token
  // embedding). Quantization recipes cover these matrices.
  [[nodiscard]] bool is_multiplied(const DecoderConfig& config) const;
};

// Every tensor of the model, in the order of the files. The config must be valid (FamilyOf finds
// its family).
[[nodiscard]] std::vector<ModelTensor> ModelTensors(const DecoderConfig& config);

// Whether training only the last `layers` layers changes the tensor: those of these layers, the
// final norm, and an untied head. The token embedding is below the layers, so a head that is tied
// to it stays unchanged, too: the head's share of that tensor's gradient by itself would move the
// inputs of the frozen layers.
[[nodiscard]] bool TrainedWithLastLayers(const DecoderConfig& config, int64_t layers,
                                         const ModelTensor& tensor);

// The tensors that a checkpoint must contain, by their names without prefix, in file order, with
// the given type.
[[nodiscard]] std::vector<formats::TensorDescription> CheckpointTensors(
    const DecoderConfig& config, formats::DataType type = formats::DataType::kF32);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_TENSORS_H_
