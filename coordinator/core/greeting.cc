// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Answers the hello of a worker. Pure.
#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/lineage_internal.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/state.h"
#include "scheduler/predict/measured_rates.h"

namespace wattle::core {
namespace {

// The device's description without the idle watts, which the device measures repeatedly and reports
// in heartbeats.
std::string HardwareOf(v1::DeviceInfo info) {
  info.clear_idle_power_watts();
  return info.SerializeAsString();
}

// Removes rates that no board of the class can have, so that nothing is learned from them; the
// device's findings name them.
void LeaveOutBadRates(v1::DeviceInfo& info) {
  const auto told = info.rates();
  info.clear_rates();
  for (const v1::MeasuredRates& rates : told) {
    const std::string problem = scheduler::RateProblemOn(info, rates);
    if (problem.empty()) {
      *info.add_rates() = rates;
    } else {
      info.add_findings(absl::StrCat(
          "measured rates", rates.power_mode().empty() ? "" : " of power mode ", rates.power_mode(),
          " are not used: ", problem, "; run 'wattle-worker probe --rates' again"));
    }
  }
}

// A drained or released device that no longer holds an attempt will never report its stop.
void EndNotHeld(DecisionBuilder& builder, const v1::Hello& hello, const v1::DeviceRecord& record) {
  const State& state = builder.state();
  for (const v1::Attempt* const attempt : AttemptsOn(state, DeviceId(hello.device().device_id()))) {
    const bool held = std::any_of(
        hello.attempts().begin(), hello.attempts().end(), [&](const v1::HeldAttempt& one) {
          // A hello of version 0.1 names no tokens.
          return one.attempt_id() == attempt->attempt_id() &&
                 (one.fencing_token() == 0 || one.fencing_token() == attempt->fencing_token());
        });
    if (held || !(record.drained() || attempt->released())) {
      continue;
    }
    const std::string reason =
        record.drained() ? absl::StrCat(hello.device().name(), " is drained and does not hold it")
                         : attempt->reason();
    builder.SetAttempt(*attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    builder.Requeue(attempt->job_id(), reason);
  }
}

void SetProblem(DecisionBuilder& builder, const v1::DeviceInfo& device, absl::string_view problem) {
  v1::DeviceProblemChanged& changed = *builder.Add().mutable_device_problem_changed();
  changed.set_device_id(device.device_id());
  changed.set_problem(std::string(problem));
}

// A worker with an unsupported protocol appears among the devices, with its version and the remedy.
void RefuseProtocol(DecisionBuilder& builder, const v1::Hello& hello, const absl::Status& problem) {
  const v1::DeviceRecord* const record =
      FindDevice(builder.state(), DeviceId(hello.device().device_id()));
  builder.Refuse(problem);
  if (record == nullptr || record->removed() ||
      record->info().worker_version() != hello.device().worker_version()) {
    v1::DeviceRegistered& registered = *builder.Add().mutable_device_registered();
    *registered.mutable_info() = hello.device();
    registered.mutable_info()->clear_rates();
    registered.set_incarnation(hello.incarnation());
  }
  if (record == nullptr || record->problem().empty() ||
      (IsProtocolProblem(record->problem()) && record->problem() != problem.message())) {
    SetProblem(builder, hello.device(), problem.message());
  }
}

}  // namespace

void Decide(DecisionBuilder& builder, const WorkerHello& command) {
  const v1::Hello& hello = command.hello;
  if (absl::Status valid = ValidateHello(hello); !valid.ok()) {
    builder.Refuse(valid);
    return;
  }
  if (const absl::Status served = CheckProtocol(hello); !served.ok()) {
    RefuseProtocol(builder, hello, served);
    return;
  }
  if (!command.rival.empty()) {
    RefuseRival(builder, command);
    return;
  }
  if (!CheckLineage(builder, hello) ||
      (IsOfThisOpening(builder.state(), hello) && !CheckIdentity(builder, hello))) {
    return;
  }
  const State& state = builder.state();
  const DeviceId device(hello.device().device_id());
  v1::DeviceInfo info = hello.device();
  if (info.time_scale() == 0.0) {
    info.set_time_scale(1.0);
  }
  LeaveOutBadRates(info);
  const v1::DeviceRecord* record = FindDevice(state, device);
  if (record == nullptr || record->incarnation() != hello.incarnation() || record->removed() ||
      HardwareOf(record->info()) != HardwareOf(info)) {
    v1::DeviceRegistered& registered = *builder.Add().mutable_device_registered();
    *registered.mutable_info() = info;
    registered.set_incarnation(hello.incarnation());
  }
  const v1::ReportMark* known = FindMark(state, device, hello.incarnation());
  const int64_t mark = known == nullptr ? 0 : known->sequence();
  if (record != nullptr && IsProtocolProblem(record->problem())) {
    SetProblem(builder, info, "");
  }
  if (record != nullptr) {
    EndNotHeld(builder, hello, *record);
  }
  if (IsOfThisOpening(state, hello) && MayWork(state, device)) {
    RecoverHeldAttempts(builder, hello);
  }
  Decision& decision = builder.decision();
  decision.id = device.value();
  decision.effects.emplace_back(Acknowledge{device, hello.incarnation(), mark});
  decision.effects.emplace_back(DesiredSetChanged{device});
  decision.effects.emplace_back(QueueChanged{});
}

}  // namespace wattle::core
