// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include "base/clock.h"
#include "base/status_macros.h"
#include "models/tensor_plan.h"
#include "worker/engine/device/device.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/flops.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/token_batch.h"

namespace wattle::engine {
namespace {

int64_t CeilDivide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The largest micro-batch of the run; a packed one takes less memory.
models::PassDescription LargestPass(const FinetuneSettings& settings,
                                    const formats::ExamplePool& examples,
                                    const TrainingState& state) {
  models::PassDescription pass{
      .kind = settings.mezo.has_value() ? models::PassKind::kEvaluate : models::PassKind::kTrain,
      .batch = settings.batch_size,
      .activation_checkpointing = settings.activation_checkpointing,
      .trained_layers = settings.last_layers,
      .bf16_matrices = settings.bf16_weights,
      .rounded_factors = settings.precision != kernels::FactorType::kFloat32,
      .threads = at::get_num_threads()};
  for (size_t i = 0; i < examples.size(); ++i) {
    pass.tokens = std::max(pass.tokens, static_cast<int64_t>(examples.TokenCount(i)));
  }
  if (state.adapters.has_value()) {
    pass.adapters = state.adapters->modules;
    pass.adapter_dropout = state.adapters->settings.dropout;
    pass.recipe = state.model.recipe;
  }
  return pass;
}

absl::Status NotFinite(int64_t step, absl::string_view what,
                       kernels::FactorType precision = kernels::FactorType::kFloat32) {
  return absl::AbortedError(absl::StrCat(
      "step ", step, ": the ", what, " is not finite; use a lower learning_rate or a warm-up",
      precision == kernels::FactorType::kFp16
          ? ", or precision: bf16, if the model's numbers exceed FP16's 65504"
          : ""));
}

DataOrder OrderOf(const FinetuneSettings& settings, const formats::ExamplePool& examples) {
  const auto count = static_cast<int64_t>(examples.size());
  return settings.packing ? DataOrder(settings.seed, count, RunsThatBeginAlike(examples))
                          : DataOrder(settings.seed, count);
}

}  // namespace

Trainer::Trainer(const FinetuneSettings& settings, const formats::ExamplePool& examples,
                 TrainingState& state)
    : settings_(settings),
      examples_(examples),
      state_(state),
      order_(OrderOf(settings, examples)),
      arena_(models::PlanPass(state.model.files.config, LargestPass(settings, examples, state))
                 .arena_bytes) {
  arena_.PreferHugePages();
  const int64_t per_step = settings.batch_size * settings.accumulation_steps;
  const int64_t passes = static_cast<int64_t>(examples.size()) * settings.epochs;
  total_steps_ = settings.steps > 0 ? settings.steps : CeilDivide(passes, per_step);
  last_position_ = settings.steps > 0 ? settings.steps * per_step : passes;
  if (settings.mezo.has_value()) {
    // MeZO has no gradient that a loss scale would keep from vanishing.
    mezo_.emplace(*settings.mezo, settings.seed, state);
  } else {
    PrepareGradients();
  }
  // After all permanent tensors, which would otherwise be allocated from the room.
  const at::Device device = state.model.decoder.device;
  OperationsOn(device).MakeRoom(arena_.capacity_bytes(), device);
}

void Trainer::PrepareGradients() {
  if (settings_.precision == kernels::FactorType::kFp16 &&
      !state_.counters.loss_scale.has_value()) {
    state_.counters.loss_scale = LossScale{.scale = settings_.loss_scale.initial};
  }
  const std::vector<Parameter>& parameters = state_.trained().parameters;
  gradient_layout_ =
      settings_.update_in_backward
          ? SharedGradientLayout(parameters, state_.model.files.config.tied_embeddings)
          : state_.layout;
  gradients_ = ZeroArena(gradient_layout_.elements,
                         at::TensorOptions(at::kFloat).device(state_.model.decoder.device));
  if (state_.adapters.has_value()) {
    AttachAdapters(*state_.adapters, gradients_, gradient_views_);
  } else {
    gradient_views_ =
        WeightsOver(state_.model.files.config, parameters, gradient_layout_, gradients_);
  }
  if (settings_.update_in_backward) {
    updates_in_backward_.emplace(settings_.adamw, GradientArena{gradient_layout_, gradients_},
                                 state_);
  }
}

std::vector<size_t> Trainer::Draw(int64_t position) {
  const int64_t end =
      std::min(last_position_, position + settings_.batch_size * settings_.accumulation_steps);
  std::vector<size_t> drawn;
  for (; position < end; ++position) {
    drawn.push_back(static_cast<size_t>(order_.At(position)));
  }
  return drawn;
}

int64_t Trainer::TokensLeft() {
  int64_t tokens = 0;
  // Steps begin at multiples of the micro-batch, so these are exactly the batches of Step.
  for (int64_t first = state_.counters.position; first < last_position_;
       first += settings_.batch_size) {
    const int64_t end = std::min(last_position_, first + settings_.batch_size);
    std::vector<size_t> drawn;
    for (int64_t position = first; position < end; ++position) {
      drawn.push_back(static_cast<size_t>(order_.At(position)));
    }
    for (const SequenceGroup& group : GroupExamples(examples_, drawn, Form()).groups) {
      tokens += group.rows();
    }
  }
  return tokens;
}

BatchForm Trainer::Form() const {
  return settings_.packing ? BatchForm::kPacked : BatchForm::kPadded;
}

double Trainer::FlopsOf(const SequenceGroup& group) const {
  const models::DecoderConfig& config = state_.model.files.config;
  return settings_.mezo.has_value()
             ? 2.0 * static_cast<double>(settings_.mezo->samples) *
                   ForwardFlops(config, group.sequences, group.tokens)
             : TrainingFlops(config, group.sequences, group.tokens, settings_.last_layers);
}

kernels::AdamWStep Trainer::UpdateOf(int64_t step) const {
  return {.step = state_.counters.UpdateNumber(step),
          .learning_rate = LearningRateAt({.peak = settings_.learning_rate,
                                           .warmup_steps = settings_.warmup_steps,
                                           .total_steps = total_steps_,
                                           .shape = settings_.learning_rate_shape},
                                          step),
          .beta1 = settings_.adamw.beta1,
          .beta2 = settings_.adamw.beta2,
          .epsilon = settings_.adamw.epsilon,
          .weight_decay = settings_.adamw.weight_decay};
}

absl::Status Trainer::Pass(const Decoder& decoder, absl::Span<const size_t> drawn,
                           BegunStep& step) {
  const TokenBatch batch = MakeTokenBatch(examples_, drawn, Form());
  const DropoutState dropout{
      .active = true, .seed = settings_.seed, .counter = step.random_counter++};
  absl::Status updated;
  const auto update = [&](const models::ModelPart& part, const DeviceNumber& loss_sum) {
    if (updates_in_backward_.has_value()) {
      updated = updates_in_backward_->Update(UpdateOf(step.report.step), part, loss_sum);
    }
    return updated.ok();
  };
  const PassArena::Scope scope(arena_);
  if (mezo_.has_value()) {
    mezo_->AddBatch(batch);
  } else {
    step.loss += LossSumAndGradientsByParts(
        decoder, batch, dropout, step.scale * step.loss_scale, gradient_views_,
        settings_.activation_checkpointing ? KeptActivations::kInputs : KeptActivations::kAll,
        update);
  }
  if (!updated.ok()) {
    loss_is_finite_ = std::isfinite(step.loss.Read());
  }
  step.report.tokens += batch.rows();
  step.report.real_tokens += batch.real_tokens;
  step.report.examples += batch.examples;
  for (const SequenceGroup& group : batch.groups) {
    step.report.flops += FlopsOf(group);
  }
  return updated;
}

double Trainer::LossScaleNow() const {
  const std::optional<LossScale>& loss_scale = state_.counters.loss_scale;
  return loss_scale.has_value() ? loss_scale->scale : 1.0;
}

absl::Status Trainer::TakeLoss(double loss, BegunStep& step) {
  step.report.loss = loss * step.scale;
  loss_is_finite_ = std::isfinite(step.report.loss);
  return loss_is_finite_ ? absl::OkStatus()
                         : NotFinite(step.report.step, "loss", settings_.precision);
}

absl::Status Trainer::TakeNorm(double scaled_norm, BegunStep& step) {
  const bool finite = std::isfinite(scaled_norm / step.loss_scale);
  step.report.skipped = !finite;
  if (state_.counters.loss_scale.has_value()) {
    const absl::Status scaled = EndStep(settings_.loss_scale, finite, *state_.counters.loss_scale);
    return scaled.ok() ? scaled
                       : absl::Status(scaled.code(), absl::StrCat("step ", step.report.step, ": ",
                                                                  scaled.message()));
  }
  return finite ? absl::OkStatus() : NotFinite(step.report.step, "gradient");
}

void Trainer::Update(const kernels::AdamWStep& step, const at::Tensor& decided) {
  const TrainedValues trained = state_.trained();
  UpdateParameters(step, {trained.parameters, trained.values}, {gradient_layout_, gradients_},
                   state_.optimizer, decided);
}

absl::Status Trainer::EndByGradients(BegunStep& step) {
  const DeviceNumber norm = GradientNorm(gradients_);
  kernels::AdamWStep update = UpdateOf(step.report.step);
  WATTLE_RETURN_IF_ERROR(TakeLoss(step.loss.Read(), step));
  WATTLE_RETURN_IF_ERROR(TakeNorm(norm.Read(), step));
  if (!step.report.skipped) {
    update.gradient_scale =
        ClipScale(settings_.adamw, norm.Read() / step.loss_scale) / step.loss_scale;
    Update(update, /*decided=*/{});
  }
  return absl::OkStatus();
}

absl::Status Trainer::EndAhead(BegunStep& step) {
  const DeviceNumber norm = GradientNorm(gradients_);
  const LateNumbers numbers({step.loss, norm});
  Update(UpdateOf(step.report.step),
         ClipScaleOnDevice(settings_.adamw, step.loss_scale, step.loss, norm));
  if (step.report.step < total_steps_) {
    WATTLE_ASSIGN_OR_RETURN(begun_,
                            Begin(step.report.step + 1, step.position, step.random_counter));
  }
  const std::vector<double> read = numbers.Read();
  absl::Status ended = TakeLoss(read[0], step);
  if (ended.ok()) {
    ended = TakeNorm(read[1], step);
  }
  if (!ended.ok() || (begun_.has_value() && begun_->loss_scale != LossScaleNow())) {
    begun_.reset();
  }
  return ended;
}

absl::Status Trainer::EndBySlopes(BegunStep& step) {
  const auto [slopes, loss_sum] = mezo_->Slopes(step.scale);
  WATTLE_RETURN_IF_ERROR(TakeLoss(loss_sum, step));
  // Finite only if all are.
  if (!std::isfinite(std::accumulate(slopes.begin(), slopes.end(), 0.0))) {
    return NotFinite(step.report.step, "gradient");
  }
  const kernels::AdamWStep update = UpdateOf(step.report.step);
  mezo_->Update(slopes, update.learning_rate, update.weight_decay);
  return absl::OkStatus();
}

absl::StatusOr<Trainer::BegunStep> Trainer::Begin(int64_t step, int64_t position,
                                                  uint64_t random_counter) {
  const std::vector<size_t> drawn = Draw(position);
  int64_t predicted = 0;
  for (const size_t example : drawn) {
    predicted += static_cast<int64_t>(examples_.TargetCount(example));
  }
  BegunStep begun{.report = {.phase = Phase::kTrain, .step = step, .steps_total = total_steps_},
                  .scale = 1.0 / static_cast<double>(std::max<int64_t>(1, predicted)),
                  .loss_scale = LossScaleNow(),
                  .loss = {},
                  .position = position + static_cast<int64_t>(drawn.size()),
                  .random_counter = random_counter};
  if (mezo_.has_value()) {
    mezo_->BeginStep(step);
  } else if (state_.adapters.has_value() || updates_in_backward_.has_value()) {
    gradients_.zero_();
  } else {
    ClearGradients(state_.model.parameters, gradient_layout_, gradients_, gradient_views_);
  }
  const Decoder& decoder = state_.ForPasses();
  const FactorScope factors(settings_.precision);
  const Tf32Scope tf32(settings_.tf32);
  const absl::Span<const size_t> all(drawn);
  const auto batch_size = static_cast<size_t>(settings_.batch_size);
  for (size_t first = 0; first < all.size(); first += batch_size) {
    WATTLE_RETURN_IF_ERROR(
        Pass(decoder, all.subspan(first, std::min(batch_size, all.size() - first)), begun));
  }
  return begun;
}

absl::StatusOr<StepReport> Trainer::Step() {
  const Monotonic start = Clock::Real().Boottime();
  TrainingCounters& counters = state_.counters;
  if (!tokens_left_) {
    tokens_left_ = TokensLeft();
  }
  if (!begun_.has_value()) {
    WATTLE_ASSIGN_OR_RETURN(
        begun_, Begin(counters.work.steps + 1, counters.position, counters.random_counter));
  }
  BegunStep step = *std::move(begun_);
  begun_.reset();
  StepReport& report = step.report;
  *tokens_left_ -= report.tokens;
  report.tokens_left = *tokens_left_;
  if (mezo_.has_value()) {
    WATTLE_RETURN_IF_ERROR(EndBySlopes(step));
  } else if (updates_in_backward_.has_value()) {
    WATTLE_ASSIGN_OR_RETURN(const double loss, updates_in_backward_->End(report.step, step.loss));
    WATTLE_RETURN_IF_ERROR(TakeLoss(loss, step));
  } else if (OperationsOn(gradients_).in_host_memory()) {
    WATTLE_RETURN_IF_ERROR(EndByGradients(step));
  } else {
    WATTLE_RETURN_IF_ERROR(EndAhead(step));
  }
  counters.position = step.position;
  counters.random_counter = step.random_counter;
  counters.work.steps = report.step;
  counters.work.examples += report.examples;
  counters.work.tokens += report.tokens;
  counters.work.real_tokens += report.real_tokens;
  counters.losses.push_back(report.loss);
  report.compute_time = Clock::Real().Boottime() - start;
  return report;
}

}  // namespace wattle::engine
