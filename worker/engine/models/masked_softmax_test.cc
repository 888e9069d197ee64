// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Softmax over visible keys against libtorch's operators and its autograd.
#include "worker/engine/models/masked_softmax.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "worker/engine/device/device.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/testing/test_device.h"

namespace wattle::engine {
namespace {

constexpr kernels::FactorType kFloat32 = kernels::FactorType::kFloat32;
constexpr int64_t kHeads = 3;
constexpr DropoutState kDropout = {.active = true, .seed = 5, .counter = 2};

struct Case {
  const char* name;
  SequenceGroup group;
  int64_t cached = 0;
  int64_t window = 0;
};

const Case kCases[] = {
    {"one token", {.sequences = 1, .tokens = 1}},
    {"causal", {.sequences = 1, .tokens = 37}},
    {"window", {.sequences = 1, .tokens = 37}, 0, 5},
    {"behind a cache", {.sequences = 1, .tokens = 4}, 20},
    {"behind a cache, window", {.sequences = 1, .tokens = 4}, 20, 7},
    {"branches", {.sequences = 1, .tokens = 30, .branches = {7, 1, 12}}},
    {"branches, window", {.sequences = 1, .tokens = 30, .branches = {7, 1, 12}}, 0, 9},
};

class MaskedSoftmaxTest : public testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] int64_t seen() const { return GetParam().cached + GetParam().group.tokens; }
  [[nodiscard]] std::vector<SeenKeys> keys() const {
    return SeenKeysOf(GetParam().group, seen(), GetParam().window);
  }
  [[nodiscard]] at::Tensor Random(uint64_t seed) const {
    at::Tensor tensor = at::empty({kHeads, GetParam().group.tokens, seen()});
    kernels::RandomNormal({.seed = seed}, 3.0F, tensor.numel(), tensor.data_ptr<float>());
    return OnTestDevice(tensor);
  }
};

// The rule, key by key: a key's place in the beginning or in a branch, and its position.
bool Sees(const Case& test, int64_t query, int64_t key) {
  const auto place = [&](int64_t token) {
    int64_t beginning = test.group.tokens;
    for (const int64_t branch : test.group.branches) {
      beginning -= branch;
    }
    int64_t begin = beginning;
    int64_t branch = 0;
    for (const int64_t tokens : test.group.branches) {
      ++branch;
      if (token >= begin && token < begin + tokens) {
        return std::pair(branch, beginning + token - begin);
      }
      begin += tokens;
    }
    return std::pair(int64_t{0}, token);
  };
  const int64_t own = test.cached + query;
  const auto [query_branch, query_position] = place(own);
  const auto [key_branch, key_position] = place(key);
  const bool in_window = test.window == 0 || query_position - key_position < test.window;
  return key <= own && (key_branch == 0 || key_branch == query_branch) && in_window;
}

TEST_P(MaskedSoftmaxTest, AQuerySeesWhatTheRuleSays) {
  const std::vector<SeenKeys> seen_keys = keys();
  ASSERT_EQ(static_cast<int64_t>(seen_keys.size()), GetParam().group.tokens);
  for (int64_t query = 0; query < GetParam().group.tokens; ++query) {
    const SeenKeys& of_query = seen_keys[static_cast<size_t>(query)];
    for (int64_t key = 0; key < seen(); ++key) {
      bool sees = key < of_query.end;
      for (const SeenKeys::Range& hidden : of_query.hidden) {
        EXPECT_LE(hidden.begin, hidden.end);
        sees = sees && (key < hidden.begin || key >= hidden.end);
      }
      EXPECT_EQ(sees, Sees(GetParam(), query, key)) << "query " << query << ", key " << key;
    }
  }
}

TEST_P(MaskedSoftmaxTest, BothPassesAgreeWithLibtorchAndAutograd) {
  for (const double rate : {0.0, 0.3}) {
    SCOPED_TRACE(absl::StrCat("dropout ", rate));
    const ProbabilityDropout dropout = {
        .state = kDropout, .layer = 1, .rate = rate, .first_element = 41};
    const at::Tensor scores = Random(1);
    const at::Tensor grad_out = Random(2);

    // The score of a key that the query does not see may be anything, even NaN.
    at::Tensor probabilities = scores.clone();
    at::Tensor plain = scores.clone();
    for (int64_t query = 0; query < GetParam().group.tokens; ++query) {
      for (int64_t key = 0; key < seen(); ++key) {
        if (!Sees(GetParam(), query, key)) {
          probabilities.select(1, query).select(1, key).fill_(
              std::numeric_limits<float>::quiet_NaN());
        }
      }
    }
    const bool keeps = OperationsOn(scores).keeps_probabilities();
    const at::Tensor unchanged = probabilities.clone();
    const at::Tensor dropped = MaskedSoftmax(kFloat32, keys(), dropout, probabilities);
    const at::Tensor dropped_plain = AtenOperations().Softmax(kFloat32, keys(), dropout, plain);
    EXPECT_TRUE(at::allclose(dropped, dropped_plain, 1e-5, 1e-7));
    if (keeps) {
      EXPECT_TRUE(at::allclose(probabilities, plain, 1e-5, 1e-7));
      EXPECT_EQ(dropped.is_same(probabilities), rate == 0.0);
    }

    at::Tensor grad = grad_out.clone();
    at::Tensor grad_plain = grad_out.clone();
    const at::Tensor again =
        MaskedSoftmaxBackward(kFloat32, keys(), dropout, keeps ? probabilities : unchanged, grad);
    EXPECT_TRUE(at::equal(again, dropped));
    AtenOperations().SoftmaxBackward(kFloat32, keys(), dropout, plain, grad_plain);
    EXPECT_TRUE(at::allclose(grad, grad_plain, 1e-4, 1e-6));

    at::Tensor variable = scores.cpu().to(at::kDouble).requires_grad_();
    const at::Tensor factors = rate == 0.0 ? at::ones_like(variable)
                                           : dropped_plain.cpu().div(plain.cpu()).nan_to_num(0.0);
    const at::Tensor hidden = plain.cpu().eq(0.0);
    const at::Tensor out =
        at::softmax(variable.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1) *
        factors;
    const at::Tensor wanted =
        torch::autograd::grad({out}, {variable}, {grad_out.cpu().to(at::kDouble)})[0];
    EXPECT_TRUE(at::allclose(grad.cpu().to(at::kDouble), wanted, 1e-4, 1e-6));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, MaskedSoftmaxTest, testing::ValuesIn(kCases), [](const auto& test) {
  std::string name = test.param.name;
  std::erase_if(name, [](char c) { return c == ' ' || c == ','; });
  return name;
});

}  // namespace
}  // namespace wattle::engine
