// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Examples as one rectangle of tokens: padded at the end to the longest of the batch, never beyond.
// Plain values.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_
#define WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "formats/example_pool.h"

namespace wattle::engine {

struct TokenBatch {
  int64_t batch = 0;
  int64_t length = 0;
  int64_t real_tokens = 0;          // without padding
  std::vector<int64_t> tokens;      // [batch * length], row-major
  std::vector<int64_t> predicting;  // indices into tokens: the positions whose prediction counts …
  std::vector<int64_t> targets;     // … and the token that each of them has to predict
};

// The examples with these numbers in the pool. A token that counts is the target of the position
// before it.
TokenBatch MakeTokenBatch(const formats::ExamplePool& pool, absl::Span<const size_t> examples);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_
