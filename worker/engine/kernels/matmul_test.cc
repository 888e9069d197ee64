// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Every product of every instruction set of this processor: against plain loops in double precision
// over the values of the codes, and, for quantized weights, against the portable table bit by bit.
#include "worker/engine/kernels/matmul.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/fp16.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::kernels {
namespace {

std::vector<std::string> TableNames() {
  std::vector<std::string> names;
  for (const KernelTable* table : SupportedKernels()) {
    names.emplace_back(table->name);
  }
  return names;
}

// FP32 sums of up to 3,000 products of deviates: a few units in the last place of their magnitude.
constexpr double kTolerance = 2e-4;

class MatMulTest : public testing::TestWithParam<std::tuple<std::string, WeightFormat>> {
 protected:
  [[nodiscard]] const KernelTable& kernels() const { return *FindKernels(std::get<0>(GetParam())); }
  [[nodiscard]] WeightFormat format() const { return std::get<1>(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(AllTablesAndFormats, MatMulTest,
                         testing::Combine(testing::ValuesIn(TableNames()),
                                          testing::ValuesIn(EveryFormat())),
                         [](const testing::TestParamInfo<MatMulTest::ParamType>& param) {
                           std::string name = absl::StrCat(std::get<0>(param.param), "_",
                                                           NameForTest(std::get<1>(param.param)));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The inputs that the product uses: with quantized weights, the values of their int8 codes.
std::vector<double> SeenInputs(const WeightMatrix& matrix, const std::vector<float>& inputs) {
  if (!WantsCodes(matrix.format.scheme)) {
    return {inputs.begin(), inputs.end()};
  }
  const int64_t group = matrix.format.group_size == 0 ? 128 : matrix.format.group_size;
  std::vector<double> seen;
  const auto count = static_cast<int64_t>(inputs.size()) / matrix.columns;
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t start = 0; start < matrix.columns; start += group) {
      const int64_t end = std::min(start + group, matrix.columns);
      float largest = 0.0F;
      for (int64_t c = start; c < end; ++c) {
        largest =
            std::max(largest, std::fabs(inputs[static_cast<size_t>(row * matrix.columns + c)]));
      }
      for (int64_t c = start; c < end; ++c) {
        const float value = inputs[static_cast<size_t>(row * matrix.columns + c)];
        seen.push_back(double{largest / 127.0F} * std::nearbyint(value * (127.0F / largest)));
      }
    }
  }
  return seen;
}

std::vector<double> Expected(const OwnedMatrix& owned, const std::vector<float>& bias,
                             const std::vector<float>& inputs) {
  const WeightMatrix& matrix = owned.matrix;
  std::vector<float> weights(static_cast<size_t>(matrix.rows * matrix.columns));
  OperationsOf(matrix.format.scheme).dequantize(matrix, 0, matrix.rows, weights.data());
  const std::vector<double> seen = SeenInputs(matrix, inputs);
  std::vector<double> out;
  const auto count = static_cast<int64_t>(inputs.size()) / matrix.columns;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t r = 0; r < matrix.rows; ++r) {
      double sum = bias.empty() ? 0.0 : bias[static_cast<size_t>(r)];
      for (int64_t c = 0; c < matrix.columns; ++c) {
        sum += double{weights[static_cast<size_t>(r * matrix.columns + c)]} *
               seen[static_cast<size_t>(i * matrix.columns + c)];
      }
      out.push_back(sum);
    }
  }
  return out;
}

TEST_P(MatMulTest, AgreesWithPlainLoopsForEveryCountAndShape) {
  ThreadPool pool(2);
  // Rows that fill panels and rows that do not; columns of one group and of many.
  for (const auto& [rows, wanted_columns] :
       {std::pair<int64_t, int64_t>{5, 128}, {80, 256}, {100, 896}}) {
    const int64_t columns = ColumnsFor(format(), wanted_columns);
    OwnedMatrix owned(format(), rows, columns, 7);
    const std::vector<float> bias = NormalValues(rows, 8);
    owned.matrix.bias = bias.data();
    for (const int64_t count : {1, 2, 3, 7, 8, 9, 33, 50}) {
      const std::vector<float> inputs = NormalValues(count * columns, 9);
      std::vector<float> out(static_cast<size_t>(count * rows));
      MatMul(owned.matrix, inputs.data(), count, {}, out.data(), pool, kernels());
      const std::vector<double> wanted = Expected(owned, bias, inputs);
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(out[i], wanted[i], kTolerance)
            << rows << "x" << columns << ", " << count << " inputs, element " << i;
      }
    }
  }
}

TEST_P(MatMulTest, QuantizedProductsAreThoseOfThePortableTableBitByBit) {
  if (!WantsCodes(format().scheme)) {
    GTEST_SKIP() << "FP32 promises a tolerance";
  }
  ThreadPool one(1);
  ThreadPool three(3);
  const int64_t columns = ColumnsFor(format(), 640);
  const OwnedMatrix owned(format(), 100, columns, 10);
  for (const int64_t count : {1, 5, 40}) {
    const std::vector<float> inputs = NormalValues(count * columns, 11, 3.0F);
    for (const Nonlinearity f :
         {Nonlinearity::kNone, Nonlinearity::kGeluTanh, Nonlinearity::kGeluErf, Nonlinearity::kSilu,
          Nonlinearity::kRelu}) {
      std::vector<float> wanted(static_cast<size_t>(count * 100), 0.25F);
      std::vector<float> out = wanted;
      const Epilogue epilogue{.nonlinearity = f, .accumulate = true};
      MatMul(owned.matrix, inputs.data(), count, epilogue, wanted.data(), one,
             *FindKernels("portable"));
      MatMul(owned.matrix, inputs.data(), count, epilogue, out.data(), three, kernels());
      ASSERT_EQ(out, wanted) << count << " inputs";
    }
  }
}

// One call for all panels, with scratch that ends after ProductScratchBytes.
std::vector<float> ProductWithGuardedScratch(const KernelTable& kernels, const WeightMatrix& matrix,
                                             const std::vector<float>& inputs, int64_t count) {
  QuantizedInputs quantized;
  quantized.Reserve({&matrix}, count);
  quantized.Begin(matrix);
  for (int64_t row = 0; row < count; ++row) {
    quantized.Fill(kernels, row, inputs.data() + row * matrix.columns);
  }
  constexpr size_t kGuardBytes = 256;
  const auto bytes = static_cast<size_t>(ProductScratchBytes(matrix));
  AlignedBuffer scratch(static_cast<int64_t>(bytes + kGuardBytes));
  std::byte* const guard = scratch.data() + bytes;
  std::fill_n(guard, kGuardBytes, std::byte{0xA5});
  std::vector<float> out(static_cast<size_t>(count * matrix.rows));
  MultiplyPanels(kernels, matrix, quantized.View(count), {},
                 {.first = 0, .end = PanelCount(matrix.rows)},
                 {.values = out.data(), .stride = matrix.rows}, scratch.data());
  EXPECT_EQ(std::count(guard, guard + kGuardBytes, std::byte{0xA5}), int64_t{kGuardBytes})
      << "bytes behind the scratch were written";
  return out;
}

TEST_P(MatMulTest, DrawnShapesGiveThePortableTablesBitsWithinTheirScratch) {
  if (!WantsCodes(format().scheme)) {
    GTEST_SKIP() << "FP32 promises a tolerance";
  }
  ThreadPool pool(1);
  std::mt19937 random(20261128);
  const auto draw = [&random](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  for (int drawn = 0; drawn < 12; ++drawn) {
    const int64_t unit = std::max(1, format().group_size);  // 1: any number of columns
    const int64_t rows = draw(1, 50);
    // Every third is as narrow as a format allows, where a product has the least scratch.
    const int64_t most = drawn % 3 == 0 ? 3 : std::max<int64_t>(3, 400 / unit);
    const int64_t columns = ColumnsFor(format(), unit * draw(1, most));
    const int64_t count = draw(1, 80);
    const OwnedMatrix owned(format(), rows, columns, draw(0, 1000));
    const std::vector<float> inputs = NormalValues(count * columns, 16, 2.0F);
    std::vector<float> wanted(static_cast<size_t>(count * rows));
    MatMul(owned.matrix, inputs.data(), count, {}, wanted.data(), pool, *FindKernels("portable"));
    ASSERT_EQ(ProductWithGuardedScratch(kernels(), owned.matrix, inputs, count), wanted)
        << "draw " << drawn << ": " << rows << "x" << columns << ", " << count << " inputs";
  }
}

// Kernels sum products in integers only as wide as these sums need.
TEST_P(MatMulTest, TheLargestCodesDoNotOverflow) {
  if (!WantsCodes(format().scheme)) {
    GTEST_SKIP() << "a format without codes";
  }
  constexpr int64_t kRows = 40;
  constexpr int64_t kColumns = 256;
  ThreadPool pool(1);
  const FormatOperations& operations = OperationsOf(format().scheme);
  const GroupScale scale{.scale = 1.0F};
  const bool int6 = operations.codec == nullptr;
  const int8_t lowest = int6 ? int8_t{0} : operations.codec->encode(-1e6F, scale);
  const int8_t highest = int6 ? int8_t{63} : operations.codec->encode(1e6F, scale);
  OwnedMatrix owned(format(), kRows, kColumns, 14);
  const std::vector<GroupScale> scales(
      static_cast<size_t>(kRows * std::max<int64_t>(1, GroupsOfRow(owned.matrix))), scale);
  const std::vector<float> block_scales(static_cast<size_t>(kRows), 1.0F);  // only for int6
  for (const unsigned weights : {0x0U, 0xFU, 0x5U, 0x3U}) {  // the highest code if a bit is set
    std::vector<int8_t> codes;
    for (int64_t i = 0; i < kRows * kColumns; ++i) {
      codes.push_back((weights >> (i % 4) & 1U) != 0 ? highest : lowest);
    }
    operations.pack(owned.matrix, {codes, scales, block_scales}, owned.buffers());
    for (const unsigned signs : {0x0U, 0xFU, 0x5U, 0x3U}) {  // 1 if a bit is set, else -1
      for (const int64_t count : {1, 5, 16}) {
        std::vector<float> inputs;
        for (int64_t i = 0; i < count * kColumns; ++i) {
          inputs.push_back((signs >> (i % 4) & 1U) != 0 ? 1.0F : -1.0F);
        }
        const std::vector<double> exact = Expected(owned, {}, inputs);
        std::vector<float> out(static_cast<size_t>(count * kRows));
        std::vector<float> portable = out;
        MatMul(owned.matrix, inputs.data(), count, {}, out.data(), pool, kernels());
        MatMul(owned.matrix, inputs.data(), count, {}, portable.data(), pool,
               *FindKernels("portable"));
        ASSERT_EQ(out, portable) << weights << ", " << signs << ", " << count << " inputs";
        for (size_t i = 0; i < out.size(); ++i) {
          ASSERT_NEAR(out[i], exact[i], 1e-3 + 1e-5 * std::fabs(exact[i]))
              << weights << ", " << signs << ", " << count << " inputs, element " << i;
        }
      }
    }
  }
}

TEST_P(MatMulTest, InputsOfZeroGiveTheBias) {
  ThreadPool pool(1);
  const int64_t columns = ColumnsFor(format(), 128);
  OwnedMatrix owned(format(), 30, columns, 12);
  const std::vector<float> bias = NormalValues(30, 13);
  owned.matrix.bias = bias.data();
  const std::vector<float> inputs(static_cast<size_t>(columns), 0.0F);
  std::vector<float> out(30);
  MatMul(owned.matrix, inputs.data(), 1, {}, out.data(), pool, kernels());
  EXPECT_EQ(out, bias);
}

// Every finite FP16 number, by inputs that select one column each: its product with one is exact.
TEST(Float16Test, EveryWeightIsReadExactly) {
  constexpr int64_t kFinite = 0x7C00;  // of one sign
  constexpr int64_t kColumns = 31;     // a tile and a remainder
  constexpr int64_t kRows = 2 * kFinite / kColumns;
  std::vector<float> weights;
  for (int64_t i = 0; i < kFinite; ++i) {
    weights.push_back(FloatFromFp16(static_cast<uint16_t>(i)));
    weights.push_back(-weights.back());
  }
  ASSERT_EQ(std::ssize(weights), kRows * kColumns);
  const OwnedMatrix owned({WeightScheme::kFloat16, 0}, kRows, kColumns, weights);
  std::vector<float> inputs(static_cast<size_t>(kColumns * kColumns));
  for (int64_t c = 0; c < kColumns; ++c) {
    inputs[static_cast<size_t>(c * kColumns + c)] = 1.0F;
  }
  ThreadPool pool(1);
  for (const KernelTable* table : SupportedKernels()) {
    std::vector<float> out(static_cast<size_t>(kColumns * kRows));
    for (int64_t first = 0; first < kColumns; first += 7) {  // blocks of four, two and one
      MatMul(owned.matrix, inputs.data() + first * kColumns, std::min<int64_t>(7, kColumns - first),
             {}, out.data() + first * kRows, pool, *table);
    }
    for (int64_t c = 0; c < kColumns; ++c) {
      for (int64_t r = 0; r < kRows; ++r) {
        ASSERT_EQ(out[static_cast<size_t>(c * kRows + r)],
                  weights[static_cast<size_t>(r * kColumns + c)])
            << table->name << ", row " << r << ", column " << c;
      }
    }
  }
}

// Sums of FP16 weights have the order and the roundings of FP32 weights, and tables may read the
// weights scaled: the bits equal those of the same weights in FP32, from tiny inputs to huge ones.
TEST(Float16Test, ProductsAreThoseOfTheSameWeightsInFp32BitByBit) {
  constexpr int64_t kRows = 37;
  ThreadPool pool(1);
  for (const int64_t columns : {16, 200, 515}) {
    const OwnedMatrix half({WeightScheme::kFloat16, 0}, kRows, columns, 17);
    std::vector<float> weights(static_cast<size_t>(kRows * columns));
    OperationsOf(WeightScheme::kFloat16).dequantize(half.matrix, 0, kRows, weights.data());
    const OwnedMatrix full({WeightScheme::kFloat32, 0}, kRows, columns, weights);
    for (const float size : {1e-15F, 1e-6F, 1.0F, 1e4F, 1e15F}) {
      for (const int64_t count : {1, 2, 3, 4, 7, 8}) {
        const std::vector<float> inputs = NormalValues(count * columns, 18, size);
        for (const KernelTable* table : SupportedKernels()) {
          std::vector<float> wanted(static_cast<size_t>(count * kRows));
          std::vector<float> out = wanted;
          MatMul(full.matrix, inputs.data(), count, {}, wanted.data(), pool, *table);
          MatMul(half.matrix, inputs.data(), count, {}, out.data(), pool, *table);
          ASSERT_EQ(out, wanted) << table->name << ", " << columns << " columns, " << count
                                 << " inputs of about " << size;
        }
      }
    }
  }
}

class ColumnsTest : public testing::TestWithParam<WeightScheme> {};

INSTANTIATE_TEST_SUITE_P(WithoutGroups, ColumnsTest,
                         testing::Values(WeightScheme::kFloat32, WeightScheme::kInt8,
                                         WeightScheme::kBf16, WeightScheme::kFloat16));

TEST_P(ColumnsTest, ColumnsNeedNotFillATile) {
  ThreadPool pool(1);
  for (const int64_t columns : {1, 3, 53, 130, 200}) {
    OwnedMatrix owned({GetParam(), 0}, 21, columns, 14);
    for (const int64_t count : {1, 4, 20}) {
      const std::vector<float> inputs = NormalValues(count * columns, 15);
      const std::vector<double> wanted = Expected(owned, {}, inputs);
      for (const KernelTable* table : SupportedKernels()) {
        std::vector<float> out(static_cast<size_t>(count * 21));
        MatMul(owned.matrix, inputs.data(), count, {}, out.data(), pool, *table);
        for (size_t i = 0; i < out.size(); ++i) {
          ASSERT_NEAR(out[i], wanted[i], kTolerance)
              << table->name << ", " << columns << " columns, " << count << " inputs, element "
              << i;
        }
      }
    }
  }
}

TEST(PanelChunksTest, ChunksCoverEveryPanelOnce) {
  for (const int64_t rows : {1, 16, 17, 48, 2304, 50257}) {
    for (const int threads : {1, 2, 7}) {
      const WeightMatrix shape{.format = {WeightScheme::kInt8, 0}, .rows = rows, .columns = 768};
      const int64_t chunks = PanelChunks(shape, threads);
      int64_t next = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const PanelRange range = PanelsOfChunk(shape, chunk, chunks);
        ASSERT_EQ(range.first, next);
        ASSERT_GT(range.end, range.first);
        next = range.end;
      }
      EXPECT_EQ(next, PanelCount(rows));
    }
  }
}

}  // namespace
}  // namespace wattle::kernels
