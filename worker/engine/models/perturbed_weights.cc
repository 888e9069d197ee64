// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/perturbed_weights.h"

#include <algorithm>

#include "base/check.h"
#include "worker/engine/device/device.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/products.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

kernels::RandomStream StreamOf(const Direction& direction, size_t parameter) {
  return {.seed = direction.seed,
          .step = direction.number,
          .use = kernels::RandomUse::kPerturbation,
          .layer = static_cast<uint32_t>(parameter)};
}

int64_t Aligned(int64_t elements) {
  return (elements + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

}  // namespace

void MoveAlong(const Direction& direction, size_t parameter, int64_t first_element, float magnitude,
               const at::Tensor& values) {
  CopyMovedAlong(direction, parameter, first_element, magnitude, values, values);
}

void CopyMovedAlong(const Direction& direction, size_t parameter, int64_t first_element,
                    float magnitude, const at::Tensor& from, const at::Tensor& to) {
  WATTLE_CHECK(from.is_contiguous() && to.is_contiguous() && from.numel() == to.numel(),
               "signs count elements in memory order");
  OperationsOn(from).AddSigns(StreamOf(direction, parameter), magnitude, first_element, from, to);
}

PerturbedWeights::PerturbedWeights(const Decoder& decoder, const std::vector<Parameter>& parameters,
                                   const ArenaLayout& layout, const at::Tensor& arena)
    : decoder_(decoder),
      parameters_(parameters),
      layout_(layout),
      arena_(arena),
      of_layers_(decoder.weights.blocks.size()),
      weights_(decoder.weights) {
  places_.offsets.assign(parameters.size(), ArenaLayout::kAbsent);
  std::vector<int64_t> used(of_layers_.size(), 0);
  layer_elements_ = Aligned(decoder.config.width);  // at least one row of the head
  for (size_t i = 0; i < parameters.size(); ++i) {
    const models::ModelTensor& tensor = parameters[i].tensor;
    if (!layout.holds(i)) {
      continue;
    }
    if (tensor.slot == models::Slot::kTokens) {
      tokens_ = static_cast<int64_t>(i);
    } else if (tensor.slot == models::Slot::kHead && tensor.part == models::Part::kWeight) {
      head_ = static_cast<int64_t>(i);
    } else if (tensor.layer < 0) {
      outside_.push_back(i);
    } else {
      const auto layer = static_cast<size_t>(tensor.layer);
      of_layers_[layer].push_back(i);
      places_.offsets[i] = used[layer];
      used[layer] += Aligned(tensor.element_count());
      layer_elements_ = std::max(layer_elements_, used[layer]);
    }
  }
  if (decoder.config.tied_embeddings) {
    head_ = tokens_;
  }
  places_.elements = layer_elements_;
  for (const size_t i : outside_) {
    places_.offsets[i] = places_.elements;
    places_.elements += Aligned(parameters[i].tensor.element_count());
  }
  scratch_ = at::zeros({places_.elements}, arena.options());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!places_.holds(i)) {
      continue;
    }
    const models::ModelTensor& tensor = parameters[i].tensor;
    const at::Tensor view = ArenaView(scratch_, places_, parameters, i);
    if (IsMatrixSlot(tensor)) {
      MatrixAt(weights_, tensor).value = view;
    } else {
      TensorAt(weights_, tensor) = view;
    }
  }
}

void PerturbedWeights::Set(const Direction& direction, float magnitude) {
  direction_ = direction;
  magnitude_ = magnitude;
  for (const size_t parameter : outside_) {
    Fill(parameter);
  }
}

void PerturbedWeights::Fill(size_t parameter) {
  CopyMovedAlong(direction_, parameter, 0, magnitude_,
                 ArenaView(arena_, layout_, parameters_, parameter),
                 ArenaView(scratch_, places_, parameters_, parameter));
}

void PerturbedWeights::EnterLayer(size_t layer) {
  for (const size_t parameter : of_layers_[layer]) {
    Fill(parameter);
  }
}

void PerturbedWeights::MoveTokenRows(const at::Tensor& tokens, at::Tensor& x) const {
  if (tokens_ < 0) {
    return;
  }
  OperationsOn(x).AddSignsToRows(StreamOf(direction_, static_cast<size_t>(tokens_)), magnitude_,
                                 tokens, x);
}

at::Tensor PerturbedWeights::HeadProduct(const at::Tensor& x) {
  const at::Tensor& head = decoder_.weights.head.value;
  const int64_t width = head.size(1);
  at::Tensor out = at::empty({x.size(0), head.size(0)}, x.options());
  if (head_ < 0) {
    ProductInto(x, head.t(), out);
    return out;
  }
  const int64_t piece_rows = layer_elements_ / width;
  for (int64_t first = 0; first < head.size(0); first += piece_rows) {
    const int64_t rows = std::min(piece_rows, head.size(0) - first);
    const at::Tensor piece = scratch_.narrow(0, 0, rows * width).view({rows, width});
    CopyMovedAlong(direction_, static_cast<size_t>(head_), first * width, magnitude_,
                   head.narrow(0, first, rows), piece);
    ProductInto(x, piece.t(), out.narrow(1, first, rows));
  }
  return out;
}

}  // namespace wattle::engine
