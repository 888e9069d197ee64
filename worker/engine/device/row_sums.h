// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sums into the rows of a table, as the backward pass of an embedding makes them. libtorch's
// index_add_ adds by atomics on a GPU, so that no two runs have the same bits; this one sorts
// there.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ROW_SUMS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ROW_SUMS_H_

#include <ATen/core/Tensor.h>

namespace wattle::engine {

// Adds factor rows[i] to row numbers[i] of the table. numbers: int64 [count], each as often as it
// comes; rows: float [count, width], all of the table's device. The same bits in every run.
void AddToRows(const at::Tensor& numbers, const at::Tensor& rows, double factor,
               const at::Tensor& table);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ROW_SUMS_H_
