// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The simulated shell. Where it differs from the real one it is slower, later and more forgetful.
#include "sim/coordinator.h"

#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

#include "base/check.h"

namespace wattle::sim {
namespace {

constexpr double kTickSeconds = 1.0;
constexpr double kPlanSeconds = 2.0;
constexpr int64_t kSnapshotEveryEvents = 200;
constexpr double kEpochSeconds = 1.8e9;

v1::Event Numbered(const core::Decision& decision, const core::State& state) {
  v1::Event event;
  event.set_sequence(state.last_sequence.value() + static_cast<int64_t>(decision.events.size()) +
                     1);
  event.set_at_unix_seconds(decision.events.empty() ? 0.0
                                                    : decision.events.front().at_unix_seconds());
  return event;
}

}  // namespace

Coordinator::Coordinator(EventLoop& loop, Random& random, const Options& options,
                         const Watch& watch, Send send)
    : loop_(loop),
      random_(random),
      options_(options),
      counts_(watch.counts),
      invariants_(watch.invariants),
      send_(std::move(send)) {
  Restart();
}

core::Instant Coordinator::Now() const {
  return {absl::UnixEpoch() +
              absl::Seconds(kEpochSeconds + loop_.now_seconds() + clock_offset_seconds_),
          Monotonic(absl::Seconds(loop_.now_seconds()))};
}

void Coordinator::Crash() {
  ++counts_.coordinator_crashes;
  counts_.lost_batches += pending_.empty() ? 0 : 1;
  alive_ = false;
  ++life_;
  pending_.clear();
  commit_scheduled_ = false;
  observations_ = {};
}

void Coordinator::Restart() {
  alive_ = true;
  ++life_;
  live_ = {};
  if (snapshot_sequence_ > 0) {
    absl::StatusOr<core::State> state = core::ParseSnapshot(snapshot_);
    WATTLE_CHECK(state.ok(), "a snapshot of ours can be read");
    live_ = *std::move(state);
  }
  for (size_t i = static_cast<size_t>(snapshot_sequence_); i < journal_.size(); ++i) {
    v1::Event event;
    WATTLE_CHECK(event.ParseFromString(journal_[i]), "an event of ours can be read");
    core::Apply(live_, event, core::kReplayed);
  }
  invariants_.OnReplay(durable_, live_);
  observations_.started = Now();
  Every(kTickSeconds, &Coordinator::Tick);
  Every(kPlanSeconds, &Coordinator::Plan);
}

void Coordinator::Every(double interval_seconds, void (Coordinator::*action)()) {
  loop_.After(interval_seconds, [this, interval_seconds, action, life = life_] {
    if (life == life_ && alive_) {
      (this->*action)();
      Every(interval_seconds, action);
    }
  });
}

void Coordinator::SetConnected(const DeviceId& device, bool connected) {
  observations_.devices[device].connected = connected;
}

void Coordinator::Seen(const DeviceId& device, const v1::Heartbeat* heartbeat) {
  core::DeviceObservation& seen = observations_.devices[device];
  seen.last_seen = Now();
  if (heartbeat != nullptr) {
    seen.heartbeat = *heartbeat;
    for (const v1::AttemptProgress& progress : heartbeat->progress()) {
      observations_.progress[AttemptId(progress.attempt_id())] = progress;
    }
  }
}

core::Decision Coordinator::DecideOrMutate(const core::Command& command) const {
  core::Decision decision = core::Decide(live_, command, observations_, Now());
  const auto* report = std::get_if<core::WorkerReport>(&command);
  if (options_.mutant == Mutant::kHighWaterMarkForgotten && report != nullptr &&
      decision.events.empty() && decision.status.ok()) {
    // What a core without a mark would do: the report's effect, once more.
    v1::Event event = Numbered(decision, live_);
    v1::ReportAccepted& accepted = *event.mutable_report_accepted();
    accepted.set_device_id(report->device.value());
    accepted.set_incarnation(report->incarnation);
    accepted.set_sequence(report->report.sequence());
    decision.events.push_back(event);
  }
  if (options_.mutant == Mutant::kTokenForgotten && report != nullptr &&
      report->report.has_finished() && !decision.events.empty()) {
    const AttemptId id(report->report.finished().attempt_id());
    const v1::Attempt* attempt = core::FindAttempt(live_, id);
    if (attempt != nullptr && core::IsTerminal(attempt->state()) && decision.events.size() <= 2) {
      // What a core without tokens would do: take the result.
      v1::Event event = Numbered(decision, live_);
      v1::AttemptStateChanged& finished = *event.mutable_attempt_state_changed();
      finished.set_attempt_id(id.value());
      finished.set_state(v1::ATTEMPT_STATE_FINISHED);
      *finished.mutable_receipt() = report->report.finished().receipt();
      decision.events.push_back(event);
    }
  }
  // An attempt ends by time or by a plan that moves its job, and the job is forgotten.
  if (options_.mutant == Mutant::kRequeueForgotten &&
      (std::holds_alternative<core::Tick>(command) ||
       std::holds_alternative<core::PlanComputed>(command)) &&
      !decision.events.empty() && decision.events.front().has_attempt_state_changed()) {
    decision.events.resize(1);
  }
  return decision;
}

void Coordinator::Post(const core::Command& command, Answered answered) {
  if (!alive_) {
    return;
  }
  Pending pending;
  pending.decision = DecideOrMutate(command);
  pending.answered = std::move(answered);
  for (const v1::Event& event : pending.decision.events) {
    for (core::Effect& effect : core::Apply(live_, event, Now().monotonic)) {
      pending.effects.push_back(effect);
    }
  }
  if (options_.mutant == Mutant::kStateNotReplayable && !pending.decision.events.empty() &&
      random_.Chance(0.01)) {
    ++live_.next_job_number;
  }
  if (!pending.decision.events.empty()) {
    invariants_.OnState(live_);
  }
  if (options_.mutant == Mutant::kEffectsBeforeCommit) {
    CarryOut(pending.decision.effects, live_);
    CarryOut(pending.effects, live_);
  }
  pending_.push_back(std::move(pending));
  if (!commit_scheduled_) {
    commit_scheduled_ = true;
    loop_.After(random_.Between(0.001, 0.2), [this, life = life_] {
      if (life == life_ && alive_) {
        commit_scheduled_ = false;
        Commit();
      }
    });
  }
}

void Coordinator::Commit() {
  std::vector<Pending> batch;
  batch.swap(pending_);
  const SequenceNumber before = durable_.last_sequence;
  ++counts_.commits;
  for (const Pending& pending : batch) {
    for (const v1::Event& event : pending.decision.events) {
      invariants_.OnDurableEvent(event);
      CountEvent(event);
      journal_.push_back(event.SerializeAsString());
      v1::Event again;
      WATTLE_CHECK(again.ParseFromString(journal_.back()), "an event of ours can be read");
      core::Apply(durable_, again, Now().monotonic);
    }
  }
  // Nothing was decided since the batch was taken: both states are of the same event.
  if (durable_.last_sequence != before) {
    invariants_.OnReplay(live_, durable_);
  }
  if (durable_.last_sequence.value() - snapshot_sequence_ >= kSnapshotEveryEvents) {
    snapshot_ = core::SnapshotBytes(durable_);
    snapshot_sequence_ = durable_.last_sequence.value();
  }
  for (const Pending& pending : batch) {
    if (pending.answered) {
      pending.answered(pending.decision);
    }
    CarryOut(pending.decision.effects, durable_);
    CarryOut(pending.effects, durable_);
  }
}

void Coordinator::CarryOut(const std::vector<core::Effect>& effects, const core::State& state) {
  for (const core::Effect& effect : effects) {
    v1::CoordinatorMessage message;
    if (const auto* desired = std::get_if<core::DesiredSetChanged>(&effect)) {
      *message.mutable_desired() = core::DesiredFor(state, desired->device);
      send_(desired->device, message);
    } else if (const auto* acknowledge = std::get_if<core::Acknowledge>(&effect)) {
      if (options_.mutant != Mutant::kAcknowledgementDropped) {
        message.mutable_acknowledgement()->set_incarnation(acknowledge->incarnation);
        message.mutable_acknowledgement()->set_sequence(acknowledge->sequence);
        send_(acknowledge->device, message);
      }
    }
  }
}

void Coordinator::Tick() {
  Post(core::Tick{}, {});
}

void Coordinator::Plan() {
  // The plan takes its time on another thread, and is stale when it comes back.
  scheduler::Snapshot snapshot = core::MakeSnapshot(durable_, observations_, {}, Now());
  if (snapshot.queue.empty()) {
    return;
  }
  auto plan = std::make_shared<core::PlanComputed>(
      core::ComputePlan(std::move(snapshot), core::ProfilesOf(durable_)));
  loop_.After(random_.Between(0.01, 1.5), [this, plan, life = life_] {
    if (life == life_) {
      Post(*plan, {});
    }
  });
}

void Coordinator::CountEvent(const v1::Event& event) {
  ++counts_.events;
  if (event.has_attempt_adopted()) {
    ++counts_.adopted;
  }
  if (event.has_report_accepted() && event.report_accepted().note().starts_with("late:")) {
    ++counts_.late_receipts;
  }
  if (event.has_attempt_state_changed()) {
    const std::string& reason = event.attempt_state_changed().reason();
    counts_.expired_leases += reason.starts_with("lease of") ? 1 : 0;
    counts_.drained_attempts += reason.find("drained") != std::string::npos ? 1 : 0;
  }
  if (event.has_job_state_changed()) {
    const v1::JobState state = event.job_state_changed().state();
    counts_.succeeded_jobs += state == v1::JOB_STATE_SUCCEEDED ? 1 : 0;
    counts_.failed_jobs += state == v1::JOB_STATE_FAILED ? 1 : 0;
    counts_.cancelled_jobs += state == v1::JOB_STATE_CANCELLED ? 1 : 0;
  }
}

}  // namespace wattle::sim
