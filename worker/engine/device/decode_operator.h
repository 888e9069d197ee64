// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A whole step of a decoder as one operator of a device, with its keys and values. A device that
// has none for a model leaves it to the decoder's plain form, which runs anywhere. May throw
// libtorch's exceptions. One thread.
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

// What a session asks for.
struct DecodeRequest {
  // Its pointers are of the device. An error says what no operator has.
  absl::StatusOr<kernels::DecodeModel> model;
  bool int8_keys_and_values = false;
  int64_t slots = 1;
  int64_t capacity_tokens = 0;  // of each slot
  at::Device device;
  const float* nf4_tables = nullptr;  // of NF4 with double quantization, of the device
  std::pmr::memory_resource& memory;  // of buffers of the host
};

class DecodeOperator {
 public:
  virtual ~DecodeOperator() = default;

  // Appends the tokens to the slots, and writes the logits after the last one of each sequence to
  // the host: [sequences, vocabulary]. One sequence of any length, or one token of each.
  virtual void Run(absl::Span<const kernels::SequenceTokens> sequences, float* logits) = 0;

  // Whether it also chooses tokens.
  [[nodiscard]] virtual bool chooses() const { return false; }
  // The most tokens of a sequence that RunAndChoose chooses.
  [[nodiscard]] virtual int64_t steps_ahead() const { return 1; }
  // As Run, but only the tokens that follow come to the host, as Sampler::Draw chooses them (no
  // repetition penalty): chosen: [steps, sequences]. Each step but the first reads what the one
  // before chose. units: [steps, sequences]; greedy: none. The host waits once.
  virtual void RunAndChoose(absl::Span<const kernels::SequenceTokens> sequences,
                            const SamplingSettings& sampling, absl::Span<const float> units,
                            absl::Span<int64_t> chosen) = 0;

  // The slot serves another sequence.
  virtual void Clear(int64_t slot) = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DECODE_OPERATOR_H_
