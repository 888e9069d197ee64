// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parts of a model in the order in which a backward pass completes their gradients, and the
// memory of gradients if each part is updated at once: parts then share one buffer. Pure;
// thread-safe.
#ifndef WATTLE_MODELS_MODEL_PART_H_
#define WATTLE_MODELS_MODEL_PART_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "models/tensors.h"

namespace wattle::models {

enum class PartKind {
  kHead,    // final norm, the head's bias, an untied head
  kBlock,   // a layer
  kTables,  // token embedding, including a tied head, and learned positions
};

struct ModelPart {
  PartKind kind = PartKind::kHead;
  int64_t layer = -1;  // for kBlock

  bool operator==(const ModelPart&) const = default;
  bool operator<(const ModelPart& other) const {
    return std::tie(kind, layer) < std::tie(other.kind, other.layer);
  }
};

[[nodiscard]] inline ModelPart PartOf(const ModelTensor& tensor) {
  if (tensor.layer >= 0) {
    return {PartKind::kBlock, tensor.layer};
  }
  const bool is_table = tensor.slot == Slot::kTokens || tensor.slot == Slot::kPositions;
  return {is_table ? PartKind::kTables : PartKind::kHead};
}

// Whether a part's gradients need a buffer of their own: those of a tied head begin with the loss
// and are complete last, after all other parts.
[[nodiscard]] inline bool HasOwnBuffer(const ModelPart& part, bool tied_head) {
  return tied_head && part.kind == PartKind::kTables;
}

// Number of gradient values of `tensors` with a shared buffer: the largest part that shares it, and
// all others.
[[nodiscard]] inline int64_t SharedGradientElements(const std::vector<ModelTensor>& tensors,
                                                    bool tied_head) {
  std::map<ModelPart, int64_t> elements;
  for (const ModelTensor& tensor : tensors) {
    elements[PartOf(tensor)] += tensor.element_count();
  }
  int64_t shared = 0;
  int64_t own = 0;
  for (const auto& [part, count] : elements) {
    if (HasOwnBuffer(part, tied_head)) {
      own += count;
    } else {
      shared = std::max(shared, count);
    }
  }
  return shared + own;
}

}  // namespace wattle::models

#endif  // WATTLE_MODELS_MODEL_PART_H_
