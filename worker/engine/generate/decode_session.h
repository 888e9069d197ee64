// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sequences being generated, each in a slot. A whole step is one operator where the device has one
// (device/decode_operator.h): the CPU's is kernels/decode_step.h, that of an NVIDIA GPU
// device/cuda/decode_step.h. For what it lacks the session runs the decoder's plain form. Keys and
// values are held as the decoder says: the operator's cache holds int8, the plain form the same
// numbers as floats. Every buffer of the host comes from one arena, as models/tensor_plan.h plans
// it (PassKind::kDecode). May throw libtorch's exceptions. One thread.
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

// Which form a session takes; kPlain is for tests and comparisons.
enum class DecodeForm { kFastest, kPlain };

class DecodeSession {
 public:
  // Room for capacity_tokens in each of `slots`. The decoder outlives the session and does not
  // change. record: where the arena notes its tensors, for tests.
  DecodeSession(const Decoder& decoder, int64_t capacity_tokens,
                DecodeForm form = DecodeForm::kFastest, int64_t slots = 1,
                std::vector<ArenaTensor>* record = nullptr);
  ~DecodeSession();
  DecodeSession(const DecodeSession&) = delete;
  DecodeSession& operator=(const DecodeSession&) = delete;

  // Feeds the tokens that follow those in the slot; returns the logits after the last one, float
  // [vocabulary], valid until the next call.
  absl::Span<const float> Feed(absl::Span<const int64_t> tokens, int64_t slot = 0);

  // One token for each of some slots, in one step; returns their logits, float [sequences,
  // vocabulary], valid until the next call. sequences: one token each, no slot twice.
  absl::Span<const float> Step(absl::Span<const kernels::SequenceTokens> sequences);

  // Whether StepAndChoose is there: on a device that is not the host, where the logits of a token
  // need not go to the host.
  [[nodiscard]] bool chooses_on_device(const SamplingSettings& sampling) const;
  // The most tokens of a sequence that StepAndChoose returns.
  [[nodiscard]] int64_t steps_ahead() const;
  // As Step, or Feed of one sequence, and returns the tokens that Sampler::Draw chooses instead:
  // [steps, sequences]. Each step but the first reads what the one before chose, whatever it is,
  // and the host waits once, at the end. units: [steps, sequences]; greedy: none.
  std::vector<int64_t> StepAndChoose(absl::Span<const kernels::SequenceTokens> sequences,
                                     const SamplingSettings& sampling,
                                     absl::Span<const float> units, int64_t steps = 1);
  // As Feed, and returns the most likely token, on every device.
  int64_t FeedGreedily(absl::Span<const int64_t> tokens, int64_t slot = 0);

  // The slot serves another sequence.
  void Clear(int64_t slot);

  // Tokens that the slot holds.
  [[nodiscard]] int64_t length(int64_t slot = 0) const {
    return lengths_[static_cast<size_t>(slot)];
  }
  [[nodiscard]] bool runs_operator() const { return operator_ != nullptr; }
  [[nodiscard]] ArenaFigures memory() const { return arena_.figures(); }

 private:
  // The tokens stand in their slots.
  void Grow(absl::Span<const kernels::SequenceTokens> sequences);
  // The most likely tokens by the plain form.
  void ChoosePlain(absl::Span<const kernels::SequenceTokens> sequences, absl::Span<int64_t> chosen);
  // Writes the logits after the sequence's last token, by the plain form.
  void FeedPlain(const kernels::SequenceTokens& sequence, float* out);

  const Decoder& decoder_;
  PassArena arena_;               // of everything below
  std::vector<int64_t> lengths_;  // by slot
  kernels::AlignedBuffer logits_;
  std::unique_ptr<DecodeOperator> operator_;  // one of the two
  std::unique_ptr<KeyValueCache> cache_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_DECODE_SESSION_H_
