// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An attempt's receipt, its record that outlives the process, and its progress. What the attempt
// does: attempt_run.cc.
#include <algorithm>

#include "base/utf8.h"
#include "proto/lowered_mode.h"
#include "worker/agent/core/attempt_phase.h"
#include "worker/agent/core/attempt_run.h"
#include "worker/agent/core/lower_mode.h"

namespace wattle::agent {
namespace {

// The bytes of a line in an attempt's log, which people read. A runner may be in foreign hands.
constexpr size_t kLogLineMax = 2000;

}  // namespace

const v1::Prediction& PredictionOf(const v1::Assignment& assignment) {
  const v1::Placement& placement = assignment.placement();
  for (const v1::Candidate& candidate : placement.best()) {
    if (candidate.device_id() == placement.device_id()) {
      return candidate.prediction();
    }
  }
  return v1::Prediction::default_instance();
}

void CopyMeasured(const v1::Receipt& from, v1::Receipt& to) {
  *to.mutable_run() = from.run();
  *to.mutable_total() = from.total();
  *to.mutable_phases() = from.phases();
  to.set_wall_seconds(from.wall_seconds());
  to.set_fetch_seconds(from.fetch_seconds());
  to.set_start_seconds(from.start_seconds());
  to.set_checkpoint_seconds(from.checkpoint_seconds());
  to.set_upload_seconds(from.upload_seconds());
  to.set_evaluate_seconds(from.evaluate_seconds());
  to.set_contended_seconds(from.contended_seconds());
  to.set_paused_seconds(from.paused_seconds());
  to.set_under_voltage_seconds(from.under_voltage_seconds());
  to.set_starts(from.starts());
}

void AttemptRun::BeginReceipt() {
  v1::Receipt& receipt = *record_.mutable_receipt();
  receipt.set_attempt_id(record_.assignment().attempt_id());
  receipt.set_device_id(settings_.info.device_id());
  receipt.set_device_class(settings_.info.device_class());
  receipt.set_emulated(settings_.info.emulated());
  receipt.set_time_scale(clock_.time_scale());
  SetPowerMode(settings_.info.power_mode());
  receipt.set_on_cpu(record_.assignment().on_cpu());
  *receipt.mutable_predicted() = PredictionOf(record_.assignment());
}

void AttemptRun::SetPowerMode(const std::string& mode) {
  if (!IsOfLoweredMode(record_.receipt())) {
    record_.mutable_receipt()->set_power_mode(mode);
  }
}

void AttemptRun::FollowMode(const std::string& placed, const std::string& mode) {
  slower_ = SlowerBy(settings_.info, placed, mode);
  if (mode != placed) {
    record_.mutable_receipt()->set_power_mode(LoweredMode(mode, placed));
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
  for (size_t i = 0; i < kActivities; ++i) {
    const Activity activity = static_cast<Activity>(i);
    const v1::AttemptPhase phase = PhaseOf(activity, main_phase_);
    if (activity == Activity::kEvaluate && phase == main_phase_) {
      continue;  // counted as the run: the job's own work
    }
    for (const v1::PhaseEnergy& part : receipt.phases()) {
      if (part.phase() == phase && phase != v1::ATTEMPT_PHASE_UNSPECIFIED) {
        energy.energy[i] = Joules(part.gross_energy_joules());
      }
    }
  }
  if (energy.total.covered > absl::ZeroDuration()) {
    energy.origins = {
        {EnergyOrigin{receipt.total().source(), receipt.total().scope()}, energy.total.covered}};
  }
  return energy;
}

// Two activities belong to the phase "evaluate": an evaluation job's own work, and a held-out loss.
void AttemptRun::FillPhases() {
  const AttemptEnergy& energy = account_.attempt();
  v1::Receipt& receipt = *record_.mutable_receipt();
  receipt.clear_phases();
  for (int number = 1; number < v1::AttemptPhase_ARRAYSIZE; ++number) {
    v1::PhaseEnergy part;
    for (size_t i = 0; i < kActivities; ++i) {
      if (PhaseOf(static_cast<Activity>(i), main_phase_) == number) {
        part.set_seconds(part.seconds() + absl::ToDoubleSeconds(energy.time[i]));
        part.set_gross_energy_joules(part.gross_energy_joules() + energy.energy[i].value());
      }
    }
    if (part.seconds() > 0) {
      part.set_phase(static_cast<v1::AttemptPhase>(number));
      *receipt.add_phases() = part;
    }
  }
}

RunCurve::Totals AttemptRun::RunTotals() const {
  const AttemptEnergy& energy = account_.attempt();
  return {.seconds = absl::ToDoubleSeconds(energy.In(Activity::kRun)),
          .energy_joules = energy.run.gross.value(),
          .covered_seconds = absl::ToDoubleSeconds(energy.run.covered)};
}

void AttemptRun::FillReceipt() {
  const AttemptEnergy& energy = account_.attempt();
  const std::optional<Watts> idle = account_.idle().power();
  v1::Receipt& receipt = *record_.mutable_receipt();
  *receipt.mutable_run() = ToProto(energy.run, idle, account_.AttemptOrigin());
  *receipt.mutable_total() = ToProto(energy.total, idle, account_.AttemptOrigin());
  FillPhases();
  *receipt.mutable_curve() = curve_.ToProto();
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
    receipt.set_numerically_continued(result_->numerically_continued());
  }
}

v1::HeldAttemptRecord AttemptRun::Snapshot(const Instant& now) {
  account_.AdvanceTo(now.device);
  FillReceipt();
  // Energy is known up to the last reading; if the process dies, the energy after it is lost.
  const Monotonic known = std::min(now.wall, clock_.ToWall(account_.settled()));
  record_.set_written_boottime_seconds(absl::ToDoubleSeconds(known.since_boot()));
  return record_;
}

void AttemptRun::Log(const std::string& line, const Instant& now) {
  if (line.empty() || !is_welcomed_()) {
    return;
  }
  v1::WorkerMessage message;
  v1::AttemptLog& log = *message.mutable_log();
  log.set_attempt_id(attempt_id());
  log.set_at_unix_seconds(absl::ToDoubleSeconds(now.civil.time - absl::UnixEpoch()));
  log.set_text(line.substr(0, ValidUtf8Prefix(line.substr(0, kLogLineMax))));
  ports_.Send(message);
}

v1::AttemptProgress AttemptRun::Progress() const {
  v1::AttemptProgress progress = progress_;
  const AttemptEnergy& energy = account_.attempt();
  progress.set_elapsed_seconds(absl::ToDoubleSeconds(energy.In(Activity::kRun)));
  progress.set_energy_joules(energy.total.gross.value());
  progress.set_power_watts(account_.power().value_or(Watts(0)).value());
  progress.set_energy_source(account_.AttemptOrigin().source);
  // The rate counts whole steps; a step that an emulated board has not ended yet counts with its
  // full time.
  const double seconds = absl::ToDoubleSeconds(runner_step_time_);
  if (seconds > 0) {
    progress.set_tokens_per_second(static_cast<double>(runner_tokens_) / seconds);
    // Steps differ in length, so tokens are used where the runner knows how many are left.
    const double steps_left = static_cast<double>(progress.steps_total() - progress.step());
    progress.set_remaining_seconds(
        tokens_left_ > 0 ? static_cast<double>(tokens_left_) / progress.tokens_per_second()
                         : steps_left * seconds / static_cast<double>(runner_steps_));
  }
  FillSteadyWork(progress);
  return progress;
}

void AttemptRun::FillSteadyWork(v1::AttemptProgress& progress) const {
  if (stage_ != Stage::kRunning || !steady_begin_ || IsOfLoweredMode(record_.receipt()) ||
      runner_steps_ <= steady_begin_->steps) {
    return;
  }
  const RunCurve::Totals run = RunTotals();
  v1::SteadyWork& steady = *progress.mutable_steady();
  steady.set_seconds(absl::ToDoubleSeconds(runner_step_time_ - steady_begin_->step_time));
  steady.set_steps(runner_steps_ - steady_begin_->steps);
  steady.set_tokens(runner_tokens_ - steady_begin_->tokens);
  const v1::EnergySource source = account_.AttemptOrigin().source;
  if (source != v1::ENERGY_SOURCE_MODEL && source != v1::ENERGY_SOURCE_UNSPECIFIED) {
    steady.set_energy_joules(run.energy_joules - steady_begin_->run.energy_joules);
    steady.set_covered_seconds(run.covered_seconds - steady_begin_->run.covered_seconds);
  }
}

}  // namespace wattle::agent
