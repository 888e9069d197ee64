// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The weights of a decoder, moved along a random direction without a second model: a pass gets each
// layer's moved weights when it enters the layer, token rows when they are looked up, and the head
// in pieces. The weights themselves are never written, so nothing needs to be restored and nothing
// drifts. A direction has a random sign for each weight (kernels::AddRandomSigns). Not thread-safe.
// docs/adr/0029.
#ifndef WATTLE_WORKER_ENGINE_MODELS_PERTURBED_WEIGHTS_H_
#define WATTLE_WORKER_ENGINE_MODELS_PERTURBED_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/models/decoder.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

// One sign per weight, a pure function of these two numbers.
struct Direction {
  uint64_t seed = 0;
  uint64_t number = 0;
};

// values: float, contiguous: elements of `parameter` from `first_element` on. Moves each by
// `magnitude` times its sign.
void MoveAlong(const Direction& direction, size_t parameter, int64_t first_element, float magnitude,
               const at::Tensor& values);

// to = from, moved in the same way: the same bits as moving a copy.
void CopyMovedAlong(const Direction& direction, size_t parameter, int64_t first_element,
                    float magnitude, const at::Tensor& from, const at::Tensor& to);

class PerturbedWeights {
 public:
  // All arguments must outlive this object. layout: of `arena`, which has the decoder's FP32
  // values; parameters in it move, the others stay.
  PerturbedWeights(const Decoder& decoder, const std::vector<Parameter>& parameters,
                   const ArenaLayout& layout, const at::Tensor& arena);

  // From now on the weights are the decoder's, moved by `magnitude` along `direction`.
  void Set(const Direction& direction, float magnitude);

  // The weights of a pass except token table and head. The blocks' weights are those of the layer
  // entered last.
  [[nodiscard]] const DecoderWeights& weights() const { return weights_; }
  void EnterLayer(size_t layer);
  // x: float [rows, width], unmoved rows of the token table; tokens: int64 [rows].
  void MoveTokenRows(const at::Tensor& tokens, at::Tensor& x) const;
  // x W'ᵀ for the head, whose moved rows exist only in pieces: [rows, width] → [rows, vocabulary].
  [[nodiscard]] at::Tensor HeadProduct(const at::Tensor& x);

 private:
  void Fill(size_t parameter);

  const Decoder& decoder_;
  const std::vector<Parameter>& parameters_;
  const ArenaLayout& layout_;
  at::Tensor arena_;
  Direction direction_;
  float magnitude_ = 0.0F;
  // All layers share the same places; parameters outside the layers have their own places after
  // them. Token table and head are absent.
  ArenaLayout places_;
  at::Tensor scratch_;
  int64_t layer_elements_ = 0;  // in the scratch
  std::vector<std::vector<size_t>> of_layers_;
  std::vector<size_t> outside_;
  int64_t tokens_ = -1;  // index of the parameter that moves, or -1
  int64_t head_ = -1;
  DecoderWeights weights_;
};

// PendingLossSum (models/decoder.h) with the moved weights. decoder: the one that they are based
// on.
DeviceNumber PendingLossSum(const Decoder& decoder, const TokenBatch& batch,
                            PerturbedWeights& weights);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_PERTURBED_WEIGHTS_H_
