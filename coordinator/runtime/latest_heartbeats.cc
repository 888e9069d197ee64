// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/latest_heartbeats.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace wattle::runtime {

void LatestHeartbeats::Slot::Take(v1::Heartbeat& heartbeat, const core::Instant& now) {
  absl::MutexLock lock(&mutex_);
  observation_.heartbeat.Swap(&heartbeat);
  observation_.last_seen = now;
  observation_.heartbeat_interval = promised_;
  core::NoteHeartbeat(observation_.heartbeat, now.monotonic, observation_);
  ++version_;
  Chart();
}

// The power in a heartbeat applies to the whole time since the previous heartbeat.
void LatestHeartbeats::Slot::Chart() {
  const auto& told = observation_.heartbeat.progress();
  // The other attempts wait for the link or behind the running one.
  const auto running = std::find_if(told.begin(), told.end(), [](const auto& one) {
    return one.waiting_reason().empty() || one.step() > 0;
  });
  if (running == told.end()) {
    return;
  }
  const v1::AttemptProgress& progress = *running;
  if (progress.attempt_id() != charted_attempt_) {
    charted_attempt_ = progress.attempt_id();
    charted_step_ = 0;
    charted_heldout_loss_ = 0;
    charted_totals_ = {};
    curve_ = {};
  }
  if (progress.step() == charted_step_ || !std::isfinite(progress.elapsed_seconds())) {
    return;  // There is no new step.
  }
  const double length = std::max(0.0, progress.elapsed_seconds() - charted_totals_.seconds);
  charted_step_ = progress.step();
  charted_totals_.seconds += length;
  if (progress.power_watts() > 0.0) {
    charted_totals_.energy_joules += progress.power_watts() * length;
    charted_totals_.covered_seconds += length;
  }
  curve_.AddStep(progress.step(), progress.loss(), charted_totals_);
  if (progress.heldout_loss() != charted_heldout_loss_) {
    charted_heldout_loss_ = progress.heldout_loss();
    curve_.AddHeldoutLoss(charted_heldout_loss_);
  }
}

RunCurve::Points LatestHeartbeats::Slot::CurveOf(const AttemptId& attempt) const {
  absl::MutexLock lock(&mutex_);
  return attempt.value() == charted_attempt_ ? curve_.ToProto() : RunCurve::Points();
}

uint64_t LatestHeartbeats::Slot::Connected(const core::Instant& now, Greeting greeting) {
  absl::MutexLock lock(&mutex_);
  observation_.connected = true;
  observation_.caught_up = greeting.caught_up;
  observation_.results_to_come = std::move(greeting.results_to_come);
  observation_.takes_queued = greeting.takes_queued;
  observation_.last_seen = now;
  observation_.connected_since = now.monotonic;
  ++version_;
  return ++stream_;
}

void LatestHeartbeats::Slot::Greeted(uint64_t stream, Greeting greeting) {
  absl::MutexLock lock(&mutex_);
  if (stream == stream_) {
    observation_.caught_up = greeting.caught_up;
    observation_.results_to_come = std::move(greeting.results_to_come);
    observation_.takes_queued = greeting.takes_queued;
    ++version_;
  }
}

void LatestHeartbeats::Slot::CaughtUp(uint64_t stream) {
  absl::MutexLock lock(&mutex_);
  if (stream == stream_ && !observation_.caught_up) {
    observation_.caught_up = true;
    ++version_;
  }
}

void LatestHeartbeats::Slot::EndCame(uint64_t stream, const AttemptId& attempt) {
  absl::MutexLock lock(&mutex_);
  if (stream == stream_ && observation_.results_to_come.erase(attempt) > 0) {
    ++version_;
  }
}

void LatestHeartbeats::Slot::Promised(uint64_t stream, absl::Duration interval) {
  absl::MutexLock lock(&mutex_);
  if (stream == stream_) {
    promised_ = interval;
    observation_.heartbeat_interval = std::max(observation_.heartbeat_interval, interval);
    ++version_;
  }
}

bool LatestHeartbeats::Slot::Disconnected(uint64_t stream) {
  absl::MutexLock lock(&mutex_);
  if (stream != stream_) {
    return false;
  }
  observation_.connected = false;
  ++version_;
  return true;
}

bool LatestHeartbeats::Slot::CopyIfNewer(uint64_t& version,
                                         core::DeviceObservation& observation) const {
  absl::MutexLock lock(&mutex_);
  if (version_ == version) {
    return false;
  }
  version = version_;
  observation = observation_;
  return true;
}

std::optional<v1::AttemptProgress> LatestHeartbeats::Slot::ProgressOf(
    const AttemptId& attempt) const {
  absl::MutexLock lock(&mutex_);
  for (const v1::AttemptProgress& progress : observation_.heartbeat.progress()) {
    if (progress.attempt_id() == attempt.value()) {
      return progress;
    }
  }
  return std::nullopt;
}

void LatestHeartbeats::Listen(Monotonic now) {
  absl::MutexLock lock(&mutex_);
  standstill_.Note(now);
}

std::shared_ptr<LatestHeartbeats::Slot> LatestHeartbeats::FindSlot(const DeviceId& device) const {
  absl::MutexLock lock(&mutex_);
  const auto it = by_device_.find(device);
  return it == by_device_.end() ? nullptr : it->second;
}

std::shared_ptr<LatestHeartbeats::Slot> LatestHeartbeats::SlotFor(const DeviceId& device) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<Slot>& slot = by_device_[device];
  if (slot == nullptr) {
    slot = std::make_shared<Slot>(device);
    slots_.push_back(slot);
  }
  return slot;
}

std::vector<std::shared_ptr<LatestHeartbeats::Slot>> LatestHeartbeats::Slots() const {
  absl::MutexLock lock(&mutex_);
  return slots_;
}

LatestHeartbeats::Reader LatestHeartbeats::MakeReader() const {
  Reader reader;
  reader.observations.started = started_;
  reader.observations.unreachable_after = settings_.unreachable_after;
  reader.observations.impossible_grace = settings_.impossible_grace;
  reader.observations.hold_impossible = settings_.hold_impossible;
  reader.observations.check_model = settings_.check_model;
  absl::MutexLock lock(&mutex_);
  reader.observations.listening_since = standstill_.since();
  reader.observations.waiting = waiting_;
  return reader;
}

void LatestHeartbeats::Refresh(Reader& reader) const {
  const std::vector<std::shared_ptr<Slot>> slots = Slots();
  reader.versions.resize(slots.size(), 0);
  core::Observations& observations = reader.observations;
  for (size_t i = 0; i < slots.size(); ++i) {
    slots[i]->CopyIfNewer(reader.versions[i], observations.devices[slots[i]->device()]);
  }
  CollectProgress(observations);
  absl::MutexLock lock(&mutex_);
  observations.listening_since = standstill_.since();
  observations.waiting = waiting_;
}

void LatestHeartbeats::SetWaiting(
    std::shared_ptr<const std::map<JobId, core::WaitingJob>> waiting) {
  absl::MutexLock lock(&mutex_);
  waiting_ = std::move(waiting);
}

void LatestHeartbeats::CollectProgress(core::Observations& observations) {
  observations.progress.clear();
  for (const auto& [device, observation] : observations.devices) {
    for (const v1::AttemptProgress& progress : observation.heartbeat.progress()) {
      observations.progress[AttemptId(progress.attempt_id())] = progress;
    }
  }
}

core::Observations LatestHeartbeats::Snapshot() const {
  Reader reader = MakeReader();
  Refresh(reader);
  return std::move(reader.observations);
}

core::Observations LatestHeartbeats::SnapshotOf(const std::vector<DeviceId>& devices) const {
  core::Observations observations = MakeReader().observations;
  for (const DeviceId& device : devices) {
    if (const std::shared_ptr<Slot> slot = FindSlot(device); slot != nullptr) {
      uint64_t version = 0;
      slot->CopyIfNewer(version, observations.devices[device]);
    }
  }
  CollectProgress(observations);
  return observations;
}

}  // namespace wattle::runtime
