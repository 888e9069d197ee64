// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products in a scope that rounds factors: against the plain form, and the effect of rounding on
// the gradients of a tiny model of each family.
#include "worker/engine/models/products.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "worker/engine/device/device.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

// Two FP32 sums of the same products in another order.
constexpr double kSumTolerance = 1e-5;

// For a product of rounded factors, relative to its largest number: half a step of the type to
// which a device may round it.
double ProductTolerance(FactorType factors) {
  return !RoundsProducts() ? kSumTolerance : factors == FactorType::kBf16 ? 0x1p-8 : 0x1p-11;
}

// An FP32 sum of up to 70 products and the exact one.
constexpr double kFloatTolerance = 1e-6;

class ProductsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(SetThreads(1), IsOk());
    at::manual_seed(20260121);
  }
};

at::Tensor Random(at::IntArrayRef sizes) {
  return OnTestDevice(at::randn(sizes, at::kFloat));
}

TEST_F(ProductsTest, Tf32IsAllowedInItsScopeAlone) {
  const auto allowed = [] { return at::globalContext().allowTF32CuBLAS(); };
  ASSERT_FALSE(allowed());
  {
    const Tf32Scope tf32(true);
    EXPECT_TRUE(allowed());
    {
      const Tf32Scope inner(false);
      EXPECT_FALSE(allowed());
    }
    EXPECT_TRUE(allowed());
  }
  EXPECT_FALSE(allowed());
}

TEST_F(ProductsTest, OutsideOfAScopeNothingIsRounded) {
  const auto exact = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  const auto error = [](const at::Tensor& got, const at::Tensor& wanted) {
    return RelativeError(got.to(at::kDouble), wanted);
  };
  const at::Tensor x = Random({33, 70});
  const at::Tensor w = Random({40, 70});
  const at::Tensor bias = Random({40});
  const at::Tensor wanted = at::mm(exact(x), exact(w).t());
  EXPECT_LT(error(Product(x, w.t()), wanted), kFloatTolerance);
  EXPECT_LT(error(Product(x, w.t(), bias), wanted + bias), kFloatTolerance);
  at::Tensor sum = Random({33, 80}).narrow(1, 11, 40);
  const at::Tensor all = wanted + sum;
  AddProduct(x, w.t(), sum);
  EXPECT_LT(error(sum, all), kFloatTolerance);
  ProductInto(x, w.t(), sum);
  EXPECT_LT(error(sum, wanted), kFloatTolerance);
  const at::Tensor many = Random({2, 3, 17, 5});
  EXPECT_LT(error(BatchProduct(many, many.transpose(2, 3)),
                  at::matmul(exact(many), exact(many).transpose(2, 3))),
            kFloatTolerance);
}

TEST_F(ProductsTest, WithoutFloat32KernelsTheyAreLibtorchsToTheLastBit) {
  if (OperationsOn(TestDevice()).in_host_memory() && kernels::HasFloat32Products()) {
    GTEST_SKIP() << "this processor has FP32 products of our own";
  }
  const at::Tensor x = Random({9, 20});
  const at::Tensor w = Random({7, 20});
  const at::Tensor bias = Random({7});
  EXPECT_TRUE(at::equal(Product(x, w.t()), at::mm(x, w.t())));
  EXPECT_TRUE(at::equal(Product(x, w.t(), bias), at::addmm(bias, x, w.t())));
  at::Tensor sum = Random({9, 7});
  const at::Tensor wanted = at::addmm(sum, x, w.t());
  AddProduct(x, w.t(), sum);
  EXPECT_TRUE(at::equal(sum, wanted));
  ProductInto(x, w.t(), sum);
  EXPECT_TRUE(at::equal(sum, at::mm(x, w.t())));
  const at::Tensor many = Random({2, 3, 4, 5});
  EXPECT_TRUE(
      at::equal(BatchProduct(many, many.transpose(2, 3)), at::matmul(many, many.transpose(2, 3))));
}

TEST_F(ProductsTest, InAScopeTheyAreThoseOfTheRoundedFactors) {
  for (const FactorType factors : {FactorType::kBf16, FactorType::kFp16}) {
    SCOPED_TRACE(static_cast<int>(factors));
    const FactorScope scope(factors);
    const double tolerance = ProductTolerance(factors);
    const at::Tensor x = Random({33, 70});
    const at::Tensor w = Random({40, 70});
    const at::Tensor bias = Random({40});
    const at::Tensor wanted = RoundedProductPlain(factors, x, w.t());
    EXPECT_LT(RelativeError(Product(x, w.t()), wanted), tolerance);
    EXPECT_GT(RelativeError(at::mm(x, w.t()), wanted), 10 * kSumTolerance) << "nothing is rounded";
    EXPECT_LT(RelativeError(Product(x, w.t(), bias), wanted + bias), tolerance);
    at::Tensor sum = Random({33, 80}).narrow(1, 11, 40);
    const at::Tensor all = sum + wanted;
    AddProduct(x, w.t(), sum);
    EXPECT_LT(RelativeError(sum, all), tolerance);
    ProductInto(x, w.t(), sum);
    EXPECT_LT(RelativeError(sum, wanted), tolerance);
    // A gradient of weights reads both factors along their columns. Every other column by itself is
    // copied first.
    const at::Tensor grad = Random({33, 80}).slice(1, 0, 80, 2);
    EXPECT_LT(RelativeError(Product(grad.t(), x), RoundedProductPlain(factors, grad.t(), x)),
              tolerance);
    // The heads of a fused tensor, written to the heads of another.
    const at::Tensor many = Random({2, 17, 3, 5}).transpose(1, 2);
    const at::Tensor squares = at::empty({2, 17, 3, 17}, TestDevice()).transpose(1, 2);
    BatchProductInto(many, many.transpose(2, 3), {}, squares);
    for (int64_t sequence = 0; sequence < 2; ++sequence) {
      for (int64_t head = 0; head < 3; ++head) {
        const at::Tensor one = many[sequence][head];
        EXPECT_LT(
            RelativeError(squares[sequence][head], RoundedProductPlain(factors, one, one.t())),
            tolerance);
      }
    }
    const at::Tensor column = Random({6, 1});
    EXPECT_LT(RelativeError(Product(column, column.t()),
                            RoundedProductPlain(factors, column, column.t())),
              tolerance);
  }
}

TEST_F(ProductsTest, AScopeEndsAndThatOutsideOfItComesBack) {
  EXPECT_EQ(FactorsOfThread(), FactorType::kFloat32);
  {
    const FactorScope outer(FactorType::kBf16);
    {
      const FactorScope inner(FactorType::kFloat32);
      EXPECT_EQ(FactorsOfThread(), FactorType::kFloat32);
    }
    EXPECT_EQ(FactorsOfThread(), FactorType::kBf16);
  }
  EXPECT_EQ(FactorsOfThread(), FactorType::kFloat32);
}

// The gradients of a tiny Llama against PyTorch's, with rounded factors in each product, forward
// and backward (tests/golden/engine/generate_rounded.py). Gradients of products without rounding in
// the backward pass would differ from them as much as the exact ones.
TEST_F(ProductsTest, GradientsAreThoseOfPyTorchWithRoundedFactors) {
  if (RoundsProducts()) {
    GTEST_SKIP() << "the reference sums in FP32, this device may not";
  }
  const models::ModelDirectory files = GoldenFiles("llama_tiny");
  const auto reference = ReadTensors("rounded.safetensors");
  const TokenBatch batch = BatchOf(GoldenExamples(ReadTensors("llama_tiny/golden.safetensors")));
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  const auto run = [&](FactorType factors, Model& model) {
    const FactorScope scope(factors);
    return LossSumAndGradients(model.decoder, batch, DropoutState{}, scale, model.gradient_views) *
           scale;
  };
  Model exact = ReadGoldenModel("llama_tiny", files);
  Model rounded = ReadGoldenModel("llama_tiny", files);
  const auto wanted_loss = reference.at("loss").item<double>();
  const double exact_loss = run(FactorType::kFloat32, exact);
  EXPECT_LT(std::abs(run(FactorType::kBf16, rounded) - wanted_loss),
            0.1 * std::abs(exact_loss - wanted_loss));
  int compared = 0;
  for (size_t i = 0; i < exact.parameters.size(); ++i) {
    const models::ModelTensor& tensor = exact.parameters[i].tensor;
    std::vector<at::Tensor> parts;
    for (const models::FileTensor& file : tensor.files) {
      if (const auto found = reference.find(file.name); found != reference.end()) {
        parts.push_back(found->second);
      }
    }
    if (parts.empty()) {
      continue;
    }
    ASSERT_EQ(parts.size(), tensor.files.size()) << tensor.name;
    const at::Tensor wanted = at::cat(parts);
    const auto error = [&](const Model& model) {
      return ((model.Gradient(i).cpu() - wanted).norm() / wanted.norm()).item<double>();
    };
    EXPECT_LT(error(rounded), 0.1 * error(exact)) << tensor.name;
    ++compared;
  }
  EXPECT_EQ(compared, 7);
}

// FP32 sums of 3,000 rows, one after the other: measured error 4e-5. A sum rounded to BF16 has an
// error of up to 2^-9, and a sum accumulated in BF16 stops growing once it is 256 times the
// addends. If products are rounded, gradients differ by a few such roundings: 3.8 were measured.
double RowSumTolerance(FactorType factors) {
  return RoundsProducts() ? 5.0 * ProductTolerance(factors) : 3e-4;
}

class RowSumsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

// The rows of a thousand equal examples have the gradients of the rows of one. Therefore the
// gradients of embeddings, norms and biases, which are sums over rows, and those of matrices are a
// thousand times as large: rounded factors leave sums in FP32.
TEST_P(RowSumsTest, OfAThousandEqualExamplesAreAThousandTimesThoseOfOne) {
  constexpr size_t kExamples = 1000;
  const models::DecoderConfig config = TinyConfigOf(GetParam());
  const Example example{.tokens = {7, 65, 7}, .mask = {0, 1, 1}};
  for (const FactorType factors : {FactorType::kBf16, FactorType::kFp16}) {
    const FactorScope scope(factors);
    const auto run = [&](size_t examples) {
      Model model = RandomModel(config);
      LossSumAndGradients(model.decoder, BatchOf(std::vector<Example>(examples, example)),
                          DropoutState{}, 1.0, model.gradient_views);
      return model;
    };
    const Model one = run(1);
    const Model many = run(kExamples);
    for (size_t i = 0; i < one.parameters.size(); ++i) {
      const at::Tensor wanted = one.Gradient(i) * static_cast<double>(kExamples);
      EXPECT_GT(wanted.abs().max().item<double>(), 0.0) << one.parameters[i].tensor.name;
      EXPECT_LT(RelativeError(many.Gradient(i), wanted), RowSumTolerance(factors))
          << one.parameters[i].tensor.name << ", factors " << static_cast<int>(factors);
    }
  }
}

// Biases and LayerNorm, positions and a tied embedding; RMSNorm; a head's bias; (1 + w) norms.
INSTANTIATE_TEST_SUITE_P(Families, RowSumsTest, testing::Values("gpt2", "llama", "phi", "gemma"),
                         [](const auto& family) { return std::string(family.param); });

// |Δ| / |gradient| of a tensor. A factor's relative error is up to 2^-9 in BF16, and an eighth of
// that in FP16. These models were scaled for peaked attention and logits of several units, which
// magnifies a rounding up to 200 times (0.49 in llama3's first norm). FP16 being within an eighth
// shows that the difference is rounding.
constexpr double kBf16Gradient = 0.6;
constexpr double kFp16Gradient = 0.6 / 8;
constexpr double kBf16Loss = 0.01;
constexpr double kFp16Loss = kBf16Loss / 8;

class FamilyProductsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_P(FamilyProductsTest, GradientsOfRoundedFactorsAreNearThoseInFloat) {
  const std::string directory = absl::StrCat("families/", GetParam());
  const models::ModelDirectory files = GoldenFiles(directory);
  const auto golden = ReadTensors(directory + "/golden.safetensors");
  const TokenBatch batch = BatchOf(GoldenExamples(golden));
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  const auto run = [&](FactorType factors, Model& model) {
    const FactorScope scope(factors);
    return LossSumAndGradients(model.decoder, batch, DropoutState{}, scale, model.gradient_views) *
           scale;
  };
  Model exact = ReadGoldenModel(directory, files);
  const double loss = run(FactorType::kFloat32, exact);
  for (const FactorType factors : {FactorType::kBf16, FactorType::kFp16}) {
    Model rounded = ReadGoldenModel(directory, files);
    const bool is_bf16 = factors == FactorType::kBf16;
    EXPECT_NEAR(run(factors, rounded), loss, (is_bf16 ? kBf16Loss : kFp16Loss) * loss);
    for (size_t i = 0; i < exact.parameters.size(); ++i) {
      const at::Tensor difference = rounded.Gradient(i) - exact.Gradient(i);
      const double error = (difference.norm() / exact.Gradient(i).norm()).item<double>();
      EXPECT_LT(error, is_bf16 ? kBf16Gradient : kFp16Gradient)
          << exact.parameters[i].tensor.name << ", factors " << static_cast<int>(factors);
      EXPECT_GT(error, 0.0) << exact.parameters[i].tensor.name << ": nothing was rounded";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyProductsTest,
                         testing::Values("llama3", "mistral", "phi", "gemma", "gemma2", "gpt_neox",
                                         "stablelm", "qwen2", "kosmos2_text", "opt"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace wattle::engine
