// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/optimizer_state.h"

namespace wattle::models {
namespace {

int64_t ElementCount(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  return count;
}

}  // namespace

int64_t OptimizerTensor::size_bytes() const {
  return ElementCount(shape) * (in_bytes ? 1 : static_cast<int64_t>(sizeof(float)));
}

std::vector<OptimizerTensor> OptimizerTensors(v1::Optimizer optimizer,
                                              const std::vector<int64_t>& shape) {
  const int64_t count = ElementCount(shape);
  switch (optimizer) {
    case v1::OPTIMIZER_MEZO:
      return {};
    case v1::OPTIMIZER_ADAFACTOR:
      if (shape.size() == 2) {
        return {{.name = "row_second_moment", .shape = {shape[0]}},
                {.name = "column_second_moment", .shape = {shape[1]}}};
      }
      return {{.name = "second_moment", .shape = shape}};
    case v1::OPTIMIZER_ADAMW_8BIT:
      if (count >= kSmallestIn8Bits) {
        const int64_t blocks = (count + kMomentBlock - 1) / kMomentBlock;
        return {{.name = "first_moment_codes", .in_bytes = true, .shape = shape},
                {.name = "first_moment_scales", .shape = {blocks}},
                {.name = "second_moment_codes", .in_bytes = true, .shape = shape},
                {.name = "second_moment_scales", .shape = {blocks}}};
      }
      break;
    default:
      break;
  }
  return {{.name = "first_moment", .shape = shape}, {.name = "second_moment", .shape = shape}};
}

int64_t OptimizerBytes(v1::Optimizer optimizer, const std::vector<int64_t>& shape) {
  int64_t size = 0;
  for (const OptimizerTensor& tensor : OptimizerTensors(optimizer, shape)) {
    size += tensor.size_bytes();
  }
  return size;
}

}  // namespace wattle::models
