// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sample plans and jobs.
#include <string>

#include "cli/testing/sample_boards_internal.h"
#include "cli/testing/sample_messages.h"

#include "proto/testing/gpt2_shape_for_test.h"

namespace wattle::cli {
namespace {

v1::EnergyMeasurement Span(double seconds, double watts, double idle_watts) {
  v1::EnergyMeasurement span;
  span.set_seconds(seconds);
  span.set_gross_energy_joules(seconds * watts);
  span.set_net_energy_joules(seconds * (watts - idle_watts));
  span.set_idle_known(idle_watts > 0.0);
  span.set_idle_power_watts(idle_watts);
  span.set_coverage_ratio(1.0);
  span.set_mean_power_watts(watts);
  span.set_peak_power_watts(watts * 1.1);
  return span;
}

void AddMetric(const std::string& name, double value, v1::Receipt* receipt) {
  v1::Metric* metric = receipt->add_metrics();
  metric->set_name(name);
  metric->set_value(value);
}

v1::Job Submitted(const std::string& id, v1::JobState state, double age_seconds) {
  v1::Job job;
  job.set_job_id(id);
  *job.mutable_spec() = SampleSpec();
  job.set_state(state);
  job.set_submitted_unix_seconds(kSampleNowUnixSeconds - age_seconds);
  return job;
}

v1::Attempt* AddAttempt(v1::AttemptState state, const v1::Candidate& on, v1::Job* job) {
  v1::Attempt* attempt = job->add_attempts();
  attempt->set_attempt_id(job->job_id() + ".1");
  attempt->set_job_id(job->job_id());
  attempt->set_device_id(on.device_id());
  attempt->set_fencing_token(7);
  attempt->set_state(state);
  attempt->set_placed_unix_seconds(job->submitted_unix_seconds() + 1.0);
  attempt->mutable_placement()->set_device_id(on.device_id());
  attempt->mutable_placement()->set_objective(v1::OBJECTIVE_ENERGY);
  *attempt->mutable_placement()->add_best() = on;
  attempt->mutable_placement()->set_reason("fewest marginal joules of 2 feasible devices");
  return attempt;
}

}  // namespace

v1::JobSpec SampleSpec() {
  v1::JobSpec spec;
  spec.set_name("squad-gpt2");
  spec.set_objective(v1::OBJECTIVE_ENERGY);
  spec.set_owner("ada");
  *spec.mutable_finetune()->mutable_model_shape() = Gpt2Shape();
  spec.mutable_finetune()->mutable_data_shape()->set_examples(10000);
  spec.mutable_finetune()->set_epochs(2);
  return spec;
}

v1::PlanResponse SamplePlan() {
  v1::PlanResponse plan;
  *plan.add_candidates() = Nano();
  *plan.add_candidates() = Xavier();
  *plan.add_candidates() = Pi();
  plan.set_chosen_device_id(kNanoId);
  const auto would_win = [&plan](int candidate, const char* change, double cost) {
    v1::WinningChange& one = *plan.mutable_candidates(candidate)->add_would_win_if();
    one.set_change(change);
    one.set_cost(cost);
    one.set_finish_in_seconds(90);
  };
  would_win(1, "batch_size 2, gradient_accumulation_steps 4", 70000);
  would_win(1, "the measured profile of nano-1", 71500);
  would_win(2, "activation_checkpointing true", 68400);
  plan.set_reason("nano-1 spends 20.14 Wh net of idle, xavier-1 40.92 Wh");
  plan.set_objective(v1::OBJECTIVE_ENERGY);
  plan.set_sequence_number(41);
  plan.set_work_units(20000);
  plan.set_unit(v1::WORK_UNIT_EXAMPLE);
  return plan;
}

v1::PlanResponse SampleAlternativesPlan() {
  v1::PlanResponse plan;
  v1::Candidate& nano = *plan.add_candidates() = Nano();
  const auto add = [&](const std::string& model, const std::string& form, double bits,
                       double tokens_per_second, double energy_joules) -> v1::ModelAlternative& {
    v1::ModelAlternative& one = *nano.add_alternatives();
    one.set_artifact_id(model);
    one.set_model(model);
    one.set_quantization(form);
    one.set_bits_per_weight(bits);
    one.set_stored_bytes(static_cast<int64_t>(bits / 8 * 123'532'032));
    one.set_units_per_second(tokens_per_second);
    one.set_energy_joules_per_unit(energy_joules);
    one.set_net_energy_joules_per_unit(energy_joules * 0.6);
    one.set_speed_measured(true);
    one.set_offered(true);
    return one;
  };
  const auto measured = [](double change, double divergence, double agreement,
                           v1::ModelAlternative& one) {
    one.mutable_quality()->set_perplexity_change_percent(change);
    one.mutable_quality()->set_kl_divergence(divergence);
    one.mutable_quality()->set_top1_agreement_percent(agreement);
  };
  measured(0.12, 0.0004, 98.7, add("gpt2-int8", "int8", 8.03, 31.2, 0.212));
  v1::ModelAlternative& parent = add("gpt2", "none", 32, 9.4, 0.731);
  parent.set_is_parent(true);
  parent.set_speed_measured(false);
  v1::ModelAlternative& int4 = add("job:j12/output", "int4-g64", 4.25, 52.9, 0.131);
  measured(2.41, 0.0183, 91.2, int4);
  int4.set_offered(false);
  int4.set_reason("perplexity change 2.41 %, and the floor is perplexity change at most 1 %");
  nano.mutable_model_choice()->set_artifact_id("gpt2-int8");
  plan.set_chosen_device_id(kNanoId);
  plan.set_reason("nano-1: 12.7 J; the only feasible device; runs gpt2-int8 (int8)");
  plan.set_objective(v1::OBJECTIVE_ENERGY);
  plan.set_work_units(100);
  plan.set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  plan.set_batch_size(4);
  return plan;
}

v1::PlanResponse SamplePowerModePlan() {
  v1::PlanResponse plan;
  v1::Candidate& board = *plan.add_candidates() = Nano();
  board.set_power_mode("7W");
  board.set_sets_power_mode(true);
  for (const char* mode : {"15W", "25W"}) {
    v1::PowerModeChoice& other = *board.add_other_power_modes();
    other.set_power_mode(mode);
    other.set_feasible(mode[0] == '1');
    other.set_reason(other.feasible() ? "" : "might end at 12 % of charge");
    other.set_run_seconds(9000);
    other.set_run_energy_joules(99000);
    other.set_marginal_energy_joules(81000);
    other.set_finish_in_seconds(9100);
    other.set_provenance(v1::PROVENANCE_MEASURED_DEVICE);
  }
  plan.set_chosen_device_id(kNanoId);
  plan.set_reason(
      "nano-1: 20.14 Wh in power mode 7W, which the worker sets; the only feasible device");
  plan.set_objective(v1::OBJECTIVE_ENERGY);
  return plan;
}

v1::PlanResponse SampleInfeasiblePlan() {
  v1::PlanResponse plan;
  *plan.add_candidates() = Pi();
  plan.set_reason("every device lacks memory; use a smaller model or batch_size");
  plan.set_objective(v1::OBJECTIVE_ENERGY);
  return plan;
}

v1::Job SampleFinishedJob() {
  v1::Job job = Submitted("j1", v1::JOB_STATE_SUCCEEDED, 600.0);
  job.set_finished_unix_seconds(kSampleNowUnixSeconds - 470.0);
  job.set_output_artifact_id("ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12");
  v1::Attempt* attempt = AddAttempt(v1::ATTEMPT_STATE_FINISHED, Nano(), &job);
  v1::Receipt* receipt = attempt->mutable_receipt();
  receipt->set_attempt_id("j1.1");
  receipt->set_device_id(kNanoId);
  receipt->set_device_class("jetson-orin-nano");
  receipt->set_emulated(true);
  receipt->set_time_scale(0.01);
  receipt->set_power_mode("MODE_15W");
  *receipt->mutable_run() = Span(11800.0, 11.3, 5.0);
  *receipt->mutable_total() = Span(11860.0, 11.27, 5.0);
  for (v1::EnergyMeasurement* span : {receipt->mutable_run(), receipt->mutable_total()}) {
    span->set_source(v1::ENERGY_SOURCE_EMULATED);
    span->set_scope("board_input");
    span->set_samples(27441);
    span->set_temperature_celsius_max(61.5);
    span->set_throttled_ratio(0.0);
  }
  receipt->set_wall_seconds(118.0);
  receipt->set_fetch_seconds(3.25);
  receipt->set_start_seconds(11.0);
  receipt->set_checkpoint_seconds(40.0);
  receipt->set_upload_seconds(5.75);
  *receipt->mutable_predicted() = Nano().prediction();
  receipt->mutable_work()->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  receipt->mutable_work()->set_units(2'560'000);
  receipt->mutable_work()->set_steps(2500);
  receipt->mutable_work()->set_examples(20000);
  receipt->mutable_work()->set_tokens(2'560'000);
  receipt->mutable_work()->set_truncated_examples(12);
  receipt->mutable_row_move()->set_seconds_per_unit_before(0.004583);
  receipt->mutable_row_move()->set_seconds_per_unit_after(0.00459);
  receipt->mutable_row_move()->set_joules_per_unit_before(0.0517);
  receipt->mutable_row_move()->set_joules_per_unit_after(0.0521);
  receipt->mutable_row_move()->set_runs(3);
  AddMetric("heldout_loss_after", 2.0471, receipt);
  AddMetric("heldout_loss_before", 4.9183, receipt);
  receipt->set_threads(1);
  receipt->set_engine_version("wattle-0.1.0/libtorch-1.13.1");
  receipt->set_peak_memory_bytes(512LL << 20);
  receipt->set_output_artifact_id(job.output_artifact_id());
  return job;
}

v1::Job SampleMeasuredJob() {
  v1::Job job = Submitted("j4", v1::JOB_STATE_SUCCEEDED, 7200.0);
  job.mutable_spec()->set_name("answers");
  job.mutable_spec()->mutable_generate()->set_model("job:j1/output");
  v1::Candidate board = Pi();
  board.set_feasible(true);
  v1::Attempt* attempt = AddAttempt(v1::ATTEMPT_STATE_FINISHED, board, &job);
  v1::Receipt* receipt = attempt->mutable_receipt();
  receipt->set_attempt_id("j4.1");
  receipt->set_device_id(kPiId);
  receipt->set_device_class("raspberry-pi-5");
  receipt->set_time_scale(1.0);
  *receipt->mutable_run() = Span(21.5, 6.5, 0.0);
  *receipt->mutable_total() = Span(27.0, 6.1, 0.0);
  receipt->mutable_total()->set_source(v1::ENERGY_SOURCE_SMART_PLUG);
  receipt->mutable_total()->set_scope("mains");
  receipt->mutable_total()->set_coverage_ratio(0.87);
  receipt->mutable_total()->set_missing_energy_joules(21.4);
  receipt->mutable_run()->set_source(v1::ENERGY_SOURCE_SMART_PLUG);
  receipt->set_wall_seconds(21.5);
  receipt->set_start_seconds(2.25);
  receipt->mutable_work()->set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  receipt->mutable_work()->set_units(640);
  receipt->set_threads(4);
  receipt->set_engine_version("wattle-0.1.0/libtorch-1.13.1");
  receipt->set_restarts(1);
  return job;
}

v1::Job SampleFailedJob() {
  v1::Job job = Submitted("j3", v1::JOB_STATE_FAILED, 4000.0);
  job.mutable_spec()->set_name("broken\x1b[2Jname");
  job.set_reason("heldout: not SQuAD JSON: data[0].paragraphs is missing");
  return job;
}

v1::JobUpdate SampleRunning() {
  v1::JobUpdate update;
  *update.mutable_job() = Submitted("j2", v1::JOB_STATE_ACTIVE, 90.0);
  update.mutable_job()->mutable_spec()->set_objective(v1::OBJECTIVE_TIME);
  update.mutable_job()->set_reason("earliest finish");
  AddAttempt(v1::ATTEMPT_STATE_RUNNING, Xavier(), update.mutable_job());
  v1::AttemptProgress* progress = update.mutable_progress();
  progress->set_attempt_id("j2.1");
  progress->set_phase("train");
  progress->set_step(120);
  progress->set_steps_total(300);
  progress->set_loss(2.31349);
  progress->set_tokens_per_second(1243.7);
  progress->set_power_watts(14.31);
  progress->set_remaining_seconds(2460.0);
  progress->set_energy_joules(5400.0);
  return update;
}

v1::ListJobsResponse SampleJobs() {
  v1::ListJobsResponse jobs;
  *jobs.add_jobs() = SampleMeasuredJob();
  *jobs.add_jobs() = SampleFailedJob();
  *jobs.add_jobs() = SampleRunning().job();
  *jobs.add_jobs() = SampleFinishedJob();
  return jobs;
}

v1::Job SampleRetriedJob() {
  v1::Job job = Submitted("j5", v1::JOB_STATE_CANCELLED, 900.0);
  job.set_reason("by ada");
  v1::Candidate pi = Pi();
  pi.set_feasible(true);
  v1::Attempt* first = AddAttempt(v1::ATTEMPT_STATE_FAILED, pi, &job);
  first->set_reason("the runner was killed: out of memory; use a smaller batch_size");
  v1::Receipt* receipt = first->mutable_receipt();
  receipt->set_device_class("raspberry-pi-5");
  receipt->set_time_scale(1.0);
  receipt->set_failure_class(v1::FAILURE_CLASS_DEVICE);
  *receipt->mutable_run() = Span(4.0, 10.0, 0.0);
  *receipt->mutable_total() = Span(4.52, 10.0, 0.0);
  receipt->mutable_run()->set_source(v1::ENERGY_SOURCE_MODEL);
  receipt->mutable_total()->set_source(v1::ENERGY_SOURCE_MODEL);
  v1::Attempt* second = AddAttempt(v1::ATTEMPT_STATE_SUPERSEDED, Nano(), &job);
  second->set_attempt_id("j5.2");
  second->set_reason("by ada");
  receipt = second->mutable_receipt();
  receipt->set_device_class("jetson-orin-nano");
  receipt->set_emulated(true);
  receipt->set_time_scale(0.01);
  *receipt->mutable_run() = Span(0.5, 7.0, 5.0);
  *receipt->mutable_total() = Span(0.6, 6.5, 5.0);
  receipt->mutable_run()->set_source(v1::ENERGY_SOURCE_EMULATED);
  receipt->mutable_total()->set_source(v1::ENERGY_SOURCE_EMULATED);
  *receipt->mutable_predicted() = Nano().prediction();
  return job;
}

}  // namespace wattle::cli
