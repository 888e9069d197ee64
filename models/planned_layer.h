// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One decoder block as the engine runs it, with planned tensors. Each function mirrors one in
// worker/engine/models (layers.cc, attention.cc, block.cc): the same tensors in the same order with
// the same lifetimes. A change on either side needs the same change on the other;
// worker/engine/pass_arena_test.cc compares them. Part of tensor_plan.h.
#ifndef WATTLE_MODELS_PLANNED_LAYER_H_
#define WATTLE_MODELS_PLANNED_LAYER_H_

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "models/decoder_config.h"
#include "models/tensor_plan.h"
#include "models/tensors.h"

namespace wattle::models {

// Inputs of every part of a pass.
struct PlannedPass {
  PlannedPass(const DecoderConfig& config, const PassDescription& pass);

  [[nodiscard]] int64_t rows() const { return pass.batch * pass.tokens; }
  [[nodiscard]] bool trains() const { return pass.kind == PassKind::kTrain; }
  // Whether the weights themselves have gradients.
  [[nodiscard]] bool trains_weights() const { return trains() && pass.adapters.empty(); }
  [[nodiscard]] bool is_quantized(Slot slot, int64_t layer) const {
    return quantized.count({slot, layer}) > 0;
  }
  // Whether a product of training dequantizes the matrix piece by piece.
  [[nodiscard]] bool is_dequantized(Slot slot, int64_t layer) const {
    return is_quantized(slot, layer) || (pass.bf16_matrices && !pass.rounded_factors);
  }

  // Positions visible to attention.
  [[nodiscard]] int64_t seen() const { return cached + pass.tokens; }

  const DecoderConfig& config;
  const PassDescription& pass;
  int64_t cached = 0;  // for kDecode: tokens whose keys and values are already cached
  std::set<std::pair<Slot, int64_t>> quantized;  // matrices in a format other than FP32
};

// A matrix of the model; a layer of -1 is the head.
struct PlannedMatrix {
  Slot slot = Slot::kHead;
  int64_t layer = -1;
  int64_t outputs = 0;
  int64_t inputs = 0;
};

struct PlannedNormActivations {
  Planned mean;
  Planned reciprocal_deviation;
};

class PlannedLayers {
 public:
  PlannedLayers(const PlannedPass& pass, PlanRecorder& memory) : pass_(pass), memory_(memory) {}

  // Mirrors of the functions in layers.h. rows: of the input; columns: its width.
  Planned MatrixProduct(const char* name, const PlannedMatrix& matrix, int64_t rows);
  Planned TransposedProduct(const char* name, const PlannedMatrix& matrix, int64_t rows);
  Planned NormForward(const char* name, int64_t rows, int64_t columns,
                      PlannedNormActivations* saved);
  Planned NormBackward(const char* name, int64_t rows, int64_t columns);

 protected:
  Planned LinearForward(const char* name, const PlannedMatrix& matrix, const Planned& x);
  Planned LinearBackward(const char* name, const PlannedMatrix& matrix, const Planned& x);

  Planned Make(const char* name, std::vector<int64_t> shape, int64_t element_bytes = 4) {
    return memory_.Make(name, std::move(shape), element_bytes);
  }

  const PlannedPass& pass_;
  PlanRecorder& memory_;

 private:
  Planned DequantizedPiece(const PlannedMatrix& matrix);
  Planned AdapterInput(const PlannedMatrix& matrix, const Planned& x);
  void MeanOfProduct(int64_t rows, int64_t columns, Planned& mean);
  Planned Gain(int64_t columns);
  [[nodiscard]] bool HasBias(const PlannedMatrix& matrix) const;
};

struct PlannedAttentionActivations {
  Planned query;
  Planned key;
  Planned value;
  Planned probabilities;
};

struct PlannedBranchEndActivations {
  Planned inner;
  PlannedNormActivations inner_norm;
  Planned post;
  PlannedNormActivations post_norm;
};

// In the order of BlockActivations, which is the reverse order of release.
struct PlannedBlockActivations {
  Planned input;
  PlannedNormActivations attention_norm;
  Planned attention_input;
  PlannedAttentionActivations attention;
  Planned merged;
  PlannedBranchEndActivations attention_end;
  Planned middle;
  PlannedNormActivations mlp_norm;
  Planned mlp_input;
  Planned up;
  Planned activated;
  PlannedBranchEndActivations mlp_end;
};

class PlannedLayer : public PlannedLayers {
 public:
  PlannedLayer(const PlannedPass& pass, int64_t index, PlanRecorder& memory)
      : PlannedLayers(pass, memory),
        index_(index),
        layer_(pass.config.layers[static_cast<size_t>(index)]) {}

  // saved: null if there is no backward pass.
  Planned Forward(const Planned& x, PlannedBlockActivations* saved);
  Planned Backward(const PlannedBlockActivations& saved, const Planned& grad_out);

 private:
  struct BranchEnd;
  [[nodiscard]] BranchEnd AttentionEnd() const;
  [[nodiscard]] BranchEnd MlpEnd() const;
  [[nodiscard]] PlannedMatrix Matrix(Slot slot) const;

  Planned EndForward(const BranchEnd& end, Planned x, PlannedBlockActivations* saved);
  Planned EndBackward(const BranchEnd& end, const PlannedBlockActivations& saved);
  Planned RoundedToInt8(const Planned& x, int64_t heads);
  void Rotate(int64_t heads, bool back);
  void QueryProductInto();
  Planned AttentionForward(const Planned& qkv, PlannedAttentionActivations* saved);
  Planned AttentionBackward(const PlannedAttentionActivations& saved, const Planned& grad_out);
  Planned ActivationForward();
  Planned ActivationBackward();

  [[nodiscard]] std::vector<int64_t> OfHeads(int64_t heads) const;  // query, key, value
  [[nodiscard]] std::vector<int64_t> OfScores() const;

  int64_t index_;
  const LayerDescription& layer_;
};

}  // namespace wattle::models

#endif  // WATTLE_MODELS_PLANNED_LAYER_H_
