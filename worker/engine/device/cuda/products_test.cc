// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products and embeddings of the CUDA kernels, run on the host, against rows dequantized by the
// CPU's formats and the GGUF reader, multiplied in double precision.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/engine/device/cuda/kernels/arguments.h"
#include "worker/engine/device/cuda/testing/host_gpu.h"
#include "worker/engine/device/cuda/testing/host_kernels.h"
#include "worker/engine/kernels/nf4_double.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::cuda {
namespace {

using kernels::Nonlinearity;
using kernels::WeightScheme;

// Numbers for a test: Philox, seeded by the printed name.
class Drawn {
 public:
  explicit Drawn(uint64_t seed) : seed_(seed) {}
  int Between(int low, int high) {
    const float uniform =
        0.5F + 0.5F * std::erf(kernels::NormalValues(1, seed_++)[0] / std::sqrt(2.0F));
    return std::min(high, low + static_cast<int>(uniform * static_cast<float>(high - low + 1)));
  }
  uint64_t Seed() { return seed_++; }

 private:
  uint64_t seed_;
};

struct Format {
  const char* name;
  int column_step;  // columns are a multiple of it
  int group = 0;
};

// A stored matrix, its bytes in heap blocks of exactly their size, and its weights as floats.
struct TestMatrix {
  StoredMatrix stored = {};
  std::vector<float> weights;  // [rows, columns]
  std::vector<uint8_t> packed;
  std::vector<uint8_t> scales;
  std::vector<float> tables;
};

std::vector<uint8_t> BytesOf(const kernels::AlignedBuffer& buffer) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(buffer.data());
  return {bytes, bytes + buffer.size()};
}

void StoreByScheme(kernels::WeightFormat format, TestMatrix& matrix) {
  const kernels::OwnedMatrix owned(format, matrix.stored.rows, matrix.stored.columns,
                                   matrix.weights);
  matrix.packed = BytesOf(owned.packed);
  matrix.scales = BytesOf(owned.scales);
  kernels::OperationsOf(format.scheme)
      .dequantize(owned.matrix, 0, owned.matrix.rows, matrix.weights.data());
}

std::unique_ptr<TestMatrix> MakeMatrix(const Format& format, int rows, int columns, uint64_t seed) {
  auto matrix = std::make_unique<TestMatrix>();
  matrix->stored.rows = rows;
  matrix->stored.columns = columns;
  matrix->stored.group = format.group;
  matrix->weights = kernels::NormalValues(int64_t{rows} * columns, seed);
  const std::string name = format.name;
  const auto scheme = [&](WeightScheme which) {
    StoreByScheme({.scheme = which, .group_size = format.group}, *matrix);
  };
  if (name == "fp32") {
    scheme(WeightScheme::kFloat32);
  } else if (name == "bf16") {
    scheme(WeightScheme::kBf16);
  } else if (name == "int8") {
    scheme(WeightScheme::kInt8);
  } else if (name == "int4") {
    scheme(WeightScheme::kInt4);
  } else if (name == "int4a") {
    scheme(WeightScheme::kInt4Asymmetric);
  } else if (name == "nf4") {
    scheme(WeightScheme::kNf4);
  } else if (name == "nf4dq") {
    scheme(WeightScheme::kNf4DoubleQuantized);
    matrix->tables.assign(kernels::Nf4Values().begin(), kernels::Nf4Values().end());
    matrix->tables.insert(matrix->tables.end(), kernels::DynamicMap().begin(),
                          kernels::DynamicMap().end());
  } else if (name == "int8g") {
    scheme(WeightScheme::kInt8Grouped);
  } else if (name == "int6") {
    scheme(WeightScheme::kInt6);
  } else {
    scheme(WeightScheme::kFloat16);
  }
  matrix->stored.packed = matrix->packed.data();
  matrix->stored.scales = matrix->scales.data();
  matrix->stored.tables = matrix->tables.data();
  return matrix;
}

double Nonlinear(Nonlinearity f, double x) {
  switch (f) {
    case Nonlinearity::kNone:
      return x;
    case Nonlinearity::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case Nonlinearity::kGeluErf:
      return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case Nonlinearity::kSilu:
      return x / (1.0 + std::exp(-x));
    case Nonlinearity::kRelu:
      return std::max(0.0, x);
  }
  return 0.0;
}

bool InPanels(const std::string& format) {
  return format == "int8" || format == "int8g" || format == "int4" || format == "int4a" ||
         format == "nf4" || format == "int6";
}

// One product of a random shape, with buffers of exactly the size that the kernel may access.
class ProductCase {
 public:
  ProductCase(const Format& format, uint64_t seed) : format_(format), seed_(seed), drawn_(seed) {
    count_ = drawn_.Between(1, kMaxProductRows);
    gated_ = drawn_.Between(0, 3) == 0;
    const int rows = gated_ ? 32 * drawn_.Between(1, 2) : drawn_.Between(1, 45);
    const int columns = format.column_step * drawn_.Between(1, 400 / format.column_step + 1);
    matrix_ = MakeMatrix(format, rows, columns, drawn_.Seed());
    bias_ = kernels::NormalValues(drawn_.Between(0, 1) * rows, drawn_.Seed());
    input_stride_ = (columns + 3) / 4 * 4 + 4 * drawn_.Between(0, 2);
    out_stride_ = rows + drawn_.Between(0, 3);
    inputs_ = kernels::NormalValues(int64_t{count_ - 1} * input_stride_ + columns, drawn_.Seed());
    out_ = kernels::NormalValues(int64_t{count_ - 1} * out_stride_ + rows, drawn_.Seed());
    before_ = out_;
    nonlinearity_ = static_cast<Nonlinearity>(drawn_.Between(0, 4));
    accumulate_ = drawn_.Between(0, 1) == 1;
  }

  [[nodiscard]] int count() const { return count_; }
  // The first of `count()` rows of inputs.
  void KeepRows(int count) { count_ = count; }

  void Run(uint64_t order) {
    int kernel_rows = 1;
    while (kernel_rows < count_) {
      kernel_rows *= 2;
    }
    out_ = before_;
    const ProductArguments arguments = {.matrix = matrix_->stored,
                                        .bias = bias_.empty() ? nullptr : bias_.data(),
                                        .inputs = inputs_.data(),
                                        .out = out_.data(),
                                        .count = count_,
                                        .input_stride = input_stride_,
                                        .out_stride = out_stride_,
                                        .nonlinearity = static_cast<int>(nonlinearity_),
                                        .accumulate = accumulate_ ? 1 : 0,
                                        .gated = gated_ ? 1 : 0};
    const HostKernel* kernel =
        FindHostKernel(absl::StrCat("product_", format_.name, "_rows", kernel_rows));
    ASSERT_NE(kernel, nullptr);
    const int rows = gated_ ? matrix_->stored.rows / 2 : matrix_->stored.rows;
    const int of_block = InPanels(format_.name) ? kPanelRows : kRowsOfBlock;
    const int of_panel = kernel_rows == 1 ? kWideThreads : kPanelThreads;
    const auto counts = RunOnHost({.blocks = (rows + of_block - 1) / of_block,
                                   .threads = of_block == kPanelRows ? of_panel : kBlockThreads},
                                  order, [&] { kernel->run(&arguments); });
    ASSERT_TRUE(counts.ok()) << counts.status();
    weight_bytes_ = counts->weight_bytes;
  }

  void ExpectSums() const {
    const StoredMatrix& stored = matrix_->stored;
    const int outputs = gated_ ? stored.rows / 2 : stored.rows;
    for (int i = 0; i < count_; ++i) {
      for (int r = 0; r < out_stride_ && i * out_stride_ + r < static_cast<int>(out_.size()); ++r) {
        const auto place = static_cast<size_t>(i * out_stride_ + r);
        double wanted = before_[place];
        double size = 1.0;
        if (r < outputs) {
          const auto [first, first_size] = Sum(i, r);
          const auto [second, second_size] = gated_ ? Sum(i, r + outputs) : std::pair(1.0, 1.0);
          wanted = Nonlinear(nonlinearity_, first) * second + (accumulate_ ? wanted : 0.0);
          size = (1.0 + first_size) * (1.0 + second_size);
        }
        // Sums of a few hundred products in FP32; 2^-23 for each and as much for the functions.
        ASSERT_NEAR(out_[place], wanted, r < outputs ? 2e-6 * size : 0.0)
            << format_.name << " seed " << seed_ << ": input " << i << ", row " << r << " of "
            << stored.rows << " x " << stored.columns << ", " << count_ << " inputs";
      }
    }
  }

  [[nodiscard]] const std::vector<float>& out() const { return out_; }
  [[nodiscard]] std::vector<float> FirstOut() const {
    return {out_.begin(), out_.begin() + matrix_->stored.rows};
  }
  [[nodiscard]] int64_t weight_bytes() const { return weight_bytes_; }
  [[nodiscard]] int64_t stored_bytes() const {
    return static_cast<int64_t>(matrix_->packed.size() + matrix_->scales.size());
  }

 private:
  // The sum of a row with its bias, and that of the magnitudes of the addends.
  [[nodiscard]] std::pair<double, double> Sum(int i, int row) const {
    const auto columns = static_cast<size_t>(matrix_->stored.columns);
    const float* weights = matrix_->weights.data() + static_cast<size_t>(row) * columns;
    const float* inputs = inputs_.data() + static_cast<size_t>(i * input_stride_);
    double sum = bias_.empty() ? 0.0 : bias_[static_cast<size_t>(row)];
    double size = std::fabs(sum);
    for (size_t c = 0; c < columns; ++c) {
      const double product = static_cast<double>(weights[c]) * inputs[c];
      sum += product;
      size += std::fabs(product);
    }
    return {sum, size};
  }

  Format format_;
  uint64_t seed_;
  Drawn drawn_;
  int count_ = 0;
  bool gated_ = false;
  int input_stride_ = 0;
  int out_stride_ = 0;
  Nonlinearity nonlinearity_ = Nonlinearity::kNone;
  bool accumulate_ = false;
  int64_t weight_bytes_ = 0;
  std::unique_ptr<TestMatrix> matrix_;
  std::vector<float> bias_;
  std::vector<float> inputs_;
  std::vector<float> out_;
  std::vector<float> before_;
};

constexpr Format kFormats[] = {
    {"fp32", 1},        {"fp16", 1},       {"bf16", 1},       {"int8", 1},       {"int4", 32, 32},
    {"int4", 128, 128}, {"int4a", 64, 64}, {"int4a", 32, 32}, {"nf4", 64, 64},   {"nf4", 32, 32},
    {"nf4dq", 64, 64},  {"nf4dq", 32, 32}, {"int8g", 32, 32}, {"int8g", 64, 64}, {"int6", 256, 16},
};

class CudaProductTest : public testing::TestWithParam<Format> {};

TEST_P(CudaProductTest, SumsAreThoseOfTheDequantizedRows) {
  for (uint64_t seed = 100; seed < 104; ++seed) {
    ProductCase product(GetParam(), seed);
    product.Run(seed);
    product.ExpectSums();
  }
}

TEST_P(CudaProductTest, EveryOrderOfThreadsGivesTheSameBits) {
  ProductCase product(GetParam(), 7);
  product.Run(1);
  const std::vector<float> first = product.out();
  for (uint64_t order = 2; order < 4; ++order) {
    product.Run(order);
    EXPECT_EQ(product.out(), first) << "order " << order;
  }
}

TEST_P(CudaProductTest, ARowHasTheSameBitsAloneAndBesideOthers) {
  const Format format = {GetParam().name, 512, GetParam().group};
  uint64_t seed = 3;
  while (ProductCase(format, seed).count() < 5) {
    ++seed;
  }
  ProductCase product(format, seed);
  product.KeepRows(1);
  product.Run(1);
  const std::vector<float> alone = product.FirstOut();
  for (const int count : {2, 3, 5}) {
    product.KeepRows(count);
    product.Run(1);
    EXPECT_EQ(product.FirstOut(), alone) << GetParam().name << ", " << count << " rows";
  }
}

TEST_P(CudaProductTest, AnEmbeddingIsTheTokensRowAndItsPosition) {
  Drawn drawn(31);
  const int columns = GetParam().column_step * drawn.Between(2, 5);
  const auto matrix = MakeMatrix(GetParam(), 37, columns, 5);
  const std::vector<float> positions = kernels::NormalValues(int64_t{9} * columns, 6);
  const std::vector<long long> tokens = {36, 0, 17};
  const std::vector<int> position_of = {8, 0, 3};
  const int stride = columns + 2;
  std::vector<float> out(static_cast<size_t>(2 * stride + columns), -1.0F);
  const HostKernel* kernel = FindHostKernel(absl::StrCat("embed_", GetParam().name));
  ASSERT_NE(kernel, nullptr);
  const EmbedArguments arguments = {.matrix = matrix->stored,
                                    .tokens = tokens.data(),
                                    .positions = positions.data(),
                                    .position_of = position_of.data(),
                                    .out = out.data(),
                                    .out_stride = stride};
  ASSERT_TRUE(RunOnHost({.blocks = 3}, 1, [&] { kernel->run(&arguments); }).ok());
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (int c = 0; c < columns; ++c) {
      const auto column = static_cast<size_t>(c);
      const auto width = static_cast<size_t>(columns);
      const float wanted = matrix->weights[static_cast<size_t>(tokens[i]) * width + column] +
                           positions[static_cast<size_t>(position_of[i]) * width + column];
      EXPECT_NEAR(out[i * static_cast<size_t>(stride) + column], wanted, 1e-5)
          << GetParam().name << " token " << tokens[i] << ", column " << c;
    }
  }
}

// The nearest BF16 of a float, ties to even.
float RoundedToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFFU + (bits >> 16U & 1U)) & 0xFFFF0000U);
}

TEST_P(CudaProductTest, RowsForTensorCoresAreTheDequantizedOnes) {
  Drawn drawn(47);
  for (int i = 0; i < 3; ++i) {
    const int rows = drawn.Between(17, 60);
    const int columns = GetParam().column_step * drawn.Between(1, 200 / GetParam().column_step + 1);
    const auto matrix = MakeMatrix(GetParam(), rows, columns, drawn.Seed());
    const int first = kPanelRows * drawn.Between(0, 1);
    const int count = drawn.Between(1, rows - first);
    const bool bf16 = i != 1;
    std::vector<uint16_t> halves(static_cast<size_t>(count * columns));
    std::vector<float> floats(halves.size());
    const DequantizeArguments arguments = {
        .matrix = matrix->stored,
        .first_row = first,
        .rows = count,
        .bf16 = bf16 ? 1 : 0,
        .out = bf16 ? static_cast<void*>(halves.data()) : floats.data()};
    const HostKernel* kernel = FindHostKernel(absl::StrCat("dequantize_", GetParam().name));
    ASSERT_NE(kernel, nullptr);
    const int of_block = InPanels(GetParam().name) ? kPanelRows : 1;
    ASSERT_TRUE(RunOnHost({.blocks = (count + of_block - 1) / of_block}, drawn.Seed(), [&] {
                  kernel->run(&arguments);
                }).ok());
    for (size_t place = 0; place < floats.size(); ++place) {
      const float weight = matrix->weights[static_cast<size_t>(first * columns) + place];
      const float got =
          bf16 ? std::bit_cast<float>(static_cast<uint32_t>(halves[place]) << 16U) : floats[place];
      // Scales of NF4 are multiplied in another order: the last bit may differ.
      const float wanted = bf16 ? RoundedToBf16(weight) : weight;
      ASSERT_NEAR(got, wanted, std::fabs(weight) * (bf16 ? 0.0079F : 1e-6F))
          << GetParam().name << ", case " << i << ": number " << place << " of " << count << " x "
          << columns << " from row " << first;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllFormats, CudaProductTest, testing::ValuesIn(kFormats),
                         [](const testing::TestParamInfo<Format>& format) {
                           return absl::StrCat(format.param.name, "_", format.param.group);
                         });

TEST(CudaFinishTest, SumsBecomeTheProductsOfTheKernels) {
  Drawn drawn(53);
  for (int i = 0; i < 12; ++i) {
    const bool gated = i % 3 == 0;
    const bool bf16 = i % 2 == 0;
    const int rows = gated ? 2 * drawn.Between(1, 70) : drawn.Between(1, 150);
    const int count = drawn.Between(1, 11);
    const int outputs = gated ? rows / 2 : rows;
    const int stride = outputs + drawn.Between(0, 3);
    const auto bias = kernels::NormalValues(drawn.Between(0, 1) * rows, drawn.Seed());
    std::vector<float> sums = kernels::NormalValues(int64_t{count} * rows, drawn.Seed());
    std::vector<uint16_t> halves;
    for (float& sum : sums) {
      sum = bf16 ? RoundedToBf16(sum) : sum;
      halves.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(sum) >> 16U));
    }
    std::vector<float> out =
        kernels::NormalValues(int64_t{count - 1} * stride + outputs, drawn.Seed());
    const std::vector<float> before = out;
    const auto f = static_cast<Nonlinearity>(drawn.Between(0, 4));
    const bool accumulate = drawn.Between(0, 1) == 1;
    FinishArguments arguments = {};
    arguments.product.matrix.rows = rows;
    arguments.product.bias = bias.empty() ? nullptr : bias.data();
    arguments.product.out = out.data();
    arguments.product.count = count;
    arguments.product.out_stride = stride;
    arguments.product.nonlinearity = static_cast<int>(f);
    arguments.product.accumulate = accumulate ? 1 : 0;
    arguments.product.gated = gated ? 1 : 0;
    arguments.sums = bf16 ? static_cast<const void*>(halves.data()) : sums.data();
    arguments.bf16 = bf16 ? 1 : 0;
    const HostKernel* kernel = FindHostKernel("finish_rows");
    ASSERT_NE(kernel, nullptr);
    const int blocks = (count * outputs + kBlockThreads - 1) / kBlockThreads;
    ASSERT_TRUE(RunOnHost({.blocks = blocks}, drawn.Seed(), [&] { kernel->run(&arguments); }).ok());
    const auto sum = [&](int input, int row) {
      return static_cast<double>(sums[static_cast<size_t>(input * rows + row)]) +
             (bias.empty() ? 0.0F : bias[static_cast<size_t>(row)]);
    };
    for (size_t place = 0; place < out.size(); ++place) {
      const int input = static_cast<int>(place) / stride;
      const int r = static_cast<int>(place) % stride;
      double wanted = before[place];
      if (r < outputs) {
        const double product =
            Nonlinear(f, sum(input, r)) * (gated ? sum(input, r + outputs) : 1.0);
        wanted = product + (accumulate ? wanted : 0.0);
      }
      ASSERT_NEAR(out[place], wanted, r < outputs ? 1e-5 * (1.0 + std::fabs(wanted)) : 0.0)
          << "case " << i << ": input " << input << ", row " << r << " of " << rows;
    }
  }
}

// For whole panels and rows: each byte of weights is read once, for up to eight input rows.
TEST(CudaProductBytesTest, EachByteOfWeightsIsReadOnce) {
  for (const Format& format : kFormats) {
    ProductCase product({format.name, 256, format.group}, 3);
    product.Run(1);
    EXPECT_LE(static_cast<double>(product.weight_bytes()),
              1.05 * static_cast<double>(product.stored_bytes()))
        << format.name;
    EXPECT_GE(static_cast<double>(product.weight_bytes()),
              0.8 * static_cast<double>(product.stored_bytes()))
        << format.name;
  }
}

}  // namespace
}  // namespace wattle::cuda
