// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sequences being generated, each in a slot. A whole step is one operator if the device has one
// (device/decode_operator.h): kernels/decode_step.h on the CPU, device/cuda/decode_step.h on an
// NVIDIA GPU. For models that the operator does not support, the session runs the decoder's plain
// form. Keys and values have the decoder's cache format: the operator's cache stores int8, the
// plain form the same numbers as floats. Every buffer on the host comes from one arena, planned by
// models/tensor_plan.h (PassKind::kDecode). May throw libtorch's exceptions. One thread.
#ifndef WATTLE_WORKER_ENGINE_GENERATE_DECODE_SESSION_H_
#define WATTLE_WORKER_ENGINE_GENERATE_DECODE_SESSION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"

#include "worker/engine/generate/sampler.h"
#include "worker/engine/kernels/decode_step.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/pass_arena.h"

namespace wattle::engine {

class DecodeOperator;

// The form of a session; kPlain is for tests and comparisons.
enum class DecodeForm { kFastest, kPlain };

class DecodeSession {
 public:
  // Room for capacity_tokens in each of `slots`. The decoder must outlive the session and not
  // change. record: receives the arena's tensors, for tests.
  DecodeSession(const Decoder& decoder, int64_t capacity_tokens,
                DecodeForm form = DecodeForm::kFastest, int64_t slots = 1,
                std::vector<ArenaTensor>* record = nullptr);
  ~DecodeSession();
  DecodeSession(const DecodeSession&) = delete;
  DecodeSession& operator=(const DecodeSession&) = delete;

  // Appends tokens to the slot; returns the logits after the last one, float [vocabulary], valid
  // until the next call.
  absl::Span<const float> Feed(absl::Span<const int64_t> tokens, int64_t slot = 0);

  // Appends one token to each of some slots, in one step; returns their logits, float [sequences,
  // vocabulary], valid until the next call. sequences: one token each, no slot twice.
  absl::Span<const float> Step(absl::Span<const kernels::SequenceTokens> sequences);

  // Whether StepAndChoose can be used: on a device other than the host, where the logits of a token
  // need not be copied to the host.
  [[nodiscard]] bool chooses_on_device(const SamplingSettings& sampling) const;
  // Maximum number of tokens per sequence that StepAndChoose returns.
  [[nodiscard]] int64_t steps_ahead() const;
  // Step, or Feed of one sequence, that returns the tokens chosen by Sampler::Draw instead: [steps,
  // sequences]. Each step after the first reads the preceding step's choice, even an end token, and
  // the host waits once, at the end. units: [steps, sequences]; empty if greedy.
  std::vector<int64_t> StepAndChoose(absl::Span<const kernels::SequenceTokens> sequences,
                                     const SamplingSettings& sampling,
                                     absl::Span<const float> units, int64_t steps = 1);
  // Feed, but returns the most likely token, on every device.
  int64_t FeedGreedily(absl::Span<const int64_t> tokens, int64_t slot = 0);

  // Empties the slot for another sequence.
  void Clear(int64_t slot);

  // Number of tokens in the slot.
  [[nodiscard]] int64_t length(int64_t slot = 0) const {
    return lengths_[static_cast<size_t>(slot)];
  }
  [[nodiscard]] bool runs_operator() const { return operator_ != nullptr; }
  [[nodiscard]] ArenaFigures memory() const { return arena_.figures(); }

 private:
  // Records that the tokens are in their slots.
  void Grow(absl::Span<const kernels::SequenceTokens> sequences);
  // The most likely tokens, in the plain form.
  void ChoosePlain(absl::Span<const kernels::SequenceTokens> sequences, absl::Span<int64_t> chosen);
  // Writes the logits after the sequence's last token, in the plain form.
  void FeedPlain(const kernels::SequenceTokens& sequence, float* out);

  const Decoder& decoder_;
  PassArena arena_;               // for all members below
  std::vector<int64_t> lengths_;  // by slot
  kernels::AlignedBuffer logits_;
  std::unique_ptr<DecodeOperator> operator_;  // one of the two is set
  std::unique_ptr<KeyValueCache> cache_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_DECODE_SESSION_H_
