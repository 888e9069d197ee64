// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests of the tensor plan: models and passes drawn from a seed, and where a plan and what the
// engine made first differ.
#ifndef WATTLE_WORKER_ENGINE_TEST_PLAN_H_
#define WATTLE_WORKER_ENGINE_TEST_PLAN_H_

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "models/tensor_plan.h"
#include "worker/engine/models/test_golden.h"
#include "worker/engine/pass_arena.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {

// The plan knows what the operators of this libtorch make inside; another one may differ in small
// tensors.
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

// A tiny model of the family with some layers more, and drawn vocabulary and dropout.
models::DecoderConfig DrawConfig(const std::string& family, Draw& draw);

// Brings the model's matrices into the form that the pass reads.
void QuantizeFor(const models::PassDescription& pass, Model& model);

// Where the two first differ, with what the plan calls the tensors before; empty if nowhere.
// Scalars do not count: libtorch makes some on the way that are in no plan.
std::string Difference(const models::TensorPlan& plan, const std::vector<ArenaTensor>& made);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TEST_PLAN_H_
