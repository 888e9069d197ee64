// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/finetune.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "base/build_id.h"
#include "base/durable_file.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "models/model_directory.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_defaults.h"
#include "worker/engine/device/cuda_capability.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/torch_border.h"
#include "worker/engine/train/best_weights.h"
#include "worker/engine/train/checkpoint.h"
#include "worker/engine/train/trainer.h"

namespace wattle::engine {
namespace {

// MeZO has no backward pass that could recompute activations and no dropout mask that two passes
// would share, and rounding to a recipe would hide moves smaller than its steps.
absl::Status ValidateMezo(const FinetuneSettings& settings) {
  const MezoSettings& mezo = *settings.mezo;
  if (!(mezo.perturbation > 0.0) || mezo.perturbation > 1.0) {
    return absl::FailedPreconditionError(absl::StrCat("mezo.perturbation: ", mezo.perturbation,
                                                      "; wants a number above 0, at most 1"));
  }
  if (mezo.samples < 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("mezo.samples: ", mezo.samples, "; wants at least 1"));
  }
  const char* const beside =
      settings.activation_checkpointing                                 ? "activation_checkpointing"
      : settings.bf16_weights && !settings.lora.has_value()             ? "weights_precision"
      : settings.lora.has_value() && settings.lora->dropout > 0.0       ? "lora.dropout"
      : settings.model.recipe.has_value() && !settings.lora.has_value() ? "quantization"
                                                                        : nullptr;
  return beside == nullptr ? absl::OkStatus()
                           : absl::FailedPreconditionError(absl::StrCat(
                                 beside, ": does not go with optimizer: mezo; leave it out"));
}

// Rounding to a recipe and merging adapters need FP32 weights.
absl::Status ValidateBf16Weights(const FinetuneSettings& settings) {
  const bool lora = settings.lora.has_value();
  const char* const beside = !lora && settings.model.recipe.has_value() ? "quantization"
                             : lora && settings.lora->merge             ? "lora.merge"
                                                                        : nullptr;
  return beside == nullptr
             ? absl::OkStatus()
             : absl::FailedPreconditionError(absl::StrCat(
                   "weights_precision: bf16 does not go with ", beside, "; leave it out"));
}

absl::Status Validate(const FinetuneSettings& settings) {
  const auto wrong = [](absl::string_view field, auto value, absl::string_view wanted) {
    return absl::FailedPreconditionError(absl::StrCat(field, ": ", value, "; wants ", wanted));
  };
  if (settings.batch_size < 1) {
    return wrong("batch_size", settings.batch_size, "at least 1");
  }
  if (settings.accumulation_steps < 1) {
    return wrong("gradient_accumulation_steps", settings.accumulation_steps, "at least 1");
  }
  if (settings.steps < 0 || settings.epochs < 1) {
    return wrong("epochs", settings.epochs, "at least 1 (or steps above 0)");
  }
  if (!(settings.learning_rate > 0.0)) {
    return wrong("learning_rate", settings.learning_rate, "a number above 0");
  }
  if (settings.checkpoint_every_steps < 0) {
    return wrong("checkpoint_every_steps", settings.checkpoint_every_steps, "at least 0");
  }
  if (settings.last_layers < 0 || (settings.last_layers > 0 && settings.lora.has_value())) {
    return wrong("last_layers", settings.last_layers,
                 "0, or a number of layers without lora, whose adapters stand beside every layer");
  }
  if (settings.early_stop_evaluations < 0 ||
      (settings.early_stop_evaluations > 0 &&
       (settings.heldout_data.empty() || settings.evaluate_every_steps < 1))) {
    return wrong("early_stop_evaluations", settings.early_stop_evaluations,
                 "0, or a number beside heldout_data and evaluate_every_steps");
  }
  if (settings.model.recipe.has_value() && KeysAndValuesAreInt8(*settings.model.recipe)) {
    return absl::FailedPreconditionError(
        "recipe.kv_cache: int8: training keeps keys and values in FP32; leave it out");
  }
  if (settings.mezo.has_value()) {
    WATTLE_RETURN_IF_ERROR(ValidateMezo(settings));
  }
  if (settings.bf16_weights) {
    WATTLE_RETURN_IF_ERROR(ValidateBf16Weights(settings));
  }
  if (settings.update_in_backward && settings.precision == kernels::FactorType::kFp16) {
    return wrong("update_in_backward", "true",
                 "precision: fp32 or bf16: whether an FP16 gradient overflowed is known only when "
                 "all of it is complete");
  }
  if (settings.update_in_backward && settings.accumulation_steps > 1) {
    return wrong("gradient_accumulation_steps", settings.accumulation_steps,
                 "1 beside update_in_backward, which keeps no gradients to add to");
  }
  if (settings.update_in_backward && settings.lora.has_value()) {
    return wrong("update_in_backward", "true",
                 "full fine-tuning: the gradients of adapters are small");
  }
  const AdamWSettings& adamw = settings.adamw;
  if (!(adamw.beta1 >= 0.0 && adamw.beta1 < 1.0)) {
    return wrong("adam_beta1", adamw.beta1, "0 or more, below 1");
  }
  if (!(adamw.beta2 >= 0.0 && adamw.beta2 < 1.0)) {
    return wrong("adam_beta2", adamw.beta2, "0 or more, below 1");
  }
  if (!(adamw.epsilon > 0.0)) {
    return wrong("adam_epsilon", adamw.epsilon, "a number above 0");
  }
  return absl::OkStatus();
}

CheckpointIdentity IdentityOf(const FinetuneSettings& settings, const Trainer& trainer,
                              uint64_t data_fingerprint, const std::string& quantization) {
  const AdamWSettings& adamw = settings.adamw;
  std::string adapters;
  if (settings.lora.has_value()) {
    const LoraSettings& lora = *settings.lora;
    adapters = absl::StrFormat(", adapters of rank %d, alpha %.17g, dropout %.17g on %s beside %s",
                               lora.rank, lora.alpha, lora.dropout,
                               absl::StrJoin(lora.targets, " "), quantization);
  }
  const std::string rounded =
      settings.lora.has_value() || !settings.model.recipe.has_value()
          ? ""
          : absl::StrCat(", rounded to ", RecipeIdentity(*settings.model.recipe));
  const std::string last_layers =
      settings.last_layers > 0 ? absl::StrCat(", last ", settings.last_layers, " layers") : "";
  const std::string early_stop =
      settings.early_stop_evaluations > 0
          ? absl::StrFormat(", early stop after %d of every %d", settings.early_stop_evaluations,
                            settings.evaluate_every_steps)
          : "";
  const std::string precision =
      absl::StrCat(settings.precision == kernels::FactorType::kBf16   ? ", precision bf16"
                   : settings.precision == kernels::FactorType::kFp16 ? ", precision fp16"
                   : settings.tf32                                    ? ", precision tf32"
                                                                      : "",
                   settings.bf16_weights ? ", weights bf16" : "");
  const std::string mezo = settings.mezo.has_value()
                               ? absl::StrFormat(", mezo %.17g x %d", settings.mezo->perturbation,
                                                 settings.mezo->samples)
                               : "";
  const std::string optimizer =
      absl::StrCat(OptimizerIdentity(settings.optimizer).empty()
                       ? ""
                       : absl::StrCat(", optimizer ", OptimizerIdentity(settings.optimizer)),
                   settings.update_in_backward ? ", updates in the backward pass" : "");
  return {.job = absl::StrFormat(
              "steps %d, batch %d x %d, seed %d, data %016x, rate %.17g, warm-up %d, shape %d, "
              "beta %.17g %.17g, epsilon %.17g, decay %.17g, clip %.17g%s%s%s%s%s%s%s%s",
              trainer.total_steps(), settings.batch_size, settings.accumulation_steps,
              settings.seed, data_fingerprint, settings.learning_rate, settings.warmup_steps,
              static_cast<int>(settings.learning_rate_shape), adamw.beta1, adamw.beta2,
              adamw.epsilon, adamw.weight_decay, adamw.clip_norm, adapters, rounded, last_layers,
              settings.packing ? ", packed" : "", early_stop, precision, mezo, optimizer),
          .build = absl::StrCat(EngineVersion(), ", build id ", BuildId(), ", device ",
                                settings.model.device, ", threads ", settings.threads, ", kernels ",
                                kernels::BestKernels().name, ", products ",
                                kernels::BestFloatKernels().name, ", ", LibraryConfiguration())};
}

// The job during its run.
class FinetuneRun {
 public:
  FinetuneRun(const FinetuneSettings& settings, ProgressSink& sink)
      : settings_(settings), sink_(sink) {}

  absl::StatusOr<FinetuneResult> Run() {
    sink_.OnPhase(Phase::kLoad, 0, 0);
    WATTLE_RETURN_IF_ERROR(Load());
    Trainer trainer(settings_, data_.pool, state_);
    identity_ = IdentityOf(settings_, trainer, FingerprintOf(data_.pool),
                           RecipeIdentity(state_.model.recipe));
    WATTLE_RETURN_IF_ERROR(Restore());
    if (resumed_from_ == 0) {
      WATTLE_RETURN_IF_ERROR(MeasureHeldout());
      state_.counters.heldout_before = state_.counters.heldout_last;
    }
    WATTLE_RETURN_IF_ERROR(Train(trainer));
    trainer.ReleaseMemory();
    if (state_.counters.heldout_last_step != state_.counters.work.steps) {
      WATTLE_RETURN_IF_ERROR(MeasureHeldout());
    }
    WATTLE_RETURN_IF_ERROR(TakeBest());
    if (!settings_.output_directory.empty()) {
      sink_.OnPhase(Phase::kSave, 0, 0);
      WATTLE_RETURN_IF_ERROR(SaveResult());
      WATTLE_RETURN_IF_ERROR(SaveLosses());
      WATTLE_RETURN_IF_ERROR(SaveMezoLog());
    }
    return Describe();
  }

 private:
  absl::Status LoadModels() {
    WATTLE_ASSIGN_OR_RETURN(const at::Device device, DeviceNamed(settings_.model.device));
    WATTLE_RETURN_IF_ERROR(CheckFactors(settings_.precision, CapabilityOf(device)));
    if (!settings_.lora.has_value()) {
      WATTLE_ASSIGN_OR_RETURN(state_.model,
                              LoadForTraining(settings_.model, settings_.bf16_weights, sink_));
      WATTLE_RETURN_IF_ERROR(FreezeLowerLayers());
      state_.layout = TrainableLayout(state_.model.parameters);
      if (settings_.model.recipe.has_value()) {
        WATTLE_ASSIGN_OR_RETURN(state_.rounded,
                                RoundedWeights::Make(state_.model, *settings_.model.recipe));
      }
      return absl::OkStatus();
    }
    WATTLE_ASSIGN_OR_RETURN(state_.model,
                            LoadFrozen(settings_.model, settings_.bf16_weights, sink_));
    if (settings_.lora->merge && state_.model.is_quantized()) {
      return absl::FailedPreconditionError(
          absl::StrCat("lora.merge: weights that are ", RecipeIdentity(state_.model.recipe),
                       " cannot take the adapters in; leave merge out"));
    }
    Decoder& decoder = state_.model.decoder;
    WATTLE_ASSIGN_OR_RETURN(state_.adapters, MakeAdapters(*settings_.lora, state_.model.files,
                                                          settings_.seed, decoder.device));
    AttachAdapters(*state_.adapters, state_.adapters->arena, decoder.weights);
    state_.layout = TrainableLayout(state_.adapters->parameters);
    return absl::OkStatus();
  }

  absl::Status FreezeLowerLayers() {
    const models::DecoderConfig& config = state_.model.files.config;
    if (settings_.last_layers > config.layer_count()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "last_layers: ", settings_.last_layers, "; the model has ", config.layer_count(),
          " layers; write at most that, or leave it out to train every weight"));
    }
    if (settings_.last_layers > 0) {
      FreezeBelow(config, settings_.last_layers, state_.model.parameters);
    }
    return absl::OkStatus();
  }

  absl::Status SaveResult() {
    if (state_.adapters.has_value() && !settings_.lora->merge) {
      return SaveAdapters(settings_.output_directory, *state_.adapters);
    }
    if (state_.adapters.has_value()) {
      MergeAdapters(*state_.adapters, state_.model);
    }
    return SaveModel(settings_.output_directory, state_.model);
  }

  absl::Status LoadData() {
    const std::string& directory = settings_.model.directory;
    WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory model,
                            models::InspectModelDirectory(directory));
    WATTLE_ASSIGN_OR_RETURN(const auto tokenizer,
                            formats::BytePairEncoding::LoadDirectory(directory));
    WATTLE_ASSIGN_OR_RETURN(data_, LoadExamples(settings_.data, directory, tokenizer, model.config,
                                                settings_.examples));
    if (!settings_.heldout_data.empty()) {
      ExampleOptions options = settings_.examples;
      options.limit_examples = 0;
      WATTLE_ASSIGN_OR_RETURN(heldout_, LoadExamples(settings_.heldout_data, directory, tokenizer,
                                                     model.config, options));
    }
    return absl::OkStatus();
  }

  // Data are read first: the memory for reading is freed before the weights need room.
  absl::Status Load() {
    WATTLE_RETURN_IF_ERROR(LoadData());
    GiveFreedBlocksBack();
    WATTLE_RETURN_IF_ERROR(LoadModels());
    state_.optimizer =
        MakeOptimizerState(settings_.mezo.has_value() ? v1::OPTIMIZER_MEZO : settings_.optimizer,
                           state_.trained().parameters, state_.layout, state_.model.decoder.device);
    state_.optimizer.rounding_seed = settings_.seed;
    return absl::OkStatus();
  }

  absl::Status Restore() {
    WATTLE_ASSIGN_OR_RETURN(const RestoredCheckpoint restored,
                            RestoreNewestCheckpoint(settings_.work_directory, identity_, state_));
    for (const std::string& line : restored.skipped) {
      sink_.OnLog(absl::StrCat("skipped a checkpoint that cannot be read: ", line));
    }
    resumed_from_ = restored.step;
    if (!restored.same_build) {
      state_.counters.numerically_continued = true;
    }
    if (restored.step > 0) {
      sink_.OnLog(absl::StrCat("resumed from the checkpoint of step ", restored.step,
                               restored.same_build ? ""
                                                   : "; numerically continued: another build, "
                                                     "library, processor or thread count"));
    }
    return absl::OkStatus();
  }

  [[nodiscard]] bool Finished(const Trainer& trainer) const {
    const int64_t patience = settings_.early_stop_evaluations;
    return trainer.finished() ||
           (patience > 0 && state_.counters.evaluations_without_gain >= patience);
  }

  // The result of a run that may stop early.
  absl::Status TakeBest() {
    const TrainingCounters& counters = state_.counters;
    if (!counters.heldout_best.has_value() || counters.heldout_best_step == counters.work.steps) {
      return absl::OkStatus();
    }
    sink_.OnLog(absl::StrCat("the lowest held-out loss was that of step ",
                             counters.heldout_best_step, " of ", counters.work.steps,
                             "; the result is the model of that step"));
    return TakeBestWeights(settings_.work_directory, state_);
  }

  // A run that was stopped during an evaluation has its checkpoint but not its loss.
  absl::Status CatchUpOnHeldout() {
    const int64_t step = state_.counters.work.steps;
    const int64_t every = settings_.evaluate_every_steps;
    const bool missed =
        every > 0 && step > 0 && step % every == 0 && state_.counters.heldout_last_step != step;
    return missed ? MeasureHeldout() : absl::OkStatus();
  }

  absl::Status Train(Trainer& trainer) {
    WATTLE_RETURN_IF_ERROR(CatchUpOnHeldout());
    if (Finished(trainer)) {
      return absl::OkStatus();
    }
    sink_.OnPhase(Phase::kTrain, state_.counters.work.steps, trainer.total_steps());
    while (!Finished(trainer)) {
      auto report = trainer.Step();
      if (!report.ok()) {
        if (!trainer.loss_is_finite()) {
          GiveUpWeights();
        }
        return absl::Status(report.status().code(),
                            absl::StrCat(report.status().message(), "; ", LastCheckpoint()));
      }
      if (report->skipped) {
        LogSkippedStep(report->step);
      }
      const int64_t every = settings_.evaluate_every_steps;
      if (every > 0 && report->step % every == 0) {
        trainer.ReleaseMemory();
        WATTLE_RETURN_IF_ERROR(MeasureHeldout());
        report->heldout_loss = state_.counters.heldout_last.value_or(0.0);
        sink_.OnPhase(Phase::kTrain, report->step, trainer.total_steps());
      }
      WATTLE_RETURN_IF_ERROR(Obey(sink_.OnStep(*report)));
      const int64_t checkpoint_every = settings_.checkpoint_every_steps;
      const bool ordered = sink_.TakeCheckpointOrder();
      // Also after the last step, because the following evaluation and upload may be interrupted.
      if (ordered || (checkpoint_every > 0 && report->step % checkpoint_every == 0) ||
          (Finished(trainer) && !settings_.output_directory.empty())) {
        trainer.ReleaseMemory();
        WATTLE_RETURN_IF_ERROR(Checkpoint());
        if (!Finished(trainer)) {
          sink_.OnPhase(Phase::kTrain, report->step, trainer.total_steps());
        }
      }
    }
    return absl::OkStatus();
  }

  void LogSkippedStep(int64_t step) {
    const LossScale& loss_scale = *state_.counters.loss_scale;
    sink_.OnLog(absl::StrFormat(
        "step %d: no update, the gradient overflowed FP16; %d steps skipped so far, the loss scale "
        "is now %.0f",
        step, loss_scale.skipped_steps, loss_scale.scale));
  }

  absl::Status Obey(StepDecision decision) {
    if (decision == StepDecision::kGoOn) {
      return absl::OkStatus();
    }
    const int64_t step = state_.counters.work.steps;
    if (decision == StepDecision::kStop && step > 0 && checkpointed_step_ != step) {
      WATTLE_RETURN_IF_ERROR(Checkpoint());
    }
    return absl::CancelledError(absl::StrCat("stopped after step ", step));
  }

  absl::Status Checkpoint() {
    sink_.OnPhase(Phase::kCheckpoint, 0, 0);
    const absl::StatusOr<CheckpointReport> report = WriteCheckpoint(
        settings_.work_directory, identity_, state_, settings_.free_space_reserve_bytes);
    // A full disk costs the checkpoint, not the training: an older checkpoint still exists.
    if (absl::IsResourceExhausted(report.status())) {
      sink_.OnLog(absl::StrCat("left out the checkpoint of step ", state_.counters.work.steps, ": ",
                               report.status().message()));
      return absl::OkStatus();
    }
    WATTLE_RETURN_IF_ERROR(report.status());
    checkpointed_step_ = report->step;
    sink_.OnCheckpoint(*report);
    return absl::OkStatus();
  }

  // Obeys a stop during an evaluation in the same way as at a step.
  class HeldoutSink : public ProgressSink {
   public:
    explicit HeldoutSink(ProgressSink& sink) : sink_(sink) {}
    void OnPhase(Phase phase, int64_t from_step, int64_t steps_total) override {
      sink_.OnPhase(phase, from_step, steps_total);
    }
    StepDecision OnStep(const StepReport& report) override {
      decision_ = sink_.OnStep(report);
      return decision_;
    }
    void OnCheckpoint(const CheckpointReport& report) override { sink_.OnCheckpoint(report); }
    void OnLog(const std::string& line) override { sink_.OnLog(line); }
    [[nodiscard]] StepDecision decision() const { return decision_; }

   private:
    ProgressSink& sink_;
    StepDecision decision_ = StepDecision::kGoOn;
  };

  absl::Status MeasureHeldout() {
    if (heldout_.pool.empty()) {
      return absl::OkStatus();
    }
    HeldoutSink sink(sink_);
    const auto figures =
        LossOverExamples(state_.ForPasses(), heldout_.pool, settings_.batch_size, sink);
    WATTLE_RETURN_IF_ERROR(Obey(sink.decision()));
    if (absl::IsAborted(figures.status())) {
      GiveUpWeights();
      return absl::AbortedError(absl::StrCat("after step ", state_.counters.work.steps, ": ",
                                             settings_.heldout_data, ": ",
                                             figures.status().message(), "; ", LastCheckpoint()));
    }
    WATTLE_RETURN_IF_ERROR(WithContext(settings_.heldout_data, figures.status()));
    state_.counters.heldout_last = figures->loss;
    state_.counters.heldout_last_step = state_.counters.work.steps;
    if (settings_.early_stop_evaluations > 0 && state_.counters.work.steps > 0) {
      return NoteHeldoutLoss(settings_.work_directory, figures->loss, state_);
    }
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status SaveLosses() const {
    std::string lines;
    int64_t step = 0;
    for (const double loss : state_.counters.losses) {
      absl::StrAppendFormat(&lines, "{\"step\": %d, \"loss\": %.17g}\n", ++step, loss);
    }
    return WriteFileDurably(absl::StrCat(settings_.output_directory, "/", kLossesFile), lines);
  }

  // Writes the moves that lead to the result.
  [[nodiscard]] absl::Status SaveMezoLog() const {
    if (!settings_.mezo.has_value()) {
      return absl::OkStatus();
    }
    const TrainingCounters& counters = state_.counters;
    const int64_t steps =
        counters.heldout_best.has_value() ? counters.heldout_best_step : counters.work.steps;
    const auto moves = static_cast<size_t>(steps * settings_.mezo->samples);
    return WriteFileDurably(
        absl::StrCat(settings_.output_directory, "/", kMezoLogFile),
        FormatMezoLog({state_.mezo_log.begin(),
                       state_.mezo_log.begin() + static_cast<std::ptrdiff_t>(moves)}));
  }

  // The weights give a non-finite loss: no run may resume from a checkpoint of them.
  void GiveUpWeights() {
    checkpointed_step_ = RemoveCheckpoint(settings_.work_directory, state_.counters.work.steps);
    resumed_from_ = checkpointed_step_;
  }

  [[nodiscard]] std::string LastCheckpoint() const {
    const int64_t step = std::max(checkpointed_step_, resumed_from_);
    return step > 0 ? absl::StrCat("the last good checkpoint is that of step ", step)
                    : "there is no good checkpoint";
  }

  [[nodiscard]] FinetuneResult Describe() const {
    const TrainingCounters& counters = state_.counters;
    return {.model = FiguresOf(state_.model),
            .work = counters.work,
            .train_loss_first = counters.losses.front(),
            .train_loss_last = counters.losses.back(),
            .heldout_loss_before = counters.heldout_before,
            .heldout_loss_after =
                counters.heldout_best.has_value() ? counters.heldout_best : counters.heldout_last,
            .best_step = counters.heldout_best.has_value()
                             ? std::optional<int64_t>(counters.heldout_best_step)
                             : std::nullopt,
            .loss_scale = counters.loss_scale,
            .truncated_examples = data_.truncated,
            .dropped_examples = data_.dropped,
            .resumed_from_step = resumed_from_,
            .numerically_continued = counters.numerically_continued};
  }

  const FinetuneSettings& settings_;
  ProgressSink& sink_;
  TrainingState state_;
  formats::PackedExamples data_;
  formats::PackedExamples heldout_;
  CheckpointIdentity identity_;
  int64_t resumed_from_ = 0;
  int64_t checkpointed_step_ = 0;
};

}  // namespace

absl::StatusOr<FinetuneResult> Finetune(const FinetuneSettings& settings, ProgressSink& sink) {
  WATTLE_RETURN_IF_ERROR(Validate(settings));
  return AtTorchBorder("finetune", [&] { return FinetuneRun(settings, sink).Run(); });
}

}  // namespace wattle::engine
