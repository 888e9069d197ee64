// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator with one board of two power modes, whose performance law the tests know.
#ifndef WATTLE_COORDINATOR_CORE_TESTING_PROFILING_FOR_TEST_H_
#define WATTLE_COORDINATOR_CORE_TESTING_PROFILING_FOR_TEST_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/profiling.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "proto/job_kind.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/work.h"
#include "scheduler/profile_run/choose_point.h"

namespace wattle::core {

inline constexpr char kProfiledBoard[] = "orin";

inline v1::JobSpec Profile(const std::vector<int>& batches = {2, 4}) {
  v1::JobSpec spec;
  spec.add_required_labels("device=orin");
  v1::ProfileSpec& profile = *spec.mutable_profile();
  *profile.mutable_finetune() = Finetune().finetune();
  profile.set_all_power_modes(true);
  profile.mutable_batch_sizes()->Assign(batches.begin(), batches.end());
  spec.set_energy_budget_wh(10);
  return spec;
}

class ProfilingTest : public testing::Test {
 protected:
  ProfilingTest() {
    Do(CommitArtifact{TinyModel()});
    Do(CommitArtifact{Questions(1'000'000)});
    Connect();
  }

  // The board's hello, also after a restart of the coordinator.
  void Connect() {
    v1::Hello hello;
    hello.set_incarnation(1);
    v1::DeviceInfo& info = *hello.mutable_device();
    info.set_device_id(kProfiledBoard);
    info.set_name(kProfiledBoard);
    info.set_device_class(is_jetson_ ? "jetson-orin-nano" : "board-of-nobody");
    info.set_accelerator(is_jetson_ ? "cuda" : "");
    info.set_offers_cpu(is_jetson_);
    info.set_memory_bytes(int64_t{8} << 30);
    info.set_engine_version("test");
    info.set_spec_revision(1);
    info.set_cache_quota_bytes(int64_t{1} << 34);
    info.set_time_scale(1);
    info.set_idle_power_watts(2);
    info.set_sets_power_modes(true);
    for (const auto& [name, watts, mhz] : {std::tuple{"10W", 10, 1000}, {"15W", 15, 1500}}) {
      v1::PowerMode& mode = *info.add_power_modes();
      mode.set_name(name);
      mode.set_nominal_power_watts(watts);
      mode.set_cpu_mhz(mhz);
      mode.set_cores(4);
    }
    info.set_power_mode("15W");
    v1::Label& label = *info.add_labels();
    label.set_key("device");
    label.set_value(kProfiledBoard);
    DeviceObservation& board = observations_.devices[DeviceId(kProfiledBoard)];
    board.connected = true;
    board.heartbeat.set_has_power(true);
    Hear();
    Do(WorkerHello{hello});
  }
  // The board's own hello, with another id.
  [[nodiscard]] v1::Hello HelloOfBoard(const std::string& device_id) const {
    v1::Hello hello;
    hello.set_incarnation(2);
    *hello.mutable_device() = state_.devices.at(DeviceId(kProfiledBoard)).info();
    hello.mutable_device()->set_device_id(device_id);
    return hello;
  }
  // Connects another board with the same name.
  void ConnectNamesake(const DeviceId& device) {
    Do(WorkerHello{HelloOfBoard(device.value())});
    observations_.devices[device] = observations_.devices[DeviceId(kProfiledBoard)];
    observations_.devices[device].last_seen = Now();
  }
  void Hear() { observations_.devices[DeviceId(kProfiledBoard)].last_seen = Now(); }

  [[nodiscard]] Instant Now() const {
    return {absl::FromUnixSeconds(1'800'000'000) + elapsed_, Monotonic(elapsed_)};
  }
  Decision Do(const Command& command) {
    Decision decision = Decide(state_, command, observations_, Now());
    EXPECT_THAT(decision.status, IsOk());
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, Now().monotonic);
      events_.push_back(event);
    }
    return decision;
  }
  void Submit(const v1::JobSpec& spec) {
    Do(SubmitJob{spec, absl::StrCat("key", state_.next_job_number)});
  }
  PlanComputed Plan() {
    elapsed_ += absl::Seconds(1);
    Hear();
    PlanComputed plan = ComputePlan(MakeSnapshot(state_, observations_, inputs_, Now()));
    Do(plan);
    return plan;
  }
  [[nodiscard]] const v1::Job& job(const std::string& id = "j1") const {
    return FindJob(state_, JobId(id))->job();
  }
  [[nodiscard]] const v1::Attempt& last() const { return *job().attempts().rbegin(); }

  template <typename Message>
  Message& Tell(v1::Report& report, Message* (v1::Report::*fact)()) {
    Message& message = *(report.*fact)();
    message.set_attempt_id(last().attempt_id());
    message.set_fencing_token(last().fencing_token());
    return message;
  }
  void Send(v1::Report report) {
    report.set_sequence(++sequence_);
    Do(WorkerReport{DeviceId(kProfiledBoard), 1, std::move(report)});
  }
  void Begin() {
    v1::Report accepted;
    Tell(accepted, &v1::Report::mutable_accepted);
    Send(accepted);
    v1::Report started;
    Tell(started, &v1::Report::mutable_started);
    Send(started);
  }
  // The receipt of the assigned run by the board's law.
  v1::Receipt ReceiptOf(const v1::Attempt& attempt) {
    const v1::DesiredSet desired = DesiredFor(state_, DeviceId(kProfiledBoard));
    EXPECT_EQ(desired.assignments_size(), 1);
    const v1::JobSpec& spec = desired.assignments(0).spec();
    std::vector<scheduler::InputView> views;
    for (const v1::ResolvedInput& input : desired.assignments(0).inputs()) {
      views.push_back({input.field(), state_.artifacts.at(ArtifactId(input.artifact_id()))});
    }
    const scheduler::WorkAmount work = scheduler::WorkOf(spec, views, state_.profiles).value();
    const bool fast = attempt.power_mode() == "15W";
    const double seconds = seconds_per_unit_ * work.units * (fast ? 1.0 : 1.4) *
                           (1 + 1.0 / work.signature.batch_size());
    const double watts = fast ? 13 : 8;
    v1::Receipt receipt = scheduler::MeasuredReceipt(work, seconds, watts);
    receipt.set_attempt_id(attempt.attempt_id());
    receipt.set_power_mode(attempt.power_mode());
    receipt.mutable_run()->set_gross_energy_joules(seconds * watts);
    *receipt.mutable_total() = receipt.run();
    return receipt;
  }
  void Finish() {
    Begin();
    v1::Report report;
    v1::AttemptFinished& finished = Tell(report, &v1::Report::mutable_finished);
    *finished.mutable_receipt() = ReceiptOf(last());
    Send(report);
  }
  void Fail(v1::FailureClass failure_class, const std::string& message) {
    Begin();
    v1::Report report;
    v1::AttemptFailed& failed = Tell(report, &v1::Report::mutable_failed);
    failed.set_failure_class(failure_class);
    failed.set_message(message);
    Send(report);
  }
  // Plans and finishes runs until the job has ended.
  void RunToTheEnd() {
    for (int i = 0; i < 50 && !IsTerminal(job().state()); ++i) {
      Plan();
      if (job().state() == v1::JOB_STATE_ACTIVE) {
        Finish();
      }
    }
  }
  [[nodiscard]] std::vector<std::string> Points() const {
    std::vector<std::string> points;
    for (const v1::Attempt& attempt : job().attempts()) {
      points.push_back(scheduler::PointWords(attempt.profile_point()));
    }
    return points;
  }
  // Modes and batches in the device's own measured rows.
  [[nodiscard]] std::vector<std::string> MeasuredRows() const {
    std::vector<std::string> rows;
    for (const v1::ProfileRow& row : state_.profiles.Rows()) {
      if (row.source() == v1::PROFILE_SOURCE_MEASURED && !row.device_id().empty()) {
        rows.push_back(absl::StrCat(row.power_mode(), ", batch ", row.signature().batch_size()));
      }
    }
    return rows;
  }

  double seconds_per_unit_ = 1e-3;
  bool is_jetson_ = false;  // With a GPU, and cores beside it.
  State state_;
  Observations observations_;
  PlanningInputs inputs_;
  std::vector<v1::Event> events_;
  absl::Duration elapsed_ = absl::Hours(1);
  int64_t sequence_ = 0;
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_TESTING_PROFILING_FOR_TEST_H_
