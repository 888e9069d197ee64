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
  tensor.first_use = events_++;
  tensor.offset = *region_.Allocate(tensor.size_bytes());
  tensors_.push_back(std::move(tensor));
  return std::make_shared<const Life>(*this, tensors_.size() - 1);
}

void PlanRecorder::LetGo(size_t index) {
  tensors_[index].last_use = events_++;
  region_.Free(tensors_[index].offset);
}

TensorPlan PlanRecorder::Finish() && {
  WATTLE_CHECK(region_.in_use_bytes() == 0, "a pass leaves no tensor behind");
  return {.tensors = std::move(tensors_),
          .peak_bytes = region_.peak_bytes(),
          .arena_bytes = region_.extent_bytes()};
}

}  // namespace wattle::models
