// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/packed_arena.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "worker/engine/kernels/testing/test_matrix.h"
#include "worker/engine/models/tensor_files.h"

namespace wattle::engine {
namespace {

using kernels::WeightFormat;
using kernels::WeightMatrix;

constexpr int64_t kRows = 48;
constexpr int64_t kColumns = 256;

WeightMatrix ShapeIn(WeightFormat format) {
  return {.format = format, .rows = kRows, .columns = kColumns};
}

int64_t AddressOf(const at::Tensor& bytes) {
  return reinterpret_cast<int64_t>(bytes.data_ptr());
}

TEST(PackedArenaTest, PiecesAreAlignedZeroAndApart) {
  PackedArena arena({ShapeIn({kernels::WeightScheme::kInt8, 0})});
  const at::Tensor first = arena.Take(100);
  const at::Tensor second = arena.Take(64);
  EXPECT_EQ(AddressOf(first) % kernels::kPackedAlignment, 0);
  EXPECT_EQ(AddressOf(second), AddressOf(first) + 128);
  EXPECT_EQ(second.sum().item<int64_t>(), 0);
  first.fill_(1);
  EXPECT_EQ(second.sum().item<int64_t>(), 0);
}

TEST(PackedArenaTest, WithoutRoomAPieceHasMemoryOfItsOwn) {
  PackedArena arena({ShapeIn({kernels::WeightScheme::kInt8, 0})});
  const at::Tensor inside = arena.Take(64);
  const at::Tensor outside = arena.Take(1 << 20);
  EXPECT_FALSE(outside.is_alias_of(inside));
  EXPECT_EQ(outside.numel(), 1 << 20);
  EXPECT_TRUE(arena.Take(64).is_alias_of(inside)) << "the arena still has room for a small piece";
}

TEST(PackedArenaTest, MatricesOfEveryFormatFitTheArenaOfTheirShapes) {
  std::vector<WeightMatrix> shapes;
  for (const WeightFormat format : kernels::EveryFormat()) {
    if (format.scheme != kernels::WeightScheme::kFloat32) {
      shapes.push_back(ShapeIn(format));
    }
  }
  PackedArena arena(shapes);
  at::Tensor before;
  for (const WeightMatrix& shape : shapes) {
    const std::string name = kernels::FormatName(shape.format);
    const at::Tensor values = at::randn({kRows, kColumns});
    const auto own = PackFloats(name, shape.format, values);
    const auto packed = PackFloats(name, shape.format, values, &arena);
    ASSERT_TRUE(own.ok() && packed.ok()) << name;
    EXPECT_TRUE(packed->packed.equal(own->packed)) << name;
    EXPECT_TRUE(packed->scales.equal(own->scales)) << name;
    EXPECT_TRUE(packed->scales.is_alias_of(packed->packed)) << name;
    EXPECT_TRUE(!before.defined() || packed->packed.is_alias_of(before)) << name;
    before = packed->packed;
  }
}

}  // namespace
}  // namespace wattle::engine
