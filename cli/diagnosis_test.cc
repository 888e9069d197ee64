// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plants each fault that happens in practice; the diagnosis must find the fault and name its
// remedy.
#include "cli/diagnosis.h"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Facts HealthyFacts() {
  Facts facts;
  facts.version = "0.1.0";
  facts.asked_at = absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds);
  facts.answered_within = absl::Milliseconds(4);
  facts.coordinator = SampleCoordinator();
  facts.devices = SampleDevices();
  for (v1::Device& device : *facts.devices.mutable_devices()) {
    device.mutable_info()->set_engine_version("wattle-0.1.0");
    device.mutable_info()->clear_findings();
    device.mutable_info()->clear_isolation();
    device.mutable_heartbeat()->set_unix_seconds(device.last_seen_unix_seconds());
    device.mutable_heartbeat()->set_disk_free_bytes(int64_t{8} << 30);
  }
  facts.policies.add_policies()->set_name("field");
  facts.policies.add_selected_devices(2);
  return facts;
}

std::string Troubles(const Facts& facts) {
  std::vector<Finding> troubles;
  for (const Finding& finding : Diagnose(facts)) {
    if (finding.trouble) {
      troubles.push_back(finding);
    }
  }
  return RenderDiagnosis(troubles);
}

TEST(DiagnosisTest, AHealthyFleetHasNoTrouble) {
  EXPECT_EQ(Troubles(HealthyFacts()), "");
  EXPECT_THAT(RenderDiagnosis(Diagnose(HealthyFacts())), HasSubstr("ok  clocks agree\n"));
}

// Held boards are no trouble, yet they run no jobs.
TEST(DiagnosisTest, BoardsThatAreHeldAreNamed) {
  Facts facts = HealthyFacts();
  for (v1::Device& device : *facts.devices.mutable_devices()) {
    device.set_drained(false);
    device.mutable_heartbeat()->clear_guard_reason();
  }
  EXPECT_THAT(RenderDiagnosis(Diagnose(facts)),
              HasSubstr("ok  every device is heard of and can run jobs\n"));
  v1::Device& first = *facts.devices.mutable_devices(0);
  first.clear_running_attempt_id();
  first.set_drained(true);
  v1::Device& second = *facts.devices.mutable_devices(1);
  second.mutable_heartbeat()->set_owner_hold_seconds(60);
  EXPECT_THAT(
      RenderDiagnosis(Diagnose(facts)),
      HasSubstr("ok  every device is heard of; these run no jobs now: " + first.info().name() +
                " (drained), " + second.info().name() + " (held by owner)\n"));
  EXPECT_EQ(Troubles(facts), "");
}

TEST(DiagnosisTest, WhatNobodyToldIsNotCalledWell) {
  Facts facts = HealthyFacts();
  for (v1::Device& device : *facts.devices.mutable_devices()) {
    device.mutable_heartbeat()->clear_unix_seconds();
    device.mutable_heartbeat()->clear_disk_free_bytes();
  }
  const std::string text = RenderDiagnosis(Diagnose(facts));
  EXPECT_THAT(text, HasSubstr("ok  this machine's clock agrees with the coordinator's\n"));
  EXPECT_THAT(text, HasSubstr("ok  the coordinator's disk has room\n"));
}

TEST(DiagnosisTest, ABoardWithoutLandlockIsToldAndOneWithoutABoxIsTrouble) {
  Facts facts = HealthyFacts();
  EXPECT_THAT(RenderDiagnosis(Diagnose(facts)), Not(HasSubstr("isolation")));
  v1::DeviceInfo& first = *facts.devices.mutable_devices(0)->mutable_info();
  first.set_isolation("full");
  EXPECT_THAT(RenderDiagnosis(Diagnose(facts)),
              HasSubstr("ok  runners are in a sandbox (isolation full)\n"));
  first.set_isolation("seccomp");
  EXPECT_THAT(RenderDiagnosis(Diagnose(facts)),
              HasSubstr("(isolation seccomp): " + first.name() + "\n"));
  EXPECT_EQ(Troubles(facts), "");
  first.set_isolation("none");
  EXPECT_THAT(Troubles(facts), HasSubstr("(isolation none); start the worker without"));
}

TEST(DiagnosisTest, ARestoreThatLostNothingIsWell) {
  Facts facts = HealthyFacts();
  facts.coordinator.set_epoch(1);
  facts.coordinator.set_restored_unix_seconds(kSampleNowUnixSeconds - 60.0);
  facts.coordinator.add_restore_findings()->set_recovered(true);
  facts.coordinator.set_restore_findings_total(1);
  EXPECT_EQ(Troubles(facts), "");
  EXPECT_THAT(RenderDiagnosis(Diagnose(facts)), HasSubstr("lost nothing that a device knows of"));
}

// Rows of two boards of one class; the second board takes `ratio` times as long.
void AddSiblings(double ratio, Facts& facts) {
  v1::ProfileRow row = SampleProfiles().rows(0);
  for (const int board : {0, 1}) {
    v1::DeviceInfo& info = *facts.devices.mutable_devices(board)->mutable_info();
    info.set_device_class("jetson-orin-nano");
    row.set_device_id(info.device_id());
    *facts.profiles.add_rows() = row;
    row.mutable_seconds_per_unit()->set_mean(row.seconds_per_unit().mean() * ratio);
    row.mutable_energy_joules_per_unit()->set_mean(row.energy_joules_per_unit().mean() * ratio);
  }
}

TEST(DiagnosisTest, ABoardThatContradictsItsClassIsOneLine) {
  Facts facts = HealthyFacts();
  AddSiblings(1.4, facts);
  EXPECT_EQ(Troubles(facts),
            "!!  pi-läuft contradicts its class jetson-orin-nano (emulated): 6.454 ms for a "
            "training token of finetune_full, gpt2 12x768, fp32, batch 8, length 128 in MODE_15W, "
            "nano-1 4.610 ms: 40 % more, their runs allow 34 %; compare fan, power supply and "
            "power mode of both: wattle device show pi-läuft\n");
  facts = HealthyFacts();
  AddSiblings(1.1, facts);
  EXPECT_EQ(Troubles(facts), "");
  EXPECT_THAT(RenderDiagnosis(Diagnose(facts)),
              HasSubstr("ok  no board's rows contradict its class\n"));
  EXPECT_THAT(RenderDiagnosis(Diagnose(HealthyFacts())), Not(HasSubstr("contradict")));
}

TEST(DiagnosisTest, RowsThatAreNotValidContradictNothing) {
  Facts facts = HealthyFacts();
  AddSiblings(std::nan(""), facts);
  EXPECT_EQ(Troubles(facts), "");
}

struct Plant {
  const char* name;
  std::function<void(Facts&)> change;
  const char* found;
  const char* remedy;
};

TEST(DiagnosisTest, FindsWhatIsPlanted) {
  const std::vector<Plant> plants = {
      {"version", [](Facts& f) { f.version = "0.2.0"; }, "the coordinator is version 0.1.0",
       "install the same version"},
      {"worker version",
       [](Facts& f) { f.devices.mutable_devices(0)->mutable_info()->set_worker_version("0.0.9"); },
       "nano-1: its worker is version 0.0.9", "install the same version"},
      {"clock", [](Facts& f) { f.coordinator.set_unix_seconds(kSampleNowUnixSeconds + 90); },
       "the coordinator's clock is 90 s ahead of", "timedatectl"},
      {"device clock",
       [](Facts& f) {
         f.devices.mutable_devices(0)->mutable_heartbeat()->set_unix_seconds(1000.0);
       },
       "nano-1: its clock is", "timedatectl"},
      {"unknown time",
       [](Facts& f) {
         f.devices.mutable_devices(0)->mutable_heartbeat()->set_clock_source(
             v1::CLOCK_SOURCE_FLOOR);
       },
       "nano-1: does not know the time", "timedatectl"},
      {"disk", [](Facts& f) { f.coordinator.set_data_free_bytes(100 << 20); },
       "the coordinator's disk has 100.0 MiB left", "wattle model rm"},
      {"full by share", [](Facts& f) { f.coordinator.set_data_free_bytes(int64_t{3} << 30); },
       "the coordinator's disk has 3.0 GiB left", "--artifact-quota-gib"},
      {"device disk",
       [](Facts& f) {
         f.devices.mutable_devices(0)->mutable_heartbeat()->set_disk_free_bytes(1 << 20);
       },
       "nano-1: its disk has 1.0 MiB left", "--disk-quota-bytes"},
      {"silent", [](Facts& f) { f.devices.mutable_devices(1)->set_unreachable(true); },
       "pi-läuft was last heard of", "wattle device rm pi-läuft"},
      {"silent since a restart",
       [](Facts& f) {
         f.devices.mutable_devices(1)->set_unreachable(true);
         f.devices.mutable_devices(1)->set_last_seen_unix_seconds(
             f.coordinator.started_unix_seconds() - 60);
       },
       "pi-läuft was not heard of since the coordinator's start, 2 h ago",
       "wattle device rm pi-läuft"},
      {"never heard since a restart",
       [](Facts& f) {
         f.devices.mutable_devices(1)->set_unreachable(true);
         f.devices.mutable_devices(1)->clear_last_seen_unix_seconds();
         f.devices.mutable_devices(1)->mutable_heartbeat()->Clear();
       },
       "pi-läuft was not heard of since the coordinator's start, 2 h ago",
       "wattle device rm pi-läuft"},
      {"an upgrade that stopped", [](Facts& f) { f.upgrade = SampleUpgrade(); },
       "upgrade u3 to 0.3.0 paused in stage 2 (100%), 1 of 5 devices run it: stage 2",
       "wattle upgrade resume"},
      {"no engine",
       [](Facts& f) { f.devices.mutable_devices(0)->mutable_info()->clear_engine_version(); },
       "nano-1 has no engine", "install wattle-runner"},
      {"no sensor",
       [](Facts& f) {
         f.devices.mutable_devices(1)->mutable_info()->set_energy_source(v1::ENERGY_SOURCE_MODEL);
       },
       "its energy is modelled", "let the worker's user read the sensor"},
      {"sensor permission",
       [](Facts& f) {
         f.devices.mutable_devices(1)->mutable_info()->add_findings(
             "rapl: cannot be read; run: chmod a+r …");
       },
       "pi-läuft: rapl: cannot be read", "chmod"},
      {"one name",
       [](Facts& f) { f.devices.mutable_devices(1)->mutable_info()->set_name("nano-1"); },
       "nano-1 is the name of 2 devices", "another --name"},
      {"idle policy", [](Facts& f) { f.policies.set_selected_devices(0, 0); },
       "policy field selects no device", "wattle policy rm field"},
      {"one identity",
       [](Facts& f) { f.devices.mutable_devices(1)->set_problem("pi: two boards use it: …"); },
       "pi: two boards use it", ""},
      {"guard without a gauge",
       [](Facts& f) {
         f.devices.mutable_devices(1)->mutable_heartbeat()->set_guard_warning("no gauge: …");
       },
       "pi-läuft: no gauge", ""},
      {"a board that is off",
       [](Facts& f) {
         v1::Device& device = *f.devices.mutable_devices(1);
         device.set_connected(false);
         device.mutable_heartbeat()->set_power_off_reason("the battery is at 14 %");
       },
       "pi-läuft switched itself off: the battery is at 14 %", "charge its battery"},
      {"a certificate that is not renewed",
       [](Facts& f) {
         f.coordinator.set_certificate_problem("the coordinator's certificate is not renewed: …");
       },
       "the coordinator's certificate is not renewed: …", ""},
      {"lost by a restore",
       [](Facts& f) {
         f.coordinator.set_epoch(1);
         f.coordinator.set_restored_unix_seconds(kSampleNowUnixSeconds - 60.0);
         f.coordinator.add_restore_findings()->set_text("j7.1 on nano-1: its job is not known");
         f.coordinator.set_restore_findings_total(3);
       },
       "after the restore of 2025-11-20 08:39:00 UTC: j7.1 on nano-1: its job is not known",
       "2 earlier findings of the restore are not shown; list all: wattle-coordinator restore"},
      {"no device", [](Facts& f) { f.devices.clear_devices(); }, "no device has registered",
       "wattle-worker"},
  };
  for (const Plant& plant : plants) {
    Facts facts = HealthyFacts();
    plant.change(facts);
    const std::string troubles = Troubles(facts);
    EXPECT_THAT(troubles, HasSubstr(plant.found)) << plant.name;
    EXPECT_THAT(troubles, HasSubstr(plant.remedy)) << plant.name;
  }
}

}  // namespace
}  // namespace wattle::cli
