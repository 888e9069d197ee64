// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards with known speed, for tests of this folder that drive plans over hours with the reports
// that boards would send.
#ifndef WATTLE_COORDINATOR_CORE_TESTING_BOARDS_FOR_TEST_H_
#define WATTLE_COORDINATOR_CORE_TESTING_BOARDS_FOR_TEST_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/foreseen_inputs.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/processor.h"

namespace wattle::core {

// A model, a data set, boards with known speed, and a clock.
class Boards {
 public:
  Boards() {
    Do(CommitArtifact{TinyModel()});
    Do(CommitArtifact{Questions(1'000'000)});
  }

  // Adds a board that needs `step_seconds` for a step of Finetune(). battery_wh: 0 for none; else a
  // half full pack, and an idle draw of 1.5 W.
  void Add(const std::string& name, double step_seconds, double battery_wh = 0) {
    const DeviceId device(name);
    v1::Hello hello;
    hello.set_incarnation(1);
    v1::DeviceInfo& info = *hello.mutable_device();
    info.set_device_id(name);
    info.set_name(name);
    info.set_device_class("jetson-orin-nano");
    info.set_memory_bytes(int64_t{8} << 30);
    info.set_engine_version("test");
    info.set_cache_quota_bytes(int64_t{1} << 34);
    info.set_link_bytes_per_second(1e7);
    info.set_time_scale(1);
    observations.devices[device].connected = true;
    if (battery_wh > 0) {
      info.set_battery_capacity_wh(battery_wh);
      v1::Heartbeat& heartbeat = observations.devices[device].heartbeat;
      heartbeat.set_has_battery(true);
      heartbeat.set_state_of_charge_ratio(0.5);
      heartbeat.set_idle_power_watts(1.5);
    }
    Do(WorkerHello{hello});
    Learn(info, step_seconds);
  }

  // Adds a board whose GPU needs `step_seconds` and whose cores need `cpu_step_seconds`.
  void AddWithGpu(const std::string& name, double step_seconds, double cpu_step_seconds) {
    Add(name, step_seconds);
    v1::Hello hello;
    hello.set_incarnation(1);
    v1::DeviceInfo& info = *hello.mutable_device();
    info = FindDevice(state, DeviceId(name))->info();
    info.set_accelerator("cuda");
    info.set_offers_cpu(true);
    Do(WorkerHello{hello});
    Learn(scheduler::OnCores(info), cpu_step_seconds);
  }

  void Advance(absl::Duration time) { elapsed_ += time; }
  [[nodiscard]] Instant Now() const {
    return {absl::FromUnixSeconds(1'800'000'000) + elapsed_, Monotonic(elapsed_)};
  }

  // Submits a job of `steps` steps.
  std::string Submit(int steps, v1::JobSpec spec = Finetune()) {
    spec.mutable_finetune()->clear_epochs();
    spec.mutable_finetune()->set_steps(steps);
    return Do(SubmitJob{spec, absl::StrCat("key", ++submitted_)}).id;
  }

  scheduler::Snapshot Snapshot() {
    for (auto& [id, device] : observations.devices) {
      device.last_seen = Now();
    }
    return MakeSnapshot(state, observations, {}, Now());
  }
  PlanComputed Plan() {
    PlanComputed plan = ComputePlan(Snapshot());
    Do(plan);
    return plan;
  }

  // Reports a harvest of `watts` from 06:00 to 18:00 UTC, and none at night.
  void TellHarvest(const std::string& board, double watts) {
    v1::EnergyLedger& ledger = *NextReport(DeviceId(board)).mutable_ledger();
    for (int hour = 0; hour < 24; ++hour) {
      ledger.add_harvest_power_watts_by_hour(hour >= 6 && hour < 18 ? watts : 0);
    }
    Send();
  }
  void Accept(const std::string& attempt) {
    *Fact(attempt).mutable_accepted() = Named<v1::AttemptAccepted>(attempt);
    Send();
  }
  void Start(const std::string& attempt) {
    *Fact(attempt).mutable_started() = Named<v1::AttemptStarted>(attempt);
    Send();
  }
  void Pause(const std::string& attempt, const std::string& reason) {
    auto paused = Named<v1::AttemptPaused>(attempt);
    paused.set_reason(reason);
    *Fact(attempt).mutable_paused() = paused;
    Send();
  }
  // The board returns an attempt that it has not begun.
  void GiveBack(const std::string& attempt) {
    *Fact(attempt).mutable_stopped() = Named<v1::AttemptStopped>(attempt);
    Send();
  }
  // The board hands the attempt over with its checkpoint.
  void HandOver(const std::string& attempt, int64_t step) {
    const v1::ArtifactInfo checkpoint =
        Upload(attempt, v1::ARTIFACT_KIND_CHECKPOINT, absl::StrCat("checkpoint of ", attempt));
    auto stopped = Named<v1::AttemptStopped>(attempt);
    stopped.set_checkpoint_step(step);
    *stopped.mutable_checkpoint() = checkpoint;
    *Fact(attempt).mutable_stopped() = stopped;
    Send();
  }
  void Finish(const std::string& attempt, const v1::Receipt& receipt = {}) {
    const v1::ArtifactInfo output =
        Upload(attempt, v1::ARTIFACT_KIND_RESULT, absl::StrCat("output of ", attempt));
    auto finished = Named<v1::AttemptFinished>(attempt);
    *finished.mutable_output() = output;
    *finished.mutable_receipt() = receipt;
    *Fact(attempt).mutable_finished() = finished;
    Send();
  }
  void Fail(const std::string& attempt, v1::FailureClass failure_class) {
    auto failed = Named<v1::AttemptFailed>(attempt);
    failed.set_failure_class(failure_class);
    failed.mutable_receipt()->set_failure_class(failure_class);
    *Fact(attempt).mutable_failed() = failed;
    Send();
  }
  void Run(const std::string& attempt) {
    Accept(attempt);
    Start(attempt);
  }
  // Submits j1, which takes 20 h, and runs it for an hour.
  void RunAnHourOfTwenty() {
    Submit(20 * 3600);
    Plan();
    Run("j1.1");
    Advance(absl::Hours(1));
    observations.progress[AttemptId("j1.1")].set_remaining_seconds(19 * 3600);
  }

  const v1::Job& Job(const std::string& id) { return FindJob(state, JobId(id))->job(); }
  const v1::Attempt& Attempt(const std::string& id) { return *FindAttempt(state, AttemptId(id)); }

  Decision Do(const Command& command) {
    Decision decision = Decide(state, command, observations, Now());
    EXPECT_THAT(decision.status, IsOk());
    for (const v1::Event& event : decision.events) {
      Apply(state, event, Now().monotonic);
    }
    return decision;
  }

  State state;
  Observations observations;

 private:
  // Uploads as the attempt's board would.
  v1::ArtifactInfo Upload(const std::string& attempt, v1::ArtifactKind kind,
                          const std::string& id) {
    v1::ArtifactInfo info;
    info.set_artifact_id(id);
    info.set_kind(kind);
    info.set_job_id(Attempt(attempt).job_id());
    Do(CommitArtifact{.info = info, .device = DeviceId(Attempt(attempt).device_id())});
    return info;
  }
  template <typename Message>
  Message Named(const std::string& attempt) {
    Message message;
    message.set_attempt_id(attempt);
    message.set_fencing_token(Attempt(attempt).fencing_token());
    return message;
  }
  v1::Report& Fact(const std::string& attempt) {
    return NextReport(DeviceId(Attempt(attempt).device_id()));
  }
  v1::Report& NextReport(const DeviceId& device) {
    report_ = {};
    report_.device = device;
    report_.incarnation = 1;
    report_.report.set_sequence(++sequence_[report_.device]);
    return report_.report;
  }
  void Send() { Do(report_); }

  void Learn(const v1::DeviceInfo& info, double step_seconds) {
    v1::JobSpec spec = Finetune();
    spec.mutable_finetune()->clear_epochs();
    spec.mutable_finetune()->set_steps(1000);
    const auto inputs = ForeseeInputs(state, spec);
    ASSERT_THAT(inputs, IsOk());
    const auto work = scheduler::WorkOf(spec, *inputs, state.profiles);
    ASSERT_THAT(work, IsOk());
    const v1::Receipt receipt =
        scheduler::MeasuredReceipt(*work, step_seconds * work->steps, /*watts=*/10);
    for (const v1::ProfileRow& row :
         scheduler::LearnFromReceipt(state.profiles, info, receipt, Now().wall)) {
      ASSERT_THAT(state.profiles.Put(row), IsOk());
    }
  }

  absl::Duration elapsed_ = absl::Hours(1);
  int submitted_ = 0;
  WorkerReport report_;
  std::map<DeviceId, int64_t> sequence_;
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_TESTING_BOARDS_FOR_TEST_H_
