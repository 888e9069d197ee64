// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/sample_messages.h"

#include <string>

namespace wattle::cli {
namespace {

constexpr char kNanoId[] = "5b1f0c52d1e34a8f9a10000000000001";
constexpr char kXavierId[] = "5b1f0c52d1e34a8f9a10000000000002";
constexpr char kPiId[] = "5b1f0c52d1e34a8f9a10000000000003";

v1::Interval Range(double mean, double share) {
  v1::Interval range;
  range.set_mean(mean);
  range.set_low(mean * (1.0 - share));
  range.set_high(mean * (1.0 + share));
  return range;
}

v1::ModelShape Gpt2Small() {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(12);
  shape.set_width(768);
  shape.set_heads(12);
  shape.set_vocabulary_size(50257);
  shape.set_context_length(1024);
  return shape;
}

v1::Candidate Board(const std::string& id, const std::string& name,
                    const std::string& device_class) {
  v1::Candidate board;
  board.set_device_id(id);
  board.set_device_name(name);
  board.set_device_class(device_class);
  board.set_emulated(true);
  board.set_feasible(true);
  return board;
}

v1::Prediction Published(double seconds, double energy_wh, double idle_watts,
                         const std::string& board) {
  v1::Prediction prediction;
  *prediction.mutable_run_seconds() = Range(seconds, 0.15);
  *prediction.mutable_run_energy_joules() = Range(energy_wh * 3600.0, 0.15);
  prediction.set_mean_power_watts(energy_wh * 3600.0 / seconds);
  prediction.set_idle_known(true);
  prediction.set_idle_power_watts(idle_watts);
  prediction.set_net_energy_joules(energy_wh * 3600.0 - idle_watts * seconds);
  prediction.set_start_seconds(9.5);
  prediction.set_start_energy_joules(58.0);
  prediction.set_checkpoint_seconds(42.0);
  prediction.set_checkpoint_energy_joules(310.0);
  prediction.set_fetch_seconds(3.0);
  prediction.set_fetch_energy_joules(4.5);
  prediction.set_upload_seconds(6.0);
  prediction.set_upload_energy_joules(9.0);
  prediction.set_work_units(20000);
  prediction.set_unit(v1::WORK_UNIT_EXAMPLE);
  prediction.set_seconds_per_unit(seconds / 20000.0);
  prediction.set_provenance(v1::PROVENANCE_PUBLISHED);
  prediction.set_provenance_note("published: table 3, " + board + ", GPT-2; unit example");
  prediction.set_time_scale(0.01);
  return prediction;
}

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

v1::Device Worker(const v1::Candidate& board, double watts) {
  v1::Device device;
  v1::DeviceInfo* info = device.mutable_info();
  info->set_device_id(board.device_id());
  info->set_name(board.device_name());
  info->set_device_class(board.device_class());
  info->set_emulated(board.emulated());
  info->set_time_scale(board.emulated() ? 0.01 : 1.0);
  info->set_architecture("aarch64");
  info->set_cores(6);
  info->set_memory_bytes(8LL << 30);
  info->set_energy_source(board.emulated() ? v1::ENERGY_SOURCE_EMULATED
                                           : v1::ENERGY_SOURCE_SMART_PLUG);
  info->set_energy_scope(board.emulated() ? "board_input" : "mains");
  info->set_worker_version("0.1.0");
  device.set_connected(true);
  device.set_last_seen_unix_seconds(kSampleNowUnixSeconds - 1.0);
  device.mutable_heartbeat()->set_has_power(true);
  device.mutable_heartbeat()->set_power_watts(watts);
  device.mutable_heartbeat()->set_has_temperature(true);
  device.mutable_heartbeat()->set_temperature_celsius(48.25);
  return device;
}

v1::Candidate Nano() {
  v1::Candidate board = Board(kNanoId, "nano-1", "jetson-orin-nano");
  *board.mutable_prediction() = Published(11726, 36.33, 5.0, "Orin Nano");
  board.set_finish_in_seconds(118.0);
  board.set_marginal_energy_joules(72500);
  board.set_has_battery(true);
  board.set_state_of_charge_ratio(0.83);
  board.set_state_of_charge_after_ratio(0.41);
  return board;
}

v1::Candidate Xavier() {
  v1::Candidate board = Board(kXavierId, "xavier-1", "jetson-xavier-nx");
  *board.mutable_prediction() = Published(14561, 57.82, 4.2, "Xavier NX");
  board.set_start_in_seconds(95.0);
  board.set_marginal_energy_joules(147300);
  return board;
}

v1::Candidate Pi() {
  v1::Candidate board = Board(kPiId, "pi-läuft", "raspberry-pi-5");
  board.set_emulated(false);
  board.set_feasible(false);
  board.set_refused_by("memory");
  board.set_reason("needs 6.1 GiB, has 4.0 GiB; a smaller batch_size would fit");
  board.set_permanent(true);
  return board;
}

}  // namespace

v1::JobSpec SampleSpec() {
  v1::JobSpec spec;
  spec.set_name("squad-gpt2");
  spec.set_objective(v1::OBJECTIVE_ENERGY);
  spec.set_owner("ada");
  *spec.mutable_finetune()->mutable_model_shape() = Gpt2Small();
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

v1::ListDevicesResponse SampleDevices() {
  v1::ListDevicesResponse devices;
  *devices.add_devices() = Worker(Nano(), 5.04);
  devices.mutable_devices(0)->mutable_heartbeat()->set_has_battery(true);
  devices.mutable_devices(0)->mutable_heartbeat()->set_state_of_charge_ratio(0.83);
  devices.mutable_devices(0)->mutable_heartbeat()->set_gauge_error_ratio(0.07);
  *devices.add_devices() = Worker(Pi(), 3.1);
  devices.mutable_devices(1)->set_drained(true);
  devices.mutable_devices(1)->set_drain_reason("new power supply");
  devices.mutable_devices(1)->mutable_heartbeat()->set_has_temperature(false);
  *devices.add_devices() = Worker(Xavier(), 14.31);
  devices.mutable_devices(2)->set_running_attempt_id("j2.1");
  devices.mutable_devices(2)->mutable_info()->add_findings(
      "sensor ina3221: in1_input: permission denied; let the worker read it");
  devices.mutable_devices(2)->mutable_heartbeat()->set_disk_free_bytes(11LL << 30);
  devices.mutable_devices(2)->mutable_heartbeat()->set_unix_seconds(kSampleNowUnixSeconds - 7201.0);
  v1::EnergyLedger* ledger = devices.mutable_devices(2)->mutable_ledger();
  ledger->set_attempt_energy_joules(208000.0);
  ledger->set_idle_energy_joules(9100.0);
  ledger->set_overhead_energy_joules(410.0);
  ledger->set_missing_energy_joules(33.0);
  return devices;
}

v1::ListPoliciesResponse SamplePolicies() {
  v1::ListPoliciesResponse policies;
  v1::Policy* policy = policies.add_policies();
  policy->set_name("field");
  policy->add_selector("site=mast");
  policy->add_selector("battery");
  policy->set_reserve_state_of_charge_ratio(0.3);
  policy->set_max_temperature_celsius(75.0);
  policy->set_daily_energy_budget_wh(60);
  policy->add_work_windows("07:00-19:00");
  policy->set_stay_alive_until("07:00");
  policy->set_utc_offset_minutes(60);
  policies.add_policies()->set_name("none");
  policies.add_selected_devices(2);
  policies.add_selected_devices(0);
  return policies;
}

v1::ListProfilesResponse SampleProfiles() {
  v1::ListProfilesResponse profiles;
  v1::ProfileRow* measured = profiles.add_rows();
  measured->set_device_class("jetson-orin-nano");
  measured->set_device_id(kNanoId);
  measured->set_emulated(true);
  measured->set_power_mode("MODE_15W");
  measured->mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
  *measured->mutable_signature()->mutable_model() = Gpt2Small();
  measured->mutable_signature()->set_precision("fp32");
  measured->mutable_signature()->set_quantization("none");
  measured->mutable_signature()->set_batch_size(8);
  measured->mutable_signature()->set_sequence_length(128);
  measured->mutable_signature()->set_engine("wattle");
  measured->mutable_signature()->set_engine_version("0.1.0");
  measured->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  measured->mutable_seconds_per_unit()->set_mean(0.00461);
  measured->mutable_seconds_per_unit()->set_count(3);
  measured->mutable_seconds_per_unit()->set_relative_deviation(0.021);
  measured->mutable_power_watts()->set_mean(11.3);
  measured->mutable_power_watts()->set_count(3);
  measured->set_peak_power_watts(12.4);
  measured->mutable_energy_joules_per_unit()->set_mean(0.0521);
  measured->mutable_energy_joules_per_unit()->set_count(3);
  measured->set_net_energy_joules_per_unit(0.029);
  measured->set_peak_memory_bytes(512LL << 20);
  measured->set_source(v1::PROFILE_SOURCE_MEASURED);
  measured->set_source_note("job j1");
  measured->set_updated_unix_seconds(kSampleNowUnixSeconds - 470.0);
  v1::ProfileRow* published = profiles.add_rows();
  published->set_device_class("jetson-xavier-nx");
  published->mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
  *published->mutable_signature()->mutable_model() = Gpt2Small();
  published->mutable_signature()->set_engine("pytorch");
  published->set_unit(v1::WORK_UNIT_EXAMPLE);
  published->mutable_seconds_per_unit()->set_mean(0.72805);
  published->mutable_seconds_per_unit()->set_count(1);
  published->mutable_power_watts()->set_mean(14.29);
  published->mutable_energy_joules_per_unit()->set_mean(10.4076);
  published->set_source(v1::PROFILE_SOURCE_PUBLISHED);
  published->set_source_note("table 3, Xavier NX, GPT-2");
  return profiles;
}

v1::ListArtifactsResponse SampleModels() {
  v1::ListArtifactsResponse artifacts;
  v1::ArtifactInfo* result = artifacts.add_artifacts();
  result->set_artifact_id("ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12");
  result->set_kind(v1::ARTIFACT_KIND_RESULT);
  result->set_job_id("j1");
  result->set_size_bytes(7'900'000);
  result->set_created_unix_seconds(kSampleNowUnixSeconds - 470.0);
  *result->mutable_model_shape() = Gpt2Small();
  result->set_parameter_count(124'439'808);
  result->set_quantization("none");
  v1::ArtifactInfo* pushed = artifacts.add_artifacts();
  *pushed = *result;
  pushed->set_artifact_id("00ffcd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12");
  pushed->set_kind(v1::ARTIFACT_KIND_MODEL);
  pushed->set_name("gpt2");
  pushed->clear_job_id();
  return artifacts;
}

v1::ListArtifactsResponse SampleDataSets() {
  v1::ListArtifactsResponse artifacts;
  v1::ArtifactInfo* data = artifacts.add_artifacts();
  data->set_artifact_id("77aacd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12");
  data->set_kind(v1::ARTIFACT_KIND_DATASET);
  data->set_name("fleet-qa");
  data->set_size_bytes(154'321);
  data->set_created_unix_seconds(kSampleNowUnixSeconds - 86400.0);
  data->mutable_dataset()->set_format("squad");
  data->mutable_dataset()->set_examples(412);
  data->mutable_dataset()->set_answerable(301);
  data->mutable_dataset()->set_mean_byte_length(283.4);
  return artifacts;
}

v1::CoordinatorStatus SampleCoordinator() {
  v1::CoordinatorStatus status;
  status.set_version("0.1.0");
  status.set_unix_seconds(kSampleNowUnixSeconds);
  status.set_started_unix_seconds(kSampleNowUnixSeconds - 7200.0);
  status.set_has_data_space(true);
  status.set_data_free_bytes(int64_t{50} << 30);
  status.set_data_size_bytes(int64_t{100} << 30);
  return status;
}

v1::EnergyReport SampleEnergy() {
  v1::EnergyReport report;
  v1::EnergyRow* nano = report.add_rows();
  nano->set_key(kNanoId);
  nano->set_label("nano-1");
  nano->set_gross_energy_joules(133662.0);
  nano->set_net_energy_joules(74362.0);
  nano->set_net_known(true);
  nano->set_has_ledger(true);
  nano->set_idle_energy_joules(9100.0);
  nano->set_overhead_energy_joules(410.0);
  nano->add_sources(v1::ENERGY_SOURCE_EMULATED);
  nano->set_attempts(3);
  nano->set_seconds(11860.0);
  v1::EnergyRow* pi = report.add_rows();
  pi->set_key(kPiId);
  pi->set_label("pi, \"the old one\"");
  pi->set_gross_energy_joules(164.7);
  pi->set_missing_energy_joules(21.4);
  pi->add_sources(v1::ENERGY_SOURCE_SMART_PLUG);
  pi->set_attempts(1);
  pi->set_seconds(27.0);
  v1::EnergyRow& total = *report.mutable_total();
  total.set_gross_energy_joules(133826.7);
  total.set_missing_energy_joules(21.4);
  total.set_has_ledger(true);
  total.set_idle_energy_joules(9100.0);
  total.set_overhead_energy_joules(410.0);
  total.add_sources(v1::ENERGY_SOURCE_SMART_PLUG);
  total.add_sources(v1::ENERGY_SOURCE_EMULATED);
  total.set_attempts(4);
  return report;
}

std::vector<v1::FleetEvent> SampleEvents() {
  v1::FleetEvent submitted;
  submitted.set_sequence(7);
  submitted.set_at_unix_seconds(kSampleNowUnixSeconds - 60.0);
  submitted.set_kind("job_submitted");
  submitted.set_job_id("j2");
  submitted.set_text("j2 submitted by ada: finetune squad-gpt2");
  v1::FleetEvent lost;
  lost.set_at_unix_seconds(kSampleNowUnixSeconds);
  lost.set_kind("device_disconnected");
  lost.set_device_name("nano-1");
  lost.set_text("nano-1 lost its connection");
  return {submitted, lost};
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
