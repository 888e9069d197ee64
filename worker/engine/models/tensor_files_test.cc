// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/tensor_files.h"

#include <cstdint>

#include "gtest/gtest.h"
#include <ATen/ATen.h>

namespace wattle::engine {
namespace {

constexpr int64_t kRowsOfFile = 48;
constexpr int64_t kColumnsOfFile = 256;

// The path for a device other than the host, here from host to host.
TEST(CopyThroughBufferTest, EveryRowArrivesInTheTypeOfItsPlace) {
  const at::Tensor stored = at::randn({kColumnsOfFile, kRowsOfFile}).to(at::kHalf);
  for (const at::Tensor& rows : {stored, stored.t(), stored.t().contiguous().view({-1})}) {
    const int64_t row_elements = rows.numel() / rows.size(0);
    // Less than a row, some rows with a remainder, all at once.
    for (const int64_t elements : {int64_t{1}, 7 * row_elements + 1, 2 * rows.numel()}) {
      at::Tensor place = at::full(rows.sizes(), -1.0, at::kFloat);
      CopyThroughBuffer(rows, elements, place);
      EXPECT_TRUE(place.equal(rows.to(at::kFloat))) << rows.sizes() << " by " << elements;
    }
  }
}

}  // namespace
}  // namespace wattle::engine
