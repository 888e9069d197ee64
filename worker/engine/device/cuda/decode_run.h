// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sequences that are decoded by the kernels, each in a slot: every step, and a prompt in steps of
// eight tokens, or of 512 if products support so many rows, so that the same code writes the cache
// that the next step reads. The host sends 16 bytes per token, 20 if it is drawn, and 8 less if the
// device chose the token itself. The host receives 8 bytes per chosen token, and waits for these
// once. A repeated step is launched as one graph. One thread.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_DECODE_RUN_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_DECODE_RUN_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"

#include "worker/engine/device/cuda/decode_step.h"
#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/kernels/decode_step.h"

namespace wattle::cuda {

// Maximum of tokens per sequence that are chosen before the host reads them.
constexpr int64_t kStepsAhead = 16;

class DecodeRun {
 public:
  // Bytes of device memory for a run, including its cache. cache.memory is not read.
  [[nodiscard]] static int64_t MemoryBytes(const kernels::DecodeModel& model,
                                           const DecodeCache& cache, bool many_rows = false);

  struct Means {
    std::byte* memory = nullptr;        // MemoryBytes on the device, aligned to 16 bytes
    const float* nf4_tables = nullptr;  // StepMeans::nf4_tables
    ManyRowProducts* many = nullptr;    // for prompts; null: prompts take steps of eight rows
  };

  // model: passes CheckModel. cache.memory is not read. All arguments must outlive the run.
  DecodeRun(const kernels::DecodeModel& model, const DecodeCache& cache, const Means& means,
            KernelLauncher& launcher);

  // See DecodeStep::Prepare.
  absl::Status Prepare() { return step_.Prepare(); }

  // Appends the tokens to their slots, and writes the logits after the last one of each sequence to
  // the host: [sequences, vocabulary].
  absl::Status Run(absl::Span<const kernels::SequenceTokens> sequences, float* logits);
  // Run, but the host receives only the next tokens: chosen: [steps, sequences]. Each step after
  // the first reads the preceding step's tokens on the device. units: [steps, sequences] if tokens
  // are drawn (ChosenRows::units).
  absl::Status RunAndChoose(absl::Span<const kernels::SequenceTokens> sequences,
                            const TokenChoice& choice, absl::Span<const float> units,
                            absl::Span<int64_t> chosen);

  // Empties the slot for another sequence.
  void Clear(int64_t slot) { lengths_[static_cast<size_t>(slot)] = 0; }

 private:
  class StepInputs;
  // Everything that determines the launches of a step except the bytes of its inputs: rows, the
  // first row with logits, the first sequence; and how tokens are chosen, if at all.
  using StepForm = std::tuple<int, int, size_t, bool, double, int64_t, double>;
  struct KnownStep {
    int runs = 0;
    std::unique_ptr<LaunchGraph> graph;
  };
  // rows: on the device; first_sequence: the first of the `wanted` sequences whose logits the rows
  // end in.
  using OnStep =
      absl::FunctionRef<absl::Status(const StepRows& rows, size_t first_sequence, int wanted)>;

  // Source of a step's tokens: the sequences, or the choice of the preceding step.
  enum class Tokens { kGiven, kChosen };

  // Each step: up to eight sequences with one token each, or up to eight tokens of one.
  absl::Status ForEachStep(absl::Span<const kernels::SequenceTokens> sequences, Tokens tokens,
                           absl::Span<const float> units, OnStep on_step);
  // Chooses the next token of each sequence and stores it in chosen_.
  absl::Status ChooseEach(absl::Span<const kernels::SequenceTokens> sequences, Tokens tokens,
                          const TokenChoice& choice, absl::Span<const float> units);
  absl::Status RunPrompt(const kernels::SequenceTokens& sequence, absl::Span<const float> unit,
                         size_t index, OnStep on_step);
  // Runs `body`, which only launches; from the second run of a form on as a graph.
  absl::Status RunForm(const StepForm& form, absl::FunctionRef<absl::Status()> body);
  [[nodiscard]] size_t PieceOf(size_t left) const;
  void Append(int64_t slot, absl::Span<const int64_t> tokens, StepInputs& inputs);
  [[nodiscard]] std::byte* Take(int64_t bytes);

  const int64_t vocabulary_;
  KernelLauncher& launcher_;
  const int rows_;                // of a step, at most
  std::vector<int64_t> lengths_;  // by slot
  std::byte* rest_;               // memory that is not taken yet
  DecodeCache cache_;
  float* scratch_;
  std::byte* inputs_;
  float* logits_;      // [kMaxProductRows, vocabulary]
  Amount* amounts_;    // [kMaxProductRows, vocabulary]
  long long* chosen_;  // [slots] NOLINT(google-runtime-int): as the kernels' own
  long long* kept_;    // [kStepsAhead, slots], for all steps. NOLINT(google-runtime-int)
  DecodeStep step_;
  std::map<StepForm, KnownStep> known_;
  bool has_graphs_ = true;  // until the launcher reports that it has none
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_DECODE_RUN_H_
