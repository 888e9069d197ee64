// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/masked_softmax.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Replaces a hidden score: it is never the maximum, and its exponential vanishes in the sum.
constexpr float kHiddenScore = -1e30F;
constexpr int64_t kPieceElements = 1 << 15;

// Calls body(first element of the row, its query's keys) for every row.
template <typename Body>
void ForEachRow(const std::vector<SeenKeys>& keys, const at::Tensor& rows, Body body) {
  WATTLE_CHECK(rows.is_contiguous() && rows.size(-2) == static_cast<int64_t>(keys.size()),
               "rows of the group's queries lie one behind the other");
  const int64_t seen = rows.size(-1);
  const int64_t queries = rows.size(-2);
  ForEachPiece(rows.numel() / seen, std::max<int64_t>(1, kPieceElements / seen),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   body(row * seen, keys[static_cast<size_t>(row % queries)]);
                 }
               });
}

void FillHidden(const SeenKeys& keys, float value, float* row) {
  for (const SeenKeys::Range& hidden : keys.hidden) {
    std::fill(row + hidden.begin, row + hidden.end, value);
  }
}

// Sets elements that the query does not see to 0.
void ClearUnseen(const SeenKeys& keys, int64_t seen, float* row) {
  FillHidden(keys, 0.0F, row);
  std::fill(row + keys.end, row + seen, 0.0F);
}

void Drop(const ProbabilityDropout& dropout, int64_t first, int64_t count, float* values) {
  kernels::ApplyDropout(
      DropoutStream(dropout.state, kernels::RandomUse::kAttentionDropout, dropout.layer),
      dropout.rate, dropout.first_element + first, count, values);
}

}  // namespace

at::Tensor CpuDevice::Softmax(kernels::FactorType /*factors*/, const std::vector<SeenKeys>& keys,
                              const ProbabilityDropout& dropout, at::Tensor& scores) const {
  at::Tensor after = dropout.active() ? at::empty_like(scores) : scores;
  auto* probabilities = scores.data_ptr<float>();
  auto* dropped = after.data_ptr<float>();
  const int64_t seen = scores.size(-1);
  const kernels::KernelTable& kernels = kernels::BestKernels();
  ForEachRow(keys, scores, [&](int64_t first, const SeenKeys& of_query) {
    float* row = probabilities + first;
    FillHidden(of_query, kHiddenScore, row);
    kernels.softmax(1.0F, of_query.end, row);
    ClearUnseen(of_query, seen, row);
    if (dropped != probabilities) {
      std::copy(row, row + seen, dropped + first);
      Drop(dropout, first, of_query.end, dropped + first);
    }
  });
  return after;
}

at::Tensor CpuDevice::SoftmaxBackward(kernels::FactorType /*factors*/,
                                      const std::vector<SeenKeys>& keys,
                                      const ProbabilityDropout& dropout,
                                      const at::Tensor& probabilities,
                                      at::Tensor& gradients) const {
  at::Tensor after = dropout.active() ? at::empty_like(probabilities) : probabilities;
  const auto* before = probabilities.data_ptr<float>();
  auto* dropped = after.data_ptr<float>();
  auto* of_scores = gradients.data_ptr<float>();
  const int64_t seen = probabilities.size(-1);
  const kernels::KernelTable& kernels = kernels::BestKernels();
  ForEachRow(keys, probabilities, [&](int64_t first, const SeenKeys& of_query) {
    float* factors = dropped == before ? nullptr : dropped + first;
    if (factors != nullptr) {
      std::fill(factors, factors + of_query.end, 1.0F);
      Drop(dropout, first, of_query.end, factors);
    }
    kernels.softmax_backward({.count = of_query.end,
                              .probabilities = before + first,
                              .dropped = factors,
                              .gradients = of_scores + first});
    // A hidden key has probability 0, and so gradient 0.
    std::fill(of_scores + first + of_query.end, of_scores + first + seen, 0.0F);
    if (factors != nullptr) {
      std::fill(factors + of_query.end, factors + seen, 0.0F);
    }
  });
  return after;
}

}  // namespace wattle::engine
