// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One optimizer step: draw examples, run micro-batches forward and backward (of MeZO forward
// alone), clip, update. Between two calls the state is at a step boundary and may be saved.
//
// A device computes while the host goes on: clipping is decided there, and before the host reads
// the loss of a step it asks for the gradients of the next one, so that the device never waits for
// the host. Where a pass changes weights (updates in the backward pass) or the log wants the losses
// (MeZO) no step begins ahead: the host waits once, at the end of the step. The numbers are those
// of steps one by one: a step whose loss is not finite, or that
// changes the loss scale, makes no use of the gradients that were asked for. May throw libtorch's
// exceptions.
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
  // All three outlive the trainer. state: at a step boundary.
  Trainer(const FinetuneSettings& settings, const formats::ExamplePool& examples,
          TrainingState& state);

  [[nodiscard]] int64_t total_steps() const { return total_steps_; }
  [[nodiscard]] bool finished() const { return state_.counters.work.steps >= total_steps_; }

  // Not once finished(). Errors: kAborted for a loss that is not finite, and for such a gradient
  // where the loss has no scale or the smallest. The weights are as before the step; with
  // update_in_backward they may be of no step (updates_in_backward.h), and the state is of no more
  // use. A step that is skipped (loss_scale.h) is a step of the run like any other, for data, rate
  // and count; it makes no update.
  absl::StatusOr<StepReport> Step();
  // Of the last Step(): false where its error is a loss that is not finite, so that the weights
  // from before that step are of no use.
  [[nodiscard]] bool loss_is_finite() const { return loss_is_finite_; }

  // Gives back the memory of the steps' tensors, which stays resident from step to step: for what
  // takes memory of its own between two steps.
  void ReleaseMemory() { arena_.ReleaseMemory(); }

 private:
  // A step whose gradients are computed, or are being computed.
  struct BegunStep {
    StepReport report;
    double scale = 0.0;       // 1 / predictions
    double loss_scale = 1.0;  // of the gradients
    DeviceNumber loss;        // Σ
    // Where the step ends.
    int64_t position = 0;
    uint64_t random_counter = 0;
  };

  void PrepareGradients();
  // position, random_counter: where the step begins.
  absl::StatusOr<BegunStep> Begin(int64_t step, int64_t position, uint64_t random_counter);
  std::vector<size_t> Draw(int64_t position);
  // Of the examples that are still to be drawn, padding included.
  int64_t TokensLeft();
  [[nodiscard]] BatchForm Form() const;
  // Of a step's work on these sequences.
  [[nodiscard]] double FlopsOf(const SequenceGroup& group) const;
  [[nodiscard]] kernels::AdamWStep UpdateOf(int64_t step) const;
  // Adds a micro-batch to the step, and its gradients, scaled, to the others.
  absl::Status Pass(const Decoder& decoder, absl::Span<const size_t> drawn, BegunStep& step);
  // 1 where the loss has none.
  [[nodiscard]] double LossScaleNow() const;
  // Clips and updates by the gradients of the whole step; reads its loss.
  absl::Status EndByGradients(BegunStep& step);
  // The same on a device, which begins the next step meanwhile.
  absl::Status EndAhead(BegunStep& step);
  void Update(const kernels::AdamWStep& step, const at::Tensor& decided);
  // Takes in the loss. A scale does not change it: no smaller one would help.
  absl::Status TakeLoss(double loss, BegunStep& step);
  // What the norm of the whole step's gradients says of the loss scale and of the step.
  absl::Status TakeNorm(double scaled_norm, BegunStep& step);
  // Updates by the slopes of the whole step; reads its loss.
  absl::Status EndBySlopes(BegunStep& step);

  const FinetuneSettings& settings_;
  const formats::ExamplePool& examples_;
  TrainingState& state_;
  DataOrder order_;
  int64_t total_steps_ = 0;
  int64_t last_position_ =
      0;  // examples drawn at the end of the run; the last step may be a smaller one
  std::optional<int64_t> tokens_left_;  // counted before the first step
  std::optional<BegunStep> begun_;      // the next one, where a device computes ahead
  bool loss_is_finite_ = true;
  std::optional<Mezo> mezo_;  // in place of gradients
  ArenaLayout gradient_layout_;
  at::Tensor gradients_;  // float [gradient_layout_.elements]
  DecoderWeights gradient_views_;
  std::optional<UpdatesInBackward> updates_in_backward_;
  PassArena arena_;  // of the tensors of a micro-batch
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_TRAINER_H_
