// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/tensor_plan.h"

#include <utility>

#include "base/check.h"

namespace wattle::models {

int64_t PlannedTensor::size_bytes() const {
  int64_t bytes = element_bytes;
  for (const int64_t size : shape) {
    bytes *= size;
  }
  return bytes;
}

Planned PlanRecorder::Make(const char* name, std::vector<int64_t> shape, int64_t element_bytes) {
  PlannedTensor tensor{.name = name, .shape = std::move(shape), .element_bytes = element_bytes};
  // Events number allocations and releases alike, so that lifetimes are comparable integers.
  tensor.first_use = events_++;
  // Cannot fail, because the planned region has no capacity limit.
  tensor.offset = *region_.Allocate(tensor.size_bytes());
  tensors_.push_back(std::move(tensor));
  // The handle's destructor records the release, as an at::Tensor's frees its memory.
  return std::make_shared<const Life>(*this, tensors_.size() - 1);
}

void PlanRecorder::LetGo(size_t index) {
  tensors_[index].last_use = events_++;
  region_.Free(tensors_[index].offset);
}

TensorPlan PlanRecorder::Finish() && {
  // A tensor still alive would have no end of its lifetime, and the peak would be wrong.
  WATTLE_CHECK(region_.in_use_bytes() == 0, "a pass leaves no tensor behind");
  return {.tensors = std::move(tensors_),
          .peak_bytes = region_.peak_bytes(),
          .arena_bytes = region_.extent_bytes()};
}

}  // namespace wattle::models
