// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sums into the rows of a table, for the backward pass of an embedding. On a GPU libtorch's
// index_add_ adds by atomics, so that the bits differ between runs; this function sorts there
// instead.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ROW_SUMS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ROW_SUMS_H_

#include <ATen/core/Tensor.h>

namespace wattle::engine {

// Adds factor rows[i] to row numbers[i] of the table. numbers: int64 [count], may repeat; rows:
// float [count, width], all on the table's device. Every run gives the same bits.
void AddToRows(const at::Tensor& numbers, const at::Tensor& rows, double factor,
               const at::Tensor& table);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ROW_SUMS_H_
