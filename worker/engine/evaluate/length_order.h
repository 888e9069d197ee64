// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Forward passes over all examples of a pool, longest first. Pure.
#ifndef WATTLE_WORKER_ENGINE_EVALUATE_LENGTH_ORDER_H_
#define WATTLE_WORKER_ENGINE_EVALUATE_LENGTH_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "formats/example_pool.h"
#include "models/decoder_config.h"
#include "models/tensor_plan.h"

namespace wattle::engine {

// Indexes of the examples, longest first: the largest batch comes first, so that a lack of memory
// shows at once, and neighbours are of similar length.
std::vector<size_t> ByLength(const formats::ExamplePool& examples);

// Number of tokens in all batches, including padding. The order begins with the longest example.
int64_t PaddedTokens(const formats::ExamplePool& examples, absl::Span<const size_t> order,
                     int64_t batch_size);

// Address space for the tensors of a pass, with a quarter in reserve: a pass over quantized weights
// has some tensors that are not in the plan of one over floats.
int64_t RoomForPasses(const models::DecoderConfig& config, const models::PassDescription& pass);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_EVALUATE_LENGTH_ORDER_H_
