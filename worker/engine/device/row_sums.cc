// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/row_sums.h"

#include <ATen/core/List.h>
#include <c10/util/Optional.h>

#include "worker/engine/device/device.h"

namespace wattle::engine {

void AddToRows(const at::Tensor& numbers, const at::Tensor& rows, double factor,
               const at::Tensor& table) {
  if (OperationsOn(table).in_host_memory()) {
    table.index_add_(0, numbers, rows, factor);
  } else {
    const c10::List<c10::optional<at::Tensor>> places({numbers});
    table.index_put_(places, factor == 1.0 ? rows : rows.mul(factor), /*accumulate=*/true);
  }
}

}  // namespace wattle::engine
