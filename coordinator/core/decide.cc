// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Decide: passes each command to its overload, and has the overloads of the short commands.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/lineage_internal.h"
#include "coordinator/core/power_groups.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/state.h"
#include "coordinator/core/upgrades.h"
#include "policy/heartbeat_interval.h"
#include "policy/limits.h"
#include "proto/job_kind.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/snapshot.h"

namespace wattle::core {
namespace {

void Decide(DecisionBuilder& builder, const CancelJob& command) {
  const v1::JobRecord* record = FindJob(builder.state(), command.job);
  if (record == nullptr) {
    builder.Refuse(absl::NotFoundError(
        absl::StrCat("no job \"", command.job.value(), "\"; 'wattle jobs' lists them")));
    return;
  }
  const v1::Job& job = record->job();
  builder.decision().id = job.job_id();
  if (job.state() == v1::JOB_STATE_CANCELLED) {
    return;  // The job is cancelled already; a repeated request succeeds.
  }
  if (IsTerminal(job.state())) {
    builder.Refuse(absl::FailedPreconditionError(
        absl::StrCat("job ", job.job_id(), " has ended: ", job.reason())));
    return;
  }
  const std::string reason =
      command.reason.empty() ? "cancelled" : absl::StrCat("cancelled: ", command.reason);
  if (const v1::Attempt* live = LiveAttempt(job); live != nullptr) {
    builder.SetAttempt(*live, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
  }
  builder.EndJob(job, v1::JOB_STATE_CANCELLED, reason, "");
}

// The device that a command names, as the decision's id; null: none, and the command is refused.
const v1::DeviceRecord* NamedDevice(DecisionBuilder& builder, const DeviceId& id) {
  const v1::DeviceRecord* record = FindDevice(builder.state(), id);
  if (record == nullptr) {
    builder.Refuse(absl::NotFoundError(absl::StrCat("no device \"", id.value(), "\"")));
  } else {
    builder.decision().id = id.value();
  }
  return record;
}

void Decide(DecisionBuilder& builder, const DrainDevice& command) {
  const v1::DeviceRecord* record = NamedDevice(builder, command.device);
  if (record == nullptr || record->drained()) {
    return;
  }
  v1::DeviceDrained& drained = *builder.Add().mutable_device_drained();
  drained.set_device_id(command.device.value());
  drained.set_reason(command.reason);
  for (const v1::Attempt* const attempt : AttemptsOn(builder.state(), command.device)) {
    if (attempt->state() == v1::ATTEMPT_STATE_PLACED) {
      // The device may never have received the attempt, and would then not report its stop. If the
      // device did receive it, its joules are booked when its report comes.
      const std::string reason =
          absl::StrCat(record->info().name(), " was drained before it accepted");
      builder.SetAttempt(*attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
      builder.Requeue(attempt->job_id(), reason);
    }
  }
}

void Decide(DecisionBuilder& builder, const ResumeDevice& command) {
  const v1::DeviceRecord* record = NamedDevice(builder, command.device);
  if (record == nullptr) {
    return;
  }
  if (record->drained()) {
    builder.Add().mutable_device_resumed()->set_device_id(command.device.value());
  }
  if (!record->problem().empty()) {
    // A person has seen the problem. If it persists, the next refusal records it again.
    builder.Add().mutable_device_problem_changed()->set_device_id(command.device.value());
  }
}

void Decide(DecisionBuilder& builder, const ApplyPolicy& command) {
  if (absl::Status valid = ValidatePolicy(command.policy); !valid.ok()) {
    builder.Refuse(valid);
    return;
  }
  if (absl::Status agree = CheckPowerGroupsWith(builder.state(), command.policy); !agree.ok()) {
    builder.Refuse(agree);
    return;
  }
  builder.decision().id = command.policy.name();
  const auto known = builder.state().policies.find(command.policy.name());
  if (known != builder.state().policies.end() &&
      known->second.SerializeAsString() == command.policy.SerializeAsString()) {
    return;
  }
  *builder.Add().mutable_policy_applied()->mutable_policy() = command.policy;
}

void Decide(DecisionBuilder& builder, const DeletePolicy& command) {
  if (!builder.state().policies.contains(command.name)) {
    builder.Refuse(absl::NotFoundError(
        absl::StrCat("no policy \"", command.name, "\"; 'wattle policy ls' lists them")));
    return;
  }
  builder.Add().mutable_policy_deleted()->set_name(command.name);
}

void Decide(DecisionBuilder& builder, const CountRefusals& command) {
  *builder.Add().mutable_refusals_counted() = command.counted;
}

}  // namespace

Decision Decide(const State& state, const Command& command, const Observations& observations,
                const Instant& now) {
  DecisionBuilder builder(state, observations, now);
  std::visit(
      [&builder](const auto& one) {
        if constexpr (requires { one.reason; }) {
          if (absl::Status valid = ValidateText("reason", one.reason); !valid.ok()) {
            builder.Refuse(std::move(valid));
            return;
          }
        }
        Decide(builder, one);
      },
      command);
  return std::move(builder.decision());
}

absl::Duration PromisedInterval(const v1::DesiredSet& desired, absl::Duration wanted) {
  std::vector<const v1::Policy*> policies;
  for (const v1::Policy& policy : desired.policies()) {
    policies.push_back(&policy);
  }
  return policy::HeartbeatInterval(policy::LimitsOf(policies), wanted);
}

namespace {

// Everything that the attempt's device needs to run it.
v1::Assignment AssignmentOf(const State& state, const v1::Attempt& attempt) {
  const v1::JobRecord& job_record = *FindJob(state, JobId(attempt.job_id()));
  const v1::Job& job = job_record.job();
  v1::Assignment assignment;
  assignment.set_attempt_id(attempt.attempt_id());
  assignment.set_job_id(job.job_id());
  assignment.set_fencing_token(attempt.fencing_token());
  *assignment.mutable_spec() = job.spec();
  if (attempt.has_profile_point()) {
    *assignment.mutable_spec() = ProfileRunOf(job.spec(), attempt.profile_point());
    *assignment.mutable_profile_point() = attempt.profile_point();
  }
  for (const v1::ResolvedInput& input : job.inputs()) {
    if (input.field() == scheduler::kFloorModelsField) {
      continue;  // The device runs one of them.
    }
    v1::ResolvedInput& wanted_input = *assignment.add_inputs();
    wanted_input = input;
    if (input.field() == kModelInput && attempt.has_model_choice()) {
      wanted_input.set_artifact_id(attempt.model_choice().artifact_id());
      wanted_input.set_reference(attempt.model_choice().model());
    }
    const v1::ArtifactInfo* const model =
        IsModelField(input.field()) ? state.artifacts.Find(ArtifactId(wanted_input.artifact_id()))
                                    : nullptr;
    if (model != nullptr) {
      *wanted_input.mutable_signatures() = model->signatures();
    }
  }
  // A board runs jobs of all projects in the same way, and an older one would refuse the unknown
  // field.
  assignment.mutable_spec()->clear_project();
  assignment.mutable_spec()->clear_accelerator();
  if (attempt.on_cpu()) {
    assignment.mutable_spec()->set_accelerator(v1::ACCELERATOR_CPU);  // A board that offers both.
  }
  assignment.set_lease_seconds(attempt.lease_seconds());
  assignment.set_power_mode(attempt.power_mode());
  assignment.set_on_cpu(attempt.on_cpu());
  if (attempt.has_prediction()) {
    *assignment.mutable_prediction() = attempt.prediction();
  }
  *assignment.mutable_placement() = attempt.placement();
  assignment.set_resume_attempt_id(attempt.resume_attempt_id());
  assignment.set_after_attempt_id(attempt.after_attempt_id());
  if (job_record.has_checkpoint()) {
    assignment.set_checkpoint_artifact_id(job_record.checkpoint().artifact_id());
    assignment.set_checkpoint_step(job_record.checkpoint().step());
  }
  return assignment;
}

}  // namespace

v1::DesiredSet DesiredFor(const State& state, const DeviceId& device) {
  v1::DesiredSet desired;
  const v1::DeviceRecord* record = FindDevice(state, device);
  if (record == nullptr) {
    return desired;
  }
  if (!MayWork(state, device)) {
    return desired;  // The device may not see anything of the fleet.
  }
  desired.set_drained(record->drained());
  for (const auto& [name, policy] : state.policies) {
    if (scheduler::Selects(policy, record->info())) {
      *desired.add_policies() = policy;
    }
  }
  if (const auto jobs = state.jobs_of_device.find(device); jobs != state.jobs_of_device.end()) {
    for (const int64_t number : jobs->second) {
      desired.add_keep_checkpoint_job_ids(absl::StrCat("j", number));
    }
  }
  if (std::optional<v1::UpgradeOrder> order = UpgradeOrderFor(state, device)) {
    *desired.mutable_upgrade() = *std::move(order);
  }
  for (const v1::Attempt* const attempt : AttemptsOn(state, device)) {
    if (record->drained() || attempt->released()) {
      v1::ReleaseAttempt& release = *desired.add_releases();
      release.set_attempt_id(attempt->attempt_id());
      release.set_fencing_token(attempt->fencing_token());
      release.set_reason(record->drained() ? record->drain_reason() : attempt->reason());
    } else {
      *desired.add_assignments() = AssignmentOf(state, *attempt);
    }
  }
  return desired;
}

}  // namespace wattle::core
