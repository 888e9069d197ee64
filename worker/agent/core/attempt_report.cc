// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an attempt tells of itself: its receipt, the record that outlives the process, its progress.
// What it does: attempt_run.cc.
#include "worker/agent/core/attempt_run.h"

namespace wattle::agent {

void AttemptRun::BeginReceipt() {
  v1::Receipt& receipt = *record_.mutable_receipt();
  receipt.set_attempt_id(record_.assignment().attempt_id());
  receipt.set_device_id(settings_.info.device_id());
  receipt.set_device_class(settings_.info.device_class());
  receipt.set_emulated(settings_.info.emulated());
  receipt.set_time_scale(clock_.time_scale());
  receipt.set_power_mode(settings_.info.power_mode());
  const v1::Placement& placement = record_.assignment().placement();
  for (const v1::Candidate& candidate : placement.best()) {
    if (candidate.device_id() == placement.device_id()) {
      *receipt.mutable_predicted() = candidate.prediction();
    }
  }
}

AttemptEnergy AttemptRun::MeasuredBefore() const {
  AttemptEnergy energy;
  const v1::Receipt& receipt = record_.receipt();
  energy.run = FromProto(receipt.run());
  energy.total = FromProto(receipt.total());
  auto set = [&energy](Activity activity, double seconds) {
    energy.time[static_cast<size_t>(activity)] = absl::Seconds(seconds);
  };
  set(Activity::kFetch, receipt.fetch_seconds());
  set(Activity::kStart, receipt.start_seconds());
  set(Activity::kRun, receipt.run().seconds());
  set(Activity::kEvaluate, receipt.evaluate_seconds());
  set(Activity::kCheckpoint, receipt.checkpoint_seconds());
  set(Activity::kUpload, receipt.upload_seconds());
  return energy;
}

void AttemptRun::FillReceipt() {
  const AttemptEnergy& energy = account_.attempt();
  const std::optional<Watts> idle = account_.idle().power();
  v1::Receipt& receipt = *record_.mutable_receipt();
  *receipt.mutable_run() = ToProto(energy.run, idle, settings_.origin);
  *receipt.mutable_total() = ToProto(energy.total, idle, settings_.origin);
  receipt.set_wall_seconds(receipt.run().seconds() * clock_.time_scale());
  receipt.set_fetch_seconds(absl::ToDoubleSeconds(energy.In(Activity::kFetch)));
  receipt.set_start_seconds(absl::ToDoubleSeconds(energy.In(Activity::kStart)));
  receipt.set_checkpoint_seconds(absl::ToDoubleSeconds(energy.In(Activity::kCheckpoint)));
  receipt.set_upload_seconds(absl::ToDoubleSeconds(energy.In(Activity::kUpload)));
  receipt.set_evaluate_seconds(absl::ToDoubleSeconds(energy.In(Activity::kEvaluate)));
  receipt.set_threads(settings_.threads);
  if (result_) {
    *receipt.mutable_work() = result_->work();
    *receipt.mutable_metrics() = result_->metrics();
    receipt.set_engine_version(result_->engine_version());
    receipt.set_peak_memory_bytes(result_->peak_memory_bytes());
  }
}

v1::HeldAttemptRecord AttemptRun::Snapshot(const Instant& now) {
  account_.AdvanceTo(now.device);
  FillReceipt();
  record_.set_written_boottime_seconds(absl::ToDoubleSeconds(now.wall.since_boot()));
  return record_;
}

v1::AttemptProgress AttemptRun::Progress() const {
  v1::AttemptProgress progress = progress_;
  const AttemptEnergy& energy = account_.attempt();
  progress.set_elapsed_seconds(absl::ToDoubleSeconds(energy.In(Activity::kRun)));
  progress.set_energy_joules(energy.total.gross.value());
  progress.set_power_watts(account_.power().value_or(Watts(0)).value());
  // By whole steps: a step that an emulated board has not ended yet counts with its time.
  const double seconds = absl::ToDoubleSeconds(runner_step_time_);
  if (seconds > 0) {
    progress.set_tokens_per_second(static_cast<double>(runner_tokens_) / seconds);
    // Steps differ in length: by tokens where the runner knows how many are to come.
    const double steps_left = static_cast<double>(progress.steps_total() - progress.step());
    progress.set_remaining_seconds(
        tokens_left_ > 0 ? static_cast<double>(tokens_left_) / progress.tokens_per_second()
                         : steps_left * seconds / static_cast<double>(runner_steps_));
  }
  return progress;
}

}  // namespace wattle::agent
