// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A whole decoding step as one operator of a device, with its keys and values. For a model without
// an operator, the decoder's plain form runs on any device. May throw libtorch's exceptions. One
// thread.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_DECODE_OPERATOR_H_
#define WATTLE_WORKER_ENGINE_DEVICE_DECODE_OPERATOR_H_

#include <cstdint>
#include <memory_resource>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include <c10/core/Device.h>

#include "worker/engine/generate/sampler.h"
#include "worker/engine/kernels/decode_step.h"

namespace wattle::engine {

// The requirements of a session.
struct DecodeRequest {
  // Has device pointers. An error names the part that no operator supports.
  absl::StatusOr<kernels::DecodeModel> model;
  bool int8_keys_and_values = false;
  int64_t slots = 1;
  int64_t capacity_tokens = 0;  // of each slot
  at::Device device;
  const float* nf4_tables = nullptr;  // tables of NF4 with double quantization, on the device
  std::pmr::memory_resource& memory;  // for the buffers on the host
};

class DecodeOperator {
 public:
  virtual ~DecodeOperator() = default;

  // Appends the tokens to the slots, and writes the logits after the last token of each sequence to
  // the host: [sequences, vocabulary]. One sequence of any length, or one token of each.
  virtual void Run(absl::Span<const kernels::SequenceTokens> sequences, float* logits) = 0;

  // Whether the operator also chooses tokens.
  [[nodiscard]] virtual bool chooses() const { return false; }
  // Maximum number of tokens per sequence that RunAndChoose chooses.
  [[nodiscard]] virtual int64_t steps_ahead() const { return 1; }
  // Run, but the host receives only the next tokens, chosen as by Sampler::Draw (without repetition
  // penalty): chosen: [steps, sequences]. Each step after the first reads the preceding step's
  // choice. units: [steps, sequences]; empty if greedy. The host waits once.
  virtual void RunAndChoose(absl::Span<const kernels::SequenceTokens> sequences,
                            const SamplingSettings& sampling, absl::Span<const float> units,
                            absl::Span<int64_t> chosen) = 0;

  // Empties the slot for another sequence.
  virtual void Clear(int64_t slot) = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DECODE_OPERATOR_H_
