// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests of the tensor plan: models and passes drawn from a seed, and the first difference
// between a plan and the engine's tensors.
#ifndef WATTLE_WORKER_ENGINE_TESTING_TEST_PLAN_H_
#define WATTLE_WORKER_ENGINE_TESTING_TEST_PLAN_H_

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "models/tensor_plan.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/pass_arena.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {

// The plan includes the temporary tensors of this libtorch's operators; another version may differ
// in small tensors.
inline constexpr bool kSameOperators = TORCH_VERSION_MAJOR == 1;

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  int64_t Of(std::initializer_list<int64_t> values) {
    return *(values.begin() + std::uniform_int_distribution<size_t>(0, values.size() - 1)(random_));
  }
  bool Heads() { return Of({0, 1}) == 1; }

 private:
  std::mt19937_64 random_;
};

// A tiny model of the family with some additional layers, and random vocabulary and dropout.
models::DecoderConfig DrawConfig(const std::string& family, Draw& draw);

// Converts the model's matrices to the form that the pass reads.
void QuantizeFor(const models::PassDescription& pass, Model& model);

// The first difference, with the plan's names of the preceding tensors; empty if equal. Scalars do
// not count: libtorch makes temporary ones that are in no plan.
std::string Difference(const models::TensorPlan& plan, const std::vector<ArenaTensor>& made);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TESTING_TEST_PLAN_H_
