// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/counters.h"

#include <algorithm>
#include <cmath>

#include "proto/did_work.h"

namespace wattle::runtime {
namespace {

void ObserveError(double predicted, double measured, telemetry::HistogramValue& histogram) {
  if (predicted > 0 && measured > 0) {
    histogram.Observe(std::abs(predicted - measured) / measured);
  }
}

}  // namespace

void Counters::CountCommands(uint64_t commands) {
  absl::MutexLock lock(&mutex_);
  values_.commands += commands;
}

void Counters::CountRefusedCommand() {
  absl::MutexLock lock(&mutex_);
  ++values_.refused_commands;
}

void Counters::CountPlan(absl::Duration elapsed, int proposals_dropped) {
  absl::MutexLock lock(&mutex_);
  ++values_.plans;
  values_.proposals_dropped += static_cast<uint64_t>(proposals_dropped);
  values_.plan_seconds.Observe(absl::ToDoubleSeconds(elapsed));
}

void Counters::CountSnapshot() {
  absl::MutexLock lock(&mutex_);
  ++values_.snapshots;
}

void Counters::CountCommit(absl::Duration elapsed, absl::Span<const v1::Event> events,
                           const core::State& before) {
  absl::MutexLock lock(&mutex_);
  ++values_.commits;
  values_.events += events.size();
  values_.commit_seconds.Observe(absl::ToDoubleSeconds(elapsed));
  for (const v1::Event& event : events) {
    CountEvent(event, before);
  }
}

void Counters::CountEvent(const v1::Event& event, const core::State& before) {
  if (event.has_job_state_changed()) {
    const v1::JobStateChanged& changed = event.job_state_changed();
    ++values_.jobs_entered[changed.state()];
    if (changed.state() == v1::JOB_STATE_QUEUED) {
      queued_unix_seconds_.emplace(changed.job_id(), event.at_unix_seconds());
    } else {
      queued_unix_seconds_.erase(changed.job_id());
    }
  } else if (event.has_attempt_placed()) {
    if (const auto queued = queued_unix_seconds_.find(event.attempt_placed().job_id());
        queued != queued_unix_seconds_.end()) {
      values_.queue_wait_seconds.Observe(std::max(0.0, event.at_unix_seconds() - queued->second));
      queued_unix_seconds_.erase(queued);
    }
    ++values_.attempts_entered[v1::ATTEMPT_STATE_PLACED];
  } else if (event.has_token_created()) {
    const v1::EnrolmentToken& token = event.token_created().token();
    values_.local_admin_tokens += token.created_by() == kLocalUser && token.role() == "admin";
  } else if (event.has_attempt_state_changed()) {
    const v1::AttemptStateChanged& changed = event.attempt_state_changed();
    // A late receipt repeats the state that the attempt has had since its end, so the attempt must
    // not count again.
    const v1::Attempt* const attempt = core::FindAttempt(before, AttemptId(changed.attempt_id()));
    if (attempt == nullptr || attempt->state() != changed.state()) {
      ++values_.attempts_entered[changed.state()];
      if (changed.state() == v1::ATTEMPT_STATE_FAILED) {
        ++values_.work.failures[changed.receipt().failure_class()];
      }
    }
    const v1::Receipt& receipt = changed.receipt();
    if (DidWork(receipt)) {
      const v1::EnergySource source =
          receipt.emulated() ? v1::ENERGY_SOURCE_EMULATED : receipt.total().source();
      values_.receipt_energy_joules[source] += receipt.total().gross_energy_joules();
      values_.work.Add(changed.state(), receipt);
    }
    if (changed.state() == v1::ATTEMPT_STATE_FINISHED) {
      ObserveError(receipt.predicted().run_seconds().mean(), receipt.run().seconds(),
                   values_.time_error_ratio);
      ObserveError(receipt.predicted().run_energy_joules().mean(),
                   receipt.run().gross_energy_joules(), values_.energy_error_ratio);
    }
  }
}

CounterValues Counters::Values() const {
  absl::MutexLock lock(&mutex_);
  return values_;
}

}  // namespace wattle::runtime
