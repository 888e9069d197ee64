// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One optimizer step: draw examples, run micro-batches forward and backward (with MeZO only
// forward), clip, update. Between two calls the state is at a step boundary and may be saved.
//
// A device works asynchronously: it decides on clipping itself, and before the host reads the loss
// of a step it queues the gradients of the next one, so that the device never waits for the host.
// If a pass changes weights (updates in the backward pass) or the log needs the losses (MeZO), no
// step begins ahead: the host waits once, at the end of the step. The results equal those of steps
// one by one, because the gradients computed ahead are discarded if a step's loss is not finite or
// if it changes the loss scale. May throw libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_TRAINER_H_
#define WATTLE_WORKER_ENGINE_TRAIN_TRAINER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include <ATen/core/Tensor.h>

#include "formats/example_pool.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/pass_arena.h"
#include "worker/engine/progress.h"
#include "worker/engine/train/data_order.h"
#include "worker/engine/train/finetune.h"
#include "worker/engine/train/mezo.h"
#include "worker/engine/train/training_state.h"
#include "worker/engine/train/updates_in_backward.h"

namespace wattle::engine {

class Trainer {
 public:
  // All arguments must outlive the trainer. state: at a step boundary.
  Trainer(const FinetuneSettings& settings, const formats::ExamplePool& examples,
          TrainingState& state);

  [[nodiscard]] int64_t total_steps() const { return total_steps_; }
  [[nodiscard]] bool finished() const { return state_.counters.work.steps >= total_steps_; }

  // Must not be called once finished(). Errors: kAborted for a non-finite loss, and for a
  // non-finite gradient without a loss scale or at the smallest scale. The weights are then those
  // before the step; with update_in_backward they may be those of no step (updates_in_backward.h),
  // and the state is unusable. A skipped step (loss_scale.h) counts as a step of the run, for data,
  // rate and count, but makes no update.
  absl::StatusOr<StepReport> Step();
  // For the last Step(): false if its error is a non-finite loss, which makes the weights from
  // before that step useless.
  [[nodiscard]] bool loss_is_finite() const { return loss_is_finite_; }

  // Returns the memory of the steps' tensors, which otherwise stays resident between steps, for
  // work that needs memory between two steps.
  void ReleaseMemory() { arena_.ReleaseMemory(); }

 private:
  // A step whose gradients are computed, or are being computed.
  struct BegunStep {
    StepReport report;
    double scale = 0.0;       // 1 / predictions
    double loss_scale = 1.0;  // factor of the gradients
    DeviceNumber loss;        // sum of losses
    // Position and counter at the end of the step.
    int64_t position = 0;
    uint64_t random_counter = 0;
  };

  void PrepareGradients();
  // position, random_counter: at the beginning of the step.
  absl::StatusOr<BegunStep> Begin(int64_t step, int64_t position, uint64_t random_counter);
  std::vector<size_t> Draw(int64_t position);
  // Tokens of the examples that are still to be drawn, including padding.
  int64_t TokensLeft();
  [[nodiscard]] BatchForm Form() const;
  // Operations of a step on these sequences.
  [[nodiscard]] double FlopsOf(const SequenceGroup& group) const;
  [[nodiscard]] kernels::AdamWStep UpdateOf(int64_t step) const;
  // Adds the loss of a micro-batch to the step, and its scaled gradients to the sum.
  absl::Status Pass(const Decoder& decoder, absl::Span<const size_t> drawn, BegunStep& step);
  // 1 without a loss scale.
  [[nodiscard]] double LossScaleNow() const;
  // Clips and updates by the gradients of the whole step; reads its loss.
  absl::Status EndByGradients(BegunStep& step);
  // EndByGradients on a device, which begins the next step meanwhile.
  absl::Status EndAhead(BegunStep& step);
  void Update(const kernels::AdamWStep& step, const at::Tensor& decided);
  // Checks and records the loss. A smaller loss scale would not help, because the loss does not
  // depend on it.
  absl::Status TakeLoss(double loss, BegunStep& step);
  // Updates the loss scale and the step by the norm of the whole step's gradients.
  absl::Status TakeNorm(double scaled_norm, BegunStep& step);
  // Updates by the slopes of the whole step; reads its loss.
  absl::Status EndBySlopes(BegunStep& step);

  const FinetuneSettings& settings_;
  const formats::ExamplePool& examples_;
  TrainingState& state_;
  DataOrder order_;
  int64_t total_steps_ = 0;
  int64_t last_position_ = 0;  // examples drawn at the end of the run; the last step may be smaller
  std::optional<int64_t> tokens_left_;  // counted before the first step
  std::optional<BegunStep> begun_;      // the next step, if a device computes ahead
  bool loss_is_finite_ = true;
  std::optional<Mezo> mezo_;  // replaces gradients
  ArenaLayout gradient_layout_;
  at::Tensor gradients_;  // float [gradient_layout_.elements]
  DecoderWeights gradient_views_;
  std::optional<UpdatesInBackward> updates_in_backward_;
  PassArena arena_;  // for the tensors of a micro-batch
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_TRAINER_H_
