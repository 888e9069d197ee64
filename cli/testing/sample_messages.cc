// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sample devices, and the coordinator's other records; jobs are in sample_jobs.cc.
#include "cli/testing/sample_messages.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/testing/sample_boards_internal.h"

#include "proto/testing/gpt2_shape_for_test.h"

namespace wattle::cli {
namespace {

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
  info->set_isolation("seccomp");
  device.set_connected(true);
  device.set_last_seen_unix_seconds(kSampleNowUnixSeconds - 1.0);
  device.mutable_heartbeat()->set_has_power(true);
  device.mutable_heartbeat()->set_power_watts(watts);
  device.mutable_heartbeat()->set_has_temperature(true);
  device.mutable_heartbeat()->set_temperature_celsius(48.25);
  return device;
}

}  // namespace

v1::Timetable SampleTimetable() {
  v1::Timetable timetable;
  timetable.set_at_unix_seconds(kSampleNowUnixSeconds);
  timetable.set_horizon_seconds(24 * 3600);
  timetable.set_sequence_number(41);
  v1::DeviceTimetable& nano = *timetable.add_devices();
  nano.set_device_id("4be1");
  nano.set_device_name("nano-1");
  const auto add = [&nano](const char* job, const char* attempt, double begin_hour, double end_hour,
                           const char* waits_for) {
    v1::TimetableEntry& entry = *nano.add_entries();
    entry.set_job_id(job);
    entry.set_attempt_id(attempt);
    entry.set_begin_unix_seconds(kSampleNowUnixSeconds + 3600 * begin_hour);
    entry.set_end_unix_seconds(kSampleNowUnixSeconds + 3600 * end_hour);
    entry.set_waits_for(waits_for);
  };
  add("j2", "j2.1", 0, 0.5, "");
  const auto spans = [&nano](double begin_low, double begin_high, double end_low, double end_high) {
    v1::TimetableEntry& entry = *nano.mutable_entries()->rbegin();
    if (begin_high > 0) {
      entry.set_begin_low_unix_seconds(kSampleNowUnixSeconds + 3600 * begin_low);
      entry.set_begin_high_unix_seconds(kSampleNowUnixSeconds + 3600 * begin_high);
    }
    entry.set_end_low_unix_seconds(kSampleNowUnixSeconds + 3600 * end_low);
    entry.set_end_high_unix_seconds(kSampleNowUnixSeconds + 3600 * end_high);
  };
  spans(0, 0, 0.25, 0.75);
  add("j6", "", 0.5, 1.25, "");
  spans(0.25, 0.75, 0.75, 1.75);
  add("j5", "", 3, 8.25,
      "at 41 %, might end at 12 %, the reserve is 30 % (policy north); feasible from 59 % of "
      "charge, or with 7.20 Wh less work");
  spans(2.5, 4, 7.5, 9.5);
  add("j7", "", 9, 33, "");
  nano.mutable_entries()->rbegin()->set_rest_seconds(13 * 3600);
  for (int hour = 0; hour <= 24; ++hour) {
    v1::ChargeForecast& charge = *nano.add_charge();
    charge.set_at_unix_seconds(kSampleNowUnixSeconds + 3600 * hour);
    charge.set_low_ratio(0.4 + 0.005 * hour);
    charge.set_median_ratio(0.4 + 0.02 * hour);
    charge.set_high_ratio(0.4 + 0.0225 * hour);
  }
  nano.set_reserve_state_of_charge_ratio(0.3);
  nano.set_sun_source("its own days before; this day brought 62 % of that so far");
  v1::DeviceTimetable& pi = *timetable.add_devices();
  pi.set_device_name("pi-läuft");
  pi.set_power_group("mast");
  nano.set_power_group("mast");
  pi.set_takes_none_because("drained: new power supply; unreachable for 3 h 05 min");
  timetable.add_devices()->set_device_name("xavier-1");
  v1::JobWithoutPlace& job = *timetable.add_without_place();
  job.set_job_id("j8");
  job.set_reason("no device can take it now; pi-läuft: its owner holds it");
  return timetable;
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
  devices.mutable_devices(2)->add_queued_attempt_ids("j4.1");
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

v1::ListArtifactsResponse SampleReleases() {
  v1::ListArtifactsResponse releases;
  for (const auto& [version, architecture] :
       {std::pair("0.3.0", "aarch64"), std::pair("0.3.0", "x86_64")}) {
    v1::ArtifactInfo& release = *releases.add_artifacts();
    release.set_kind(v1::ARTIFACT_KIND_RELEASE);
    release.set_artifact_id(absl::StrCat("3f2e", architecture, "00000000000000000000"));
    release.set_name(absl::StrCat("wattle-", version, "-", architecture));
    release.add_names(release.name());
    release.set_release_version(version);
    release.set_release_architecture(architecture);
    release.set_size_bytes(int64_t{180} << 20);
    release.set_created_unix_seconds(kSampleNowUnixSeconds - 7200);
    release.set_pushed_by("ada");
  }
  return releases;
}

v1::Upgrade SampleUpgrade() {
  v1::Upgrade upgrade;
  upgrade.set_upgrade_id("u3");
  upgrade.set_version("0.3.0");
  upgrade.add_stages()->add_labels()->set_key("canary");
  upgrade.add_stages()->set_fleet_ratio(1);
  upgrade.set_state(v1::UPGRADE_STATE_PAUSED);
  upgrade.set_stage(1);
  upgrade.set_reason(
      "stage 2 (100%) stopped: nano-1 (the self-test failed) went back, pi-1 (no write was synced) "
      "went back");
  const auto add = [&upgrade](const char* name, int stage, v1::DeviceUpgradeState state,
                              const char* reason) {
    v1::DeviceUpgrade& device = *upgrade.add_devices();
    device.set_device_id(absl::StrCat(name, "-id"));
    device.set_device_name(name);
    device.set_stage(stage);
    device.set_state(state);
    device.set_from_version("0.2.0");
    device.set_reason(reason);
    device.set_since_unix_seconds(kSampleNowUnixSeconds - 600);
  };
  add("xavier-1", 0, v1::DEVICE_UPGRADE_STATE_ACTIVE, "");
  add("nano-1", 1, v1::DEVICE_UPGRADE_STATE_ROLLED_BACK, "the self-test failed");
  add("orin-1", 1, v1::DEVICE_UPGRADE_STATE_WAITING, "the upgrade is paused");
  add("pi-1", 1, v1::DEVICE_UPGRADE_STATE_ROLLED_BACK, "no write was synced");
  add("pi-2", 1, v1::DEVICE_UPGRADE_STATE_REFUSED,
      "its worker 0.2.0 does not know upgrades; install 0.3.0 on the board by hand");
  upgrade.set_started_unix_seconds(kSampleNowUnixSeconds - 3600);
  return upgrade;
}

v1::ListForecastsResponse SampleForecasts() {
  v1::ListForecastsResponse forecasts;
  v1::HarvestForecast* forecast = forecasts.add_forecasts();
  forecast->set_name("weather");
  forecast->add_selector("site=mast");
  forecast->set_first_hour_unix_seconds(1'795'680'000);
  for (const double watts : {3.5, 12.0, 18.25}) {
    forecast->add_power_watts(watts);
  }
  forecast->set_pushed_unix_seconds(1'795'676'460);
  forecast->set_pushed_by("ada");
  forecasts.add_selected_devices(2);
  return forecasts;
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
  *measured->mutable_signature()->mutable_model() = Gpt2Shape();
  measured->mutable_signature()->set_precision("fp32");
  measured->mutable_signature()->set_quantization("none");
  measured->mutable_signature()->set_batch_size(8);
  measured->mutable_signature()->set_sequence_length(128);
  measured->mutable_signature()->set_engine("wattle");
  measured->mutable_signature()->set_engine_version("wattle-0.1.0/libtorch-1.13.1");
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
  *published->mutable_signature()->mutable_model() = Gpt2Shape();
  published->mutable_signature()->set_engine("pytorch");
  published->set_unit(v1::WORK_UNIT_EXAMPLE);
  published->mutable_seconds_per_unit()->set_mean(0.72805);
  published->mutable_seconds_per_unit()->set_count(1);
  published->mutable_power_watts()->set_mean(14.29);
  published->mutable_power_watts()->set_count(1);
  published->mutable_energy_joules_per_unit()->set_mean(10.4076);
  published->mutable_energy_joules_per_unit()->set_count(1);
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
  *result->mutable_model_shape() = Gpt2Shape();
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
  submitted.set_caller("person ada");
  submitted.set_caller_address("10.0.0.7");
  v1::FleetEvent lost;
  lost.set_at_unix_seconds(kSampleNowUnixSeconds);
  lost.set_kind("device_disconnected");
  lost.set_device_name("nano-1");
  lost.set_text("nano-1 lost its connection");
  return {submitted, lost};
}

}  // namespace wattle::cli
