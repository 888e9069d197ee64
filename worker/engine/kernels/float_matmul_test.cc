// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products with every instruction set of this processor: the rounding of factors is exact, and the
// sums are those of the rounded factors in double precision. FP32 factors are not rounded.
#include "worker/engine/kernels/float_matmul.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/fp16.h"
#include "worker/engine/kernels/bf16.h"

namespace wattle::kernels {
namespace {

// The two 16-bit neighbours of a number are compared in double precision: a definition that shares
// nothing with the kernels' bit arithmetic.
float NearestBf16(float value) {
  if (std::isnan(value)) {
    return value;
  }
  if (std::fabs(value) < std::numeric_limits<float>::min()) {
    return std::copysign(0.0F, value);
  }
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto below = std::bit_cast<float>(bits & 0xFFFF0000U);
  const uint32_t above_bits = (bits & 0xFFFF0000U) + 0x10000U;
  const auto above = std::bit_cast<float>(above_bits);
  if (std::isinf(value) || below == value) {
    return value;
  }
  // Infinity takes the place of the next power of two.
  const double next = std::isinf(above) ? std::copysign(0x1p128, value) : double{above};
  const double to_below = std::fabs(double{value} - double{below});
  const double to_above = std::fabs(next - double{value});
  if (to_below != to_above) {
    return to_below < to_above ? below : above;
  }
  return (above_bits >> 16) % 2 == 0 ? above : below;
}

float Nearest(FactorType factors, float value) {
  return factors == FactorType::kFloat32 ? value
         : factors == FactorType::kBf16  ? NearestBf16(value)
                                         : FloatFromFp16(Fp16FromFloat(value));
}

using Parameter = std::tuple<const FloatKernels*, FactorType>;

std::vector<Parameter> TablesWithFactors() {
  std::vector<Parameter> all;
  for (const FloatKernels* kernels : SupportedFloatKernels()) {
    all.emplace_back(kernels, FactorType::kBf16);
    all.emplace_back(kernels, FactorType::kFp16);
    if (HasFloat32Products(*kernels)) {
      all.emplace_back(kernels, FactorType::kFloat32);
    }
  }
  return all;
}

std::string NameOf(const testing::TestParamInfo<Parameter>& info) {
  const auto [kernels, factors] = info.param;
  std::string name = absl::StrCat(kernels->name, factors == FactorType::kFloat32 ? "_float32"
                                                 : factors == FactorType::kBf16  ? "_bf16"
                                                                                 : "_fp16");
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class FloatMatMulTest : public testing::TestWithParam<Parameter> {
 protected:
  [[nodiscard]] const FloatKernels& kernels() const { return *std::get<0>(GetParam()); }
  [[nodiscard]] FactorType factors() const { return std::get<1>(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(AllTables, FloatMatMulTest, testing::ValuesIn(TablesWithFactors()),
                         NameOf);

// Ties, numbers on both sides of them, the ends of the ranges of BF16 and FP16, and NaN.
std::vector<float> DifficultNumbers() {
  std::vector<float> numbers = {0.0F, -0.0F, 1.0F, 65504.0F, 65519.0F, 65520.0F, 1e30F};
  for (const uint32_t bits :
       {0x3F808000U, 0x3F818000U, 0x3F808001U, 0x3F817FFFU, 0x3F801000U, 0x3F803000U,
        0x3F801001U, 0x7F7FFFFFU, 0x7F7F8000U, 0x7F7F7FFFU, 0x7F800000U, 0x00000001U,
        0x007FFFFFU, 0x00800000U, 0x00808000U, 0x33000000U, 0x33000001U, 0x33800000U,
        0x33C00000U, 0x38800000U, 0x387FFFFFU, 0x7FC00000U}) {
    numbers.push_back(std::bit_cast<float>(bits));
    numbers.push_back(-std::bit_cast<float>(bits));
  }
  std::mt19937 random(20260113);
  for (int i = 0; i < 2000; ++i) {
    const auto drawn = static_cast<uint32_t>(random());
    numbers.push_back(std::bit_cast<float>(drawn));
  }
  return numbers;
}

// The numbers that FP32 products support without rounding.
std::vector<float> OrdinaryNumbers() {
  std::vector<float> numbers = DifficultNumbers();
  std::erase_if(numbers, [](float number) {
    const float size = std::fabs(number);
    return !(size == 0.0F || (size >= 0x1p-102F && size < 0x1.FFp127F));
  });
  return numbers;
}

void ExpectSame(float got, float wanted, float of) {
  if (std::isnan(wanted)) {
    EXPECT_TRUE(std::isnan(got)) << "of NaN: " << got;
    return;
  }
  EXPECT_EQ(got, wanted) << "of " << absl::StrCat(absl::Hex(std::bit_cast<uint32_t>(of)));
}

TEST_P(FloatMatMulTest, FactorsAreRoundedToTheNearest) {
  const std::vector<float> numbers =
      factors() == FactorType::kFloat32 ? OrdinaryNumbers() : DifficultNumbers();
  const auto count = static_cast<int64_t>(numbers.size());
  constexpr int64_t kGap = 3;
  std::vector<float> spread(numbers.size() * kGap, 9.0F);
  for (size_t i = 0; i < numbers.size(); ++i) {
    spread[i * kGap] = numbers[i];
  }
  const float one = 1.0F;
  const FloatMatrix unit{.values = &one, .row_stride = 1, .column_stride = 1};
  ThreadPool pool(1);
  std::vector<float> out(numbers.size());
  // Contiguous, and each in a row of its own: the two ways to pack.
  for (const int64_t stride : {int64_t{1}, kGap}) {
    const float* values = stride == 1 ? numbers.data() : spread.data();
    MultiplyFloats({.factors = factors(),
                    .rows = count,
                    .terms = 1,
                    .columns = 1,
                    .left = {.values = values, .row_stride = stride, .column_stride = 1},
                    .right = unit,
                    .out = out.data(),
                    .out_stride = 1},
                   pool, kernels());
    for (size_t i = 0; i < numbers.size(); ++i) {
      ExpectSame(out[i], Nearest(factors(), numbers[i]), numbers[i]);
    }
    std::fill(out.begin(), out.end(), -1.0F);
    MultiplyFloats({.factors = factors(),
                    .rows = 1,
                    .terms = 1,
                    .columns = count,
                    .left = unit,
                    .right = {.values = values, .row_stride = 1, .column_stride = stride},
                    .out = out.data(),
                    .out_stride = count},
                   pool, kernels());
    for (size_t i = 0; i < numbers.size(); ++i) {
      ExpectSame(out[i], Nearest(factors(), numbers[i]), numbers[i]);
    }
  }
}

struct Shape {
  int64_t rows = 0;
  int64_t terms = 0;
  int64_t columns = 0;
};

// Whole panels and blocks, and one more or less than those; {40, 300, 72} has several sweeps of
// terms in whole squares and in cut ones, and others have several blocks of terms, and of rows.
constexpr Shape kShapes[] = {{1, 1, 1},     {16, 32, 32},   {17, 33, 31},  {31, 70, 33},
                             {5, 64, 48},   {33, 1, 17},    {64, 96, 100}, {40, 300, 72},
                             {7, 2051, 19}, {1039, 40, 18}, {18, 40, 600}, {1027, 3, 1030}};

// A matrix of deviates with contiguous rows or columns, with a gap after each.
struct Stored {
  Stored(int64_t rows, int64_t columns, bool transposed, uint64_t seed) {
    const int64_t gap = 5;
    const int64_t side = transposed ? rows : columns;
    const int64_t count = transposed ? columns : rows;
    std::mt19937_64 random(seed);
    std::normal_distribution<float> deviate(0.0F, 1.0F);
    values.resize(static_cast<size_t>((side + gap) * count));
    for (float& value : values) {
      value = deviate(random);
    }
    view = {.values = values.data(),
            .row_stride = transposed ? 1 : side + gap,
            .column_stride = transposed ? side + gap : 1};
  }
  [[nodiscard]] float At(int64_t row, int64_t column) const {
    return view.values[row * view.row_stride + column * view.column_stride];
  }

  std::vector<float> values;
  FloatMatrix view;
};

// out: contiguous rows.
FloatProduct ProductOf(FactorType factors, const Shape& shape, const Stored& left,
                       const Stored& right, float* out) {
  return {.factors = factors,
          .rows = shape.rows,
          .terms = shape.terms,
          .columns = shape.columns,
          .left = left.view,
          .right = right.view,
          .out = out,
          .out_stride = shape.columns};
}

enum class Initial { kZero, kBias, kOut };

// An FP32 sum of n products is within n + 1 roundings of the sum of their magnitudes; if FP32
// factors are multiplied in parts, the six products of parts take as many roundings.
void ExpectProduct(const FloatProduct& product, const Stored& left, const Stored& right,
                   const std::vector<float>& initial, const std::vector<float>& out) {
  for (int64_t i = 0; i < product.rows; ++i) {
    for (int64_t j = 0; j < product.columns; ++j) {
      double sum = 0.0;
      double size = 0.0;
      if (!initial.empty()) {
        sum = initial[static_cast<size_t>(i * product.initial_stride + j)];
        size = std::fabs(sum);
      }
      for (int64_t t = 0; t < product.terms; ++t) {
        const double term = double{Nearest(product.factors, left.At(i, t))} *
                            double{Nearest(product.factors, right.At(t, j))};
        sum += term;
        size += std::fabs(term);
      }
      const int64_t roundings = product.terms + (product.factors == FactorType::kFloat32 ? 7 : 2);
      const double bound = static_cast<double>(roundings) * 0x1p-24 * size;
      ASSERT_NEAR(out[static_cast<size_t>(i * product.out_stride + j)], sum, bound)
          << "row " << i << ", column " << j;
    }
  }
}

TEST_P(FloatMatMulTest, SumsAreThoseOfTheRoundedFactorsInEveryFormAndShape) {
  ThreadPool pool(2);
  uint64_t seed = 1;
  for (const Shape& shape : kShapes) {
    for (int form = 0; form < 4; ++form) {
      const auto how = static_cast<Initial>(seed % 3);
      SCOPED_TRACE(absl::StrCat(shape.rows, " x ", shape.terms, " x ", shape.columns, ", form ",
                                form, ", initial ", seed % 3, ", seed ", seed));
      const Stored left(shape.rows, shape.terms, form % 2 == 1, seed);
      const Stored right(shape.terms, shape.columns, form / 2 == 1, seed + 100);
      const int64_t stride = shape.columns + 3;
      std::vector<float> out(static_cast<size_t>(shape.rows * stride));
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = static_cast<float>(i % 7);
      }
      const std::vector<float> before = out;
      std::vector<float> initial;
      FloatProduct product = ProductOf(factors(), shape, left, right, out.data());
      product.out_stride = stride;
      if (how == Initial::kBias) {
        initial.assign(before.begin(), before.begin() + shape.columns);
        product.initial = initial.data();
      } else if (how == Initial::kOut) {
        initial = before;
        product.initial = out.data();
        product.initial_stride = stride;
      }
      MultiplyFloats(product, pool, kernels());
      ExpectProduct(product, left, right, initial, out);
      for (int64_t i = 0; i < shape.rows; ++i) {
        for (int64_t j = shape.columns; j < stride; ++j) {
          const auto behind = static_cast<size_t>(i * stride + j);
          ASSERT_EQ(out[behind], before[behind]) << "behind row " << i;
        }
      }
      ++seed;
    }
  }
}

// Σ (result - exact)² of a product, for the kernels' result and for a sum of FP32 products.
struct Errors {
  double of_kernels = 0.0;
  double of_floats = 0.0;
};
Errors ErrorsOf(const FloatProduct& product, const Stored& left, const Stored& right) {
  Errors errors;
  for (int64_t i = 0; i < product.rows; ++i) {
    for (int64_t j = 0; j < product.columns; ++j) {
      double exact = 0.0;
      float in_floats = 0.0F;
      for (int64_t t = 0; t < product.terms; ++t) {
        exact += double{left.At(i, t)} * double{right.At(t, j)};
        in_floats = std::fma(left.At(i, t), right.At(t, j), in_floats);
      }
      errors.of_kernels += std::pow(double{product.out[i * product.out_stride + j]} - exact, 2.0);
      errors.of_floats += std::pow(double{in_floats} - exact, 2.0);
    }
  }
  return errors;
}

// Few terms: shows the error of one product. Many: shows the error of the addition.
TEST(FloatProductTest, IsAsNearToTheExactSumAsASumOfFloatProducts) {
  if (!HasFloat32Products()) {
    GTEST_SKIP() << "this processor has no FP32 products of our own";
  }
  for (const int64_t terms : {40, 768}) {
    const Shape shape{.rows = 33, .terms = terms, .columns = 35};
    const Stored left(shape.rows, shape.terms, false, 5);
    const Stored right(shape.terms, shape.columns, true, 6);
    std::vector<float> out(static_cast<size_t>(shape.rows * shape.columns));
    const FloatProduct product = ProductOf(FactorType::kFloat32, shape, left, right, out.data());
    ThreadPool pool(2);
    MultiplyFloats(product, pool);
    const Errors errors = ErrorsOf(product, left, right);
    EXPECT_LT(errors.of_kernels, errors.of_floats) << terms << " terms";
  }
}

// A right factor stored in BF16 gives the bits of its FP32 copy, even for the smallest numbers,
// which count as zero.
TEST_P(FloatMatMulTest, ABf16FactorIsItsFloatCopyToTheLastBit) {
  ThreadPool pool(2);
  uint64_t seed = 1;
  for (const Shape& shape : kShapes) {
    for (const bool transposed : {false, true}) {
      SCOPED_TRACE(absl::StrCat(shape.rows, " x ", shape.terms, " x ", shape.columns, ", ",
                                transposed ? "transposed" : "as it is", ", seed ", seed));
      const Stored left(shape.rows, shape.terms, false, seed);
      Stored right(shape.terms, shape.columns, transposed, seed + 100);
      right.values.front() = 0x1p-130F;
      std::vector<uint16_t> numbers;
      for (float& value : right.values) {
        numbers.push_back(Bf16FromFloat(value));
        WidenBf16(&numbers.back(), 1, &value);
      }
      std::vector<float> wanted(static_cast<size_t>(shape.rows * shape.columns));
      std::vector<float> out(wanted.size());
      FloatProduct product = ProductOf(factors(), shape, left, right, wanted.data());
      MultiplyFloats(product, pool, kernels());
      product.right.values = nullptr;
      product.right_bf16 = numbers.data();
      product.out = out.data();
      MultiplyFloats(product, pool, kernels());
      ASSERT_EQ(out, wanted);
      ++seed;
    }
  }
}

TEST_P(FloatMatMulTest, ThreadsChangeNoBit) {
  for (const Shape& shape : {Shape{.rows = 100, .terms = 1700, .columns = 600},
                             Shape{.rows = 600, .terms = 1700, .columns = 100}}) {
    const Stored left(shape.rows, shape.terms, false, 1);
    const Stored right(shape.terms, shape.columns, true, 2);
    std::vector<float> outs[2];
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      std::vector<float>& out = outs[threads / 2];
      // The addend of the products.
      out.assign(static_cast<size_t>(shape.rows * shape.columns), 1e-3F);
      FloatProduct product = ProductOf(factors(), shape, left, right, out.data());
      product.initial = out.data();
      product.initial_stride = product.out_stride;
      MultiplyFloats(product, pool, kernels());
    }
    EXPECT_EQ(outs[0], outs[1]) << shape.rows << " rows";
  }
}

// Other rows and the blocks that contain them do not change a sum.
TEST_P(FloatMatMulTest, ARowIsTheSameInEveryProduct) {
  const Shape shape{.rows = 1030, .terms = 800, .columns = 1040};
  const Stored left(shape.rows, shape.terms, false, 1);
  const Stored right(shape.terms, shape.columns, true, 2);
  ThreadPool pool(2);
  const auto multiply = [&](FloatProduct product, float* out) {
    product.out = out;
    MultiplyFloats(product, pool, kernels());
  };
  std::vector<float> out(static_cast<size_t>(shape.rows * shape.columns));
  FloatProduct product = ProductOf(factors(), shape, left, right, nullptr);
  multiply(product, out.data());
  product.rows = 1;
  for (const int64_t row : {0, 500, 1023, 1024, 1029}) {
    std::vector<float> alone(static_cast<size_t>(shape.columns));
    product.left.values = left.view.values + row * left.view.row_stride;
    multiply(product, alone.data());
    const auto first = out.begin() + row * shape.columns;
    EXPECT_EQ(alone, std::vector<float>(first, first + shape.columns)) << "row " << row;
  }
}

// Sequences stacked, and their heads side by side: the layout of the factors and the result.
TEST_P(FloatMatMulTest, ABatchIsItsProductsOneByOne) {
  const Shape shape{.rows = 35, .terms = 40, .columns = 37};
  constexpr int64_t kSequences = 3;
  constexpr int64_t kHeads = 5;
  const Stored left(kSequences * shape.rows, kHeads * shape.terms, false, 3);
  const Stored right(kSequences * shape.terms, kHeads * shape.columns, false, 4);
  const int64_t out_width = kHeads * shape.columns;
  std::vector<float> out(static_cast<size_t>(kSequences * shape.rows * out_width));
  FloatProduct product = ProductOf(factors(), shape, left, right, out.data());
  product.out_stride = out_width;
  const FloatBatch batch = {
      .first = product,
      .outer_count = kSequences,
      .inner_count = kHeads,
      .left = {.outer = shape.rows * left.view.row_stride, .inner = shape.terms},
      .right = {.outer = shape.terms * right.view.row_stride, .inner = shape.columns},
      .out = {.outer = shape.rows * out_width, .inner = shape.columns}};
  ThreadPool pool(2);
  MultiplyFloatBatch(batch, pool, kernels());
  std::vector<float> one_by_one(out.size());
  for (int64_t sequence = 0; sequence < kSequences; ++sequence) {
    for (int64_t head = 0; head < kHeads; ++head) {
      FloatProduct one = product;
      one.left.values += sequence * batch.left.outer + head * batch.left.inner;
      one.right.values += sequence * batch.right.outer + head * batch.right.inner;
      one.out = one_by_one.data() + sequence * batch.out.outer + head * batch.out.inner;
      MultiplyFloats(one, pool, kernels());
    }
  }
  EXPECT_EQ(out, one_by_one);
}

// Queries of `shared` heads stacked; the last of `keys` keys are their own.
struct CausalShape {
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t shared = 1;
  int64_t width = 0;
};

class CausalMaskTest : public FloatMatMulTest {
 protected:
  // Queries in rows: zero where a query does not see the key.
  static void HideUnseen(const CausalShape& shape, bool transposed, Stored& probabilities) {
    const auto hide = [&](int64_t query, int64_t key) {
      if (key > query % shape.queries + shape.keys - shape.queries) {
        const FloatMatrix& view = probabilities.view;
        const int64_t row = transposed ? key : query;
        const int64_t column = transposed ? query : key;
        probabilities
            .values[static_cast<size_t>(row * view.row_stride + column * view.column_stride)] =
            0.0F;
      }
    };
    for (int64_t query = 0; query < shape.shared * shape.queries; ++query) {
      for (int64_t key = 0; key < shape.keys; ++key) {
        hide(query, key);
      }
    }
  }

  // The result of one product as a batch of one, masked or not.
  std::vector<float> Multiply(const Shape& shape, const Stored& left, const Stored& right,
                              const CausalMask& mask) {
    std::vector<float> out(static_cast<size_t>(shape.rows * shape.columns), -1.0F);
    MultiplyFloatBatch(
        {.first = ProductOf(factors(), shape, left, right, out.data()), .mask = mask}, pool_,
        kernels());
    return out;
  }

 private:
  ThreadPool pool_{1};
};

INSTANTIATE_TEST_SUITE_P(AllTables, CausalMaskTest, testing::ValuesIn(TablesWithFactors()), NameOf);

constexpr CausalShape kCausalShapes[] = {{.queries = 256, .keys = 256, .width = 64},
                                         {.queries = 100, .keys = 100, .width = 24},
                                         {.queries = 64, .keys = 64, .shared = 4, .width = 40},
                                         {.queries = 33, .keys = 70, .shared = 3, .width = 8},
                                         {.queries = 300, .keys = 300, .width = 64},
                                         {.queries = 1100, .keys = 1100, .width = 16},
                                         {.queries = 1, .keys = 90, .shared = 2, .width = 64}};

TEST_P(CausalMaskTest, SeenScoresAreThoseWithoutAMask) {
  for (const CausalShape& shape : kCausalShapes) {
    SCOPED_TRACE(absl::StrCat(shape.queries, " queries, ", shape.keys, " keys"));
    const int64_t rows = shape.shared * shape.queries;
    const int64_t diagonal = shape.keys - shape.queries;
    const Stored query(rows, shape.width, false, 1);
    const Stored key(shape.width, shape.keys, true, 2);
    const Shape product{.rows = rows, .terms = shape.width, .columns = shape.keys};
    const std::vector<float> wanted = Multiply(product, query, key, {});
    const std::vector<float> got = Multiply(
        product, query, key,
        {.part = CausalMask::Part::kResult, .queries = shape.queries, .diagonal = diagonal});
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = static_cast<size_t>(row * shape.keys);
      const auto seen = static_cast<size_t>(row % shape.queries + diagonal + 1);
      for (size_t i = first; i < first + seen; ++i) {
        ASSERT_EQ(got[i], wanted[i]) << "row " << row << ", key " << i - first;
      }
    }
  }
}

TEST_P(CausalMaskTest, SumsOverSeenKeysAndQueriesAreThoseWithoutAMask) {
  for (const CausalShape& shape : kCausalShapes) {
    SCOPED_TRACE(absl::StrCat(shape.queries, " queries, ", shape.keys, " keys"));
    const int64_t queries = shape.shared * shape.queries;
    const int64_t diagonal = shape.keys - shape.queries;
    for (const bool transposed : {false, true}) {
      const int64_t rows = transposed ? shape.keys : queries;
      const int64_t terms = transposed ? queries : shape.keys;
      // Transposed, the lanes of the left factor are contiguous, as in a backward pass.
      Stored left(rows, terms, transposed, 3);
      HideUnseen(shape, transposed, left);
      const Stored right(terms, shape.width, false, 4);
      const Shape product{.rows = rows, .terms = terms, .columns = shape.width};
      const CausalMask mask = {
          .part = transposed ? CausalMask::Part::kLeftTransposed : CausalMask::Part::kLeft,
          .queries = shape.queries,
          .diagonal = diagonal};
      ASSERT_EQ(Multiply(product, left, right, mask), Multiply(product, left, right, {}))
          << (transposed ? "transposed" : "as it is");
    }
  }
}

}  // namespace
}  // namespace wattle::kernels
