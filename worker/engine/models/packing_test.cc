// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Packed batches, also with examples that share a beginning: loss and gradients equal those of the
// padded batch and of transformers, for every family, and the proof that this detects a wrong
// packing. Dropout of packed examples draws separate numbers.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "worker/engine/models/decoder.h"
#include "worker/engine/models/testing/test_golden.h"

namespace wattle::engine {
namespace {

// Only rounding: the same products over other rows, in single precision.
constexpr double kPackingTolerance = 1e-4;

// The models under tests/golden/engine/families.
std::vector<std::string> Families() {
  return {"gpt2",     "llama3",        "llama_linear", "smollm2",      "mistral",
          "qwen2",    "qwen2_windows", "phi",          "gpt_neox",     "gpt_neox_sequential",
          "stablelm", "gemma",         "gemma2",       "kosmos2_text", "opt"};
}

std::string DirectoryOf(const std::string& family) {
  return absl::StrCat("families/", family);
}

struct Loaded {
  models::ModelDirectory files;
  Model model;
  std::vector<Example> examples;
};

Loaded LoadFamily(const std::string& family) {
  const std::string directory = DirectoryOf(family);
  Loaded loaded;
  loaded.files = GoldenFiles(directory);
  loaded.model = ReadGoldenModel(directory, loaded.files);
  loaded.examples = GoldenExamples(ReadTensors(directory + "/golden.safetensors"));
  return loaded;
}

// Fills the model's gradients; returns the loss.
double Train(Model& model, const TokenBatch& batch, const DropoutState& dropout = {}) {
  model.gradients.zero_();
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  return LossSumAndGradients(model.decoder, batch, dropout, scale, model.gradient_views) * scale;
}

// The largest error of any tensor's gradient.
double GradientError(const Model& model, const at::Tensor& wanted) {
  double error = 0.0;
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    error = std::max(error, RelativeError(model.Gradient(i),
                                          ArenaView(wanted, model.layout, model.parameters, i)));
  }
  return error;
}

class PackingTest : public testing::TestWithParam<std::string> {};

TEST_P(PackingTest, LossAndGradientsEqualThoseOfThePaddedBatch) {
  auto [files, model, examples] = LoadFamily(GetParam());
  const TokenBatch padded = BatchOf(examples);
  const TokenBatch packed = BatchOf(examples, BatchForm::kPacked);
  ASSERT_LT(packed.rows(), padded.rows());
  EXPECT_EQ(packed.real_tokens, packed.rows());
  const double wanted_loss = Train(model, padded);
  const at::Tensor wanted = model.gradients.clone();
  EXPECT_NEAR(Train(model, packed), wanted_loss, kPackingTolerance * wanted_loss);
  EXPECT_LT(GradientError(model, wanted), kPackingTolerance);
  EXPECT_NEAR(LossSum(model.decoder, packed) / static_cast<double>(packed.targets.size()),
              wanted_loss, kPackingTolerance * wanted_loss);
  const at::Tensor of_transformers =
      ReadGoldenArena(DirectoryOf(GetParam()) + "/gradients.safetensors", files, model.parameters);
  EXPECT_LT(GradientError(model, of_transformers), kGradientTolerance);
}

TEST_P(PackingTest, RecomputedBlocksGiveTheSameGradients) {
  auto [files, model, examples] = LoadFamily(GetParam());
  const TokenBatch packed = BatchOf(examples, BatchForm::kPacked);
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  model.decoder.config.attention_dropout = 0.2;
  Train(model, packed, dropout);
  const at::Tensor wanted = model.gradients.clone();
  model.gradients.zero_();
  LossSumAndGradients(model.decoder, packed, dropout,
                      1.0 / static_cast<double>(packed.targets.size()), model.gradient_views,
                      KeptActivations::kInputs);
  EXPECT_TRUE(at::equal(model.gradients, wanted));
}

TEST_P(PackingTest, GradientsWithDropoutAgreeWithADifferenceOfLosses) {
  auto [files, model, examples] = LoadFamily(GetParam());
  ExpectTheSlopeOfLosses(model, BatchOf(examples, BatchForm::kPacked));
}

// Two copies of an example are adjacent and have different masks: if they shared counters, the loss
// of both would be twice that of one.
TEST_P(PackingTest, AttentionDropoutOfEachExampleDrawsItsOwnNumbers) {
  auto [files, model, examples] = LoadFamily(GetParam());
  model.decoder.config.attention_dropout = 0.3;
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  const double one = Train(model, BatchOf({examples[2]}, BatchForm::kPacked), dropout);
  const double both =
      Train(model, BatchOf({examples[2], examples[2]}, BatchForm::kPacked), dropout);
  EXPECT_GT(std::abs(both - one), 1e-4 * one);
  model.decoder.config.attention_dropout = 0.0;
  const double plain_one = Train(model, BatchOf({examples[2]}, BatchForm::kPacked));
  const double plain_both = Train(model, BatchOf({examples[2], examples[2]}, BatchForm::kPacked));
  EXPECT_NEAR(plain_both, plain_one, kPackingTolerance * plain_one);
}

// Examples that begin with the same half of the longest one and continue with different tokens; as
// in answers to questions about one text, the end of each counts.
std::vector<Example> WithACommonBeginning(const std::vector<Example>& examples) {
  const auto longest = std::max_element(
      examples.begin(), examples.end(),
      [](const Example& a, const Example& b) { return a.tokens.size() < b.tokens.size(); });
  const size_t common = longest->tokens.size() / 2;
  std::vector<Example> made;
  for (size_t number = 0; number < 3; ++number) {
    Example example;
    const size_t own = common / 3 + 2 - number % 2;  // of two lengths
    for (size_t i = 0; i < common + own; ++i) {
      // Other tokens after the beginning, drawn from the model's tokens.
      const size_t place = i < common ? i : (i * (number + 3) + number) % longest->tokens.size();
      example.tokens.push_back(longest->tokens[place]);
      example.mask.push_back(i >= common + 1 ? 1 : 0);
    }
    made.push_back(example);
  }
  return made;
}

TEST_P(PackingTest, ACommonBeginningIsComputedOnceAndChangesNothing) {
  auto [files, model, examples] = LoadFamily(GetParam());
  const std::vector<Example> sharing = WithACommonBeginning(examples);
  const TokenBatch apart = BatchOf(sharing);
  const TokenBatch shared = BatchOf(sharing, BatchForm::kPacked);
  ASSERT_EQ(shared.groups.size(), 1U);
  ASSERT_EQ(shared.groups[0].branches.size(), sharing.size());
  EXPECT_LT(shared.rows(), apart.real_tokens);
  EXPECT_EQ(shared.targets, apart.targets);
  const double wanted_loss = Train(model, apart);
  const at::Tensor wanted = model.gradients.clone();
  EXPECT_NEAR(Train(model, shared), wanted_loss, kPackingTolerance * wanted_loss);
  EXPECT_LT(GradientError(model, wanted), kPackingTolerance);
  EXPECT_NEAR(LossSum(model.decoder, shared) / static_cast<double>(shared.targets.size()),
              wanted_loss, kPackingTolerance * wanted_loss);
}

TEST_P(PackingTest, GradientsOfACommonBeginningWithDropoutAgreeWithADifferenceOfLosses) {
  auto [files, model, examples] = LoadFamily(GetParam());
  ExpectTheSlopeOfLosses(model, BatchOf(WithACommonBeginning(examples), BatchForm::kPacked));
}

INSTANTIATE_TEST_SUITE_P(Families, PackingTest, testing::ValuesIn(Families()),
                         [](const auto& row) { return row.param; });

// A mistake in packing.
struct Mutation {
  std::string name;
  std::string family;
  std::function<void(TokenBatch&)> change;
  bool shares = false;  // the examples begin alike
};

std::ostream& operator<<(std::ostream& out, const Mutation& mutation) {
  return out << mutation.name << " in " << mutation.family;
}

// The second example sees the first, and its positions continue.
void JoinTwoExamples(TokenBatch& batch) {
  batch.groups[0].tokens += batch.groups[1].tokens;
  batch.groups.erase(batch.groups.begin() + 1);
}

// The first token of the second example belongs to the first one.
void BorderOneTokenLate(TokenBatch& batch) {
  ++batch.groups[0].tokens;
  --batch.groups[1].tokens;
}

void BorderOneTokenEarly(TokenBatch& batch) {
  --batch.groups[0].tokens;
  ++batch.groups[1].tokens;
}

// The examples in the order of another batch: each boundary is at a neighbour's place.
void BordersOfTheNeighbours(TokenBatch& batch) {
  std::rotate(batch.groups.begin(), batch.groups.begin() + 1, batch.groups.end());
}

void PositionsGoOn(TokenBatch& batch) {
  batch.groups[1].first_position = batch.groups[0].tokens;
}

// Mistakes in a shared group.
void TheSecondBranchSeesTheFirst(TokenBatch& batch) {
  std::vector<int64_t>& branches = batch.groups[0].branches;
  branches[0] += branches[1];
  branches.erase(branches.begin() + 1);
}

void BeginningOneTokenShort(TokenBatch& batch) {
  ++batch.groups[0].branches[0];
}

void BranchOneTokenLate(TokenBatch& batch) {
  ++batch.groups[0].branches[0];
  --batch.groups[0].branches[1];
}

std::vector<Mutation> Mutations() {
  std::vector<Mutation> mutations;
  for (const std::string& family : Families()) {
    mutations.push_back({"JoinTwoExamples", family, JoinTwoExamples});
    mutations.push_back({"BorderOneTokenLate", family, BorderOneTokenLate});
    mutations.push_back({"BorderOneTokenEarly", family, BorderOneTokenEarly});
    mutations.push_back({"BordersOfTheNeighbours", family, BordersOfTheNeighbours});
    mutations.push_back({"TheSecondBranchSeesTheFirst", family, TheSecondBranchSeesTheFirst, true});
    mutations.push_back({"BeginningOneTokenShort", family, BeginningOneTokenShort, true});
    mutations.push_back({"BranchOneTokenLate", family, BranchOneTokenLate, true});
  }
  // Only the differences of rotary positions matter: a shift of a whole example changes nothing.
  mutations.push_back({"PositionsGoOn", "gpt2", PositionsGoOn});
  mutations.push_back({"PositionsGoOn", "kosmos2_text", PositionsGoOn});
  mutations.push_back({"PositionsGoOn", "opt", PositionsGoOn});
  return mutations;
}

class PackingMutationTest : public testing::TestWithParam<Mutation> {};

TEST_P(PackingMutationTest, TheComparisonTellsIt) {
  auto [files, model, examples] = LoadFamily(GetParam().family);
  if (GetParam().shares) {
    examples = WithACommonBeginning(examples);
  }
  Train(model, BatchOf(examples));
  const at::Tensor wanted = model.gradients.clone();
  // The longest example last: joined, the first two still fit the model's positions.
  TokenBatch packed = BatchOf(examples, BatchForm::kPacked);
  GetParam().change(packed);
  Train(model, packed);
  EXPECT_GT(GradientError(model, wanted), 10.0 * kGradientTolerance);
}

INSTANTIATE_TEST_SUITE_P(Mutations, PackingMutationTest, testing::ValuesIn(Mutations()),
                         [](const auto& row) {
                           return absl::StrCat(row.param.name, "_", row.param.family);
                         });

}  // namespace
}  // namespace wattle::engine
