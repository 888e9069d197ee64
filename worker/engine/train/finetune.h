// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The finetune job: fine-tuning of every weight, of the last layers or of adapters, checkpoints,
// exact resume. No libtorch in this header. Read next: trainer.h (one step), checkpoint.h (stored
// state).
#ifndef WATTLE_WORKER_ENGINE_TRAIN_FINETUNE_H_
#define WATTLE_WORKER_ENGINE_TRAIN_FINETUNE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "wattle/v1/spec.pb.h"
#include "worker/engine/kernels/float_matmul.h"
#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"
#include "worker/engine/train/examples.h"
#include "worker/engine/train/loss_scale.h"
#include "worker/engine/train/method_settings.h"
#include "worker/engine/train/schedule.h"

namespace wattle::engine {

struct FinetuneSettings {
  // With lora its recipe is the form of the frozen weights; without lora, the recipe to which each
  // step rounds (rounded_weights.h).
  ModelJob model;
  std::string data;
  std::string heldout_data;    // empty: no held-out loss
  std::string work_directory;  // of checkpoints; the run resumes from the newest complete one
  // The result: a directory that transformers loads, or PEFT adapters. Empty: the run is only
  // measured, and its result is discarded.
  std::string output_directory;

  int64_t epochs = 1;
  int64_t steps = 0;  // optimizer steps; 0: use epochs
  ExampleOptions examples;
  int64_t batch_size = 8;
  int64_t accumulation_steps = 1;  // forward passes per optimizer step
  double learning_rate = 5e-5;
  int64_t warmup_steps = 0;
  LearningRateShape learning_rate_shape = LearningRateShape::kLinear;
  v1::Optimizer optimizer = v1::OPTIMIZER_ADAMW;
  bool update_in_backward = false;  // updates_in_backward.h; not with lora or accumulation
  AdamWSettings adamw;
  // Trains by forward passes only, in place of AdamW: only the weight decay of `adamw` is used, and
  // no dropout is drawn.
  std::optional<MezoSettings> mezo;
  std::optional<LoraSettings> lora;  // trains adapters beside weights in any form
  // The type to which training products round their factors; gradients, moments and held-out losses
  // are always FP32 (models/products.h).
  kernels::FactorType precision = kernels::FactorType::kFloat32;
  bool tf32 = false;  // with kFloat32: a GPU may round factors to TF32
  // For kFp16, which excludes update_in_backward; unused with mezo, which has no gradients.
  LossScaleSettings loss_scale;
  // Matrices that no recipe quantizes are BF16, without an FP32 copy: trained ones are rounded
  // stochastically, and the result has them in BF16. Adapters, norms, biases and tables of
  // positions stay FP32. Not in quantization-aware training, and with mezo only for adapters.
  bool bf16_weights = false;
  int64_t last_layers = 0;                // 0: all; otherwise see models::TrainedWithLastLayers
  bool packing = false;                   // micro-batches are BatchForm::kPacked
  bool activation_checkpointing = false;  // a block keeps only its input (models/decoder.h)
  uint64_t seed = 0;                      // for data order, dropout and adapters
  int64_t evaluate_every_steps = 0;       // 0: only before the first and after the last step
  // If more than 0, training ends after this many evaluations in a row without a lower held-out
  // loss, and the result is the model of the lowest one. Requires held-out data and
  // evaluate_every_steps.
  int64_t early_stop_evaluations = 0;
  // 0: after the last step, and on the sink's order (ProgressSink::TakeCheckpointOrder).
  int64_t checkpoint_every_steps = 50;
  // To be left free on the disk of the work directory: a checkpoint that would leave less is
  // skipped.
  int64_t free_space_reserve_bytes = 0;
  int threads = 1;  // the argument of SetThreads; stored in checkpoints
};

// Beside the model in output_directory: one line {"step": 1, "loss": 5.25} per step.
inline constexpr char kLossesFile[] = "losses.jsonl";

struct FinetuneResult {
  ModelFigures model;
  WorkTotals work;  // of all steps, including those before a resume
  double train_loss_first = 0.0;
  double train_loss_last = 0.0;
  std::optional<double> heldout_loss_before;
  std::optional<double> heldout_loss_after;  // of the result
  std::optional<int64_t> best_step;          // of the result of a run that may stop early
  std::optional<LossScale> loss_scale;       // for kFp16 without mezo: as of the last step
  int64_t truncated_examples = 0;
  int64_t dropped_examples = 0;
  int64_t resumed_from_step = 0;
  // This run or one before it resumed from a checkpoint of another build, library, instruction set,
  // device or number of threads: the result may differ from an uninterrupted run's in its last
  // bits.
  bool numerically_continued = false;
};

// Whole job. The loss of a step is the mean over all predicted tokens of its accumulated
// micro-batches. Errors: those of LoadModel and LoadExamples; kFailedPrecondition (settings out of
// range, an int8 model, a checkpoint of another job in work_directory); kAborted for a non-finite
// loss, and for a non-finite gradient without a loss scale or at the smallest scale, with the step;
// the last checkpoint stays; kCancelled if the sink cancels, with a checkpoint of that step unless
// kDiscard; kResourceExhausted for a full disk.
absl::StatusOr<FinetuneResult> Finetune(const FinetuneSettings& settings, ProgressSink& sink);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_FINETUNE_H_
