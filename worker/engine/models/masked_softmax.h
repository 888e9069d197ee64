// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Softmax of attention's scores over the keys that each query sees, with dropout. On the host rows
// are spread over the threads of the kernels, and keys after a query only cost writing zeros.
#ifndef WATTLE_WORKER_ENGINE_MODELS_MASKED_SOFTMAX_H_
#define WATTLE_WORKER_ENGINE_MODELS_MASKED_SOFTMAX_H_

#include <array>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/float_matmul.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/token_batch.h"

namespace wattle::engine {

// The keys visible to one query: those below `end` except the hidden ones.
struct SeenKeys {
  struct Range {
    int64_t begin = 0;
    int64_t end = 0;
  };
  int64_t end = 0;
  std::array<Range, 2> hidden = {};  // below `end`; an empty range hides nothing
};

// For each query of a sequence of the group. There are `seen` keys: first those of a cache, then
// one of each query. A query sees its own key and those before it; with a window, only those of the
// last `window` positions, and with branches, only those of the beginning and of its branch.
std::vector<SeenKeys> SeenKeysOf(const SequenceGroup& group, int64_t seen, int64_t window);

// The dropout of one group's probabilities.
struct ProbabilityDropout {
  const DropoutState& state;
  int64_t layer = 0;
  double rate = 0.0;
  int64_t first_element = 0;  // element of the group's first probability

  [[nodiscard]] bool active() const { return state.active && rate > 0.0; }
};

// factors: the type to which the products that read the results round them. A device may already
// round here, because only products read the results.
//
// scores: float [..., tokens, seen], contiguous → probabilities, 0 if the query does not see the
// key; on the host in the same memory. On a device that does not keep probabilities (device.h) the
// contents are unspecified afterwards. Returns the probabilities after dropout, which are the same
// tensor without dropout and rounding.
at::Tensor MaskedSoftmax(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                         const ProbabilityDropout& dropout, at::Tensor& scores);

// rows: the probabilities, or on a device that does not keep them the scores, whose memory has
// unspecified contents afterwards.
// gradients: of the probabilities after dropout → of the scores, perhaps rounded; on the host in
// the same memory.
// Returns the probabilities after dropout, like MaskedSoftmax.
at::Tensor MaskedSoftmaxBackward(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                                 const ProbabilityDropout& dropout, const at::Tensor& rows,
                                 at::Tensor& gradients);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_MASKED_SOFTMAX_H_
