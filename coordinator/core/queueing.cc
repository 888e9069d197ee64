// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/queueing.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/lineage_internal.h"
#include "proto/state_names.h"
#include "scheduler/place/rules/selector.h"

namespace wattle::core {
namespace {

// If no policy says otherwise.
constexpr int kQueueDepth = 2;

bool HasNotBegun(const v1::Attempt& attempt) {
  return attempt.state() == v1::ATTEMPT_STATE_PLACED ||
         attempt.state() == v1::ATTEMPT_STATE_FETCHING;
}

// A board begins a waiting attempt once the one before ends, whatever its charge: its guard then
// stops the work at the reserve. The coordinator therefore keeps back a job whose place begins more
// than kBehindItsTurnSeconds after its turn, if that turn comes within kTurnSoonSeconds. Until then
// the job may wait on the board, which can continue even without a link.
constexpr double kBehindItsTurnSeconds = 15 * 60;
constexpr double kTurnSoonSeconds = 2 * 60 * 60;
constexpr double kNever = std::numeric_limits<double>::infinity();

int QueuedOn(const State& state, const DeviceId& device) {
  int queued = 0;
  for (const v1::Attempt* const attempt : AttemptsOn(state, device)) {
    queued += IsQueued(state, *attempt) ? 1 : 0;
  }
  return queued;
}

// A place of the plan on a busy device.
struct Place {
  scheduler::QueuePlacement* planned;
  const scheduler::JobView* job;
  double start_in_seconds;
  double finish_in_seconds;
  bool here;  // The job already waits on this device.
};

// Whether the job precedes another one that already waits on a device.
bool Outranks(const scheduler::JobView& job, const scheduler::JobView& other) {
  const bool urgent = job.spec.deadline_seconds() > 0 && other.spec.deadline_seconds() <= 0;
  return job.spec.priority() > other.spec.priority() ||
         (urgent && job.spec.priority() == other.spec.priority());
}

// Drops the places from the first that begins too long after its turn, if that turn comes soon.
void KeepBack(double free_in_seconds, std::vector<Place>& places) {
  const auto kept = std::find_if(places.begin(), places.end(), [&](const Place& place) {
    const double turn = std::exchange(free_in_seconds, place.finish_in_seconds);
    return turn < kTurnSoonSeconds && place.start_in_seconds > turn + kBehindItsTurnSeconds;
  });
  std::for_each(kept, places.end(), [](Place& place) { place.planned->withdraw |= place.here; });
  places.erase(kept, places.end());
}

// free_in: time until the board's attempt ends. REQUIRES: sorted by start.
void ChooseOn(const scheduler::DeviceView& view, absl::Duration free_in,
              std::vector<Place>& places) {
  KeepBack(std::max(0.0, absl::ToDoubleSeconds(free_in)), places);
  int room = view.queue_room;
  for (size_t i = 0; i < places.size() && room > 0; ++i) {
    if (places[i].job->queued_on.has_value()) {
      continue;  // Already waits here, or on a device where it stays until the plan starts it
                 // elsewhere.
    }
    places[i].planned->queue = true;
    --room;
  }
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t behind = i + 1; behind < places.size(); ++behind) {
      places[behind].planned->withdraw |= !places[i].job->queued_on.has_value() &&
                                          places[behind].here &&
                                          Outranks(*places[i].job, *places[behind].job);
    }
  }
  for (auto last = places.rbegin(); last != places.rend() && room < 0; ++last) {
    if (last->here) {
      last->planned->withdraw = true;
      ++room;
    }
  }
}

// Bytes of the artifacts that the attempts of the device and this job read, each counted once, and
// the bytes of those that the device lacks.
struct InputBytes {
  int64_t all = 0;
  int64_t missing = 0;
};
InputBytes InputBytesOf(const State& state, const v1::Heartbeat& heartbeat,
                        const std::vector<const v1::Job*>& jobs) {
  std::set<std::string> ids;
  for (const v1::Job* const job : jobs) {
    for (const v1::ResolvedInput& input : job->inputs()) {
      ids.insert(input.artifact_id());
    }
  }
  InputBytes bytes;
  const auto& cached = heartbeat.cached_artifact_ids();
  for (const std::string& id : ids) {
    const v1::ArtifactInfo* const artifact = state.artifacts.Find(ArtifactId(id));
    const int64_t size = artifact == nullptr ? 0 : artifact->size_bytes();
    bytes.all += size;
    bytes.missing += std::find(cached.begin(), cached.end(), id) == cached.end() ? size : 0;
  }
  return bytes;
}

}  // namespace

std::vector<const v1::Attempt*> AttemptsOn(const State& state, const DeviceId& device) {
  std::vector<const v1::Attempt*> attempts;
  if (const auto* const wanted = state.wanted_attempts.Find(device); wanted != nullptr) {
    for (const auto& [token, id] : *wanted) {
      attempts.push_back(FindAttempt(state, id));
    }
  }
  return attempts;
}

bool IsQueued(const State& state, const v1::Attempt& attempt) {
  return HasNotBegun(attempt) && !AheadOf(state, attempt).empty();
}

std::string AheadOf(const State& state, const v1::Attempt& attempt) {
  std::string ahead;
  for (const v1::Attempt* const other : AttemptsOn(state, DeviceId(attempt.device_id()))) {
    if (other->attempt_id() == attempt.attempt_id()) {
      return ahead;
    }
    ahead = other->attempt_id();
  }
  return "";
}

const v1::Attempt* RunningOn(const State& state, const DeviceId& device) {
  const v1::Attempt* running = nullptr;
  for (const v1::Attempt* const attempt : AttemptsOn(state, device)) {
    if (!IsQueued(state, *attempt)) {
      running = attempt;
    }
  }
  return running;
}

bool MayWithdraw(const State& state, const Observations& observations, const v1::Attempt& attempt,
                 Monotonic now) {
  return IsQueued(state, attempt) && !attempt.released() &&
         IsReachable(observations, DeviceId(attempt.device_id()), now);
}

int QueueDepth(const State& state, const v1::DeviceInfo& device) {
  std::optional<int> depth;
  for (const auto& [name, policy] : state.policies) {
    if (policy.has_device_queue_depth() && scheduler::Selects(policy, device)) {
      depth = std::min(depth.value_or(policy.device_queue_depth()), policy.device_queue_depth());
    }
  }
  return depth.value_or(kQueueDepth);
}

int QueueRoom(const State& state, const Observations& observations, const DeviceId& device,
              Monotonic now) {
  const v1::DeviceRecord* const record = FindDevice(state, device);
  const v1::Attempt* const running = RunningOn(state, device);
  const auto seen = observations.devices.find(device);
  if (record == nullptr || record->drained() || !MayWork(state, device) || running == nullptr ||
      running->released() || seen == observations.devices.end() || !seen->second.takes_queued ||
      !IsCaughtUp(observations, device) || !IsReachable(observations, device, now)) {
    return 0;
  }
  return QueueDepth(state, record->info()) - QueuedOn(state, device);
}

void ChooseQueued(const scheduler::Snapshot& snapshot, const std::vector<absl::Time>& free_at,
                  std::vector<scheduler::QueuePlacement>& jobs) {
  std::map<std::string, const scheduler::JobView*> views;
  for (const scheduler::JobView& view : snapshot.queue) {
    views[view.id.value()] = &view;
  }
  std::map<std::string, std::vector<Place>> places;
  std::set<std::string> released;
  for (scheduler::QueuePlacement& planned : jobs) {
    const std::string& device = planned.placement.device_id();
    const auto view = views.find(planned.job.value());
    if (view == views.end() || planned.profile_point.has_value()) {
      continue;
    }
    const scheduler::JobView& job = *view->second;
    const bool here = job.queued_on.has_value() && job.queued_on->value() == device;
    if (device.empty()) {
      if (job.queued_on.has_value()) {  // Its device refuses it beyond the plan's horizon.
        places[job.queued_on->value()].push_back({&planned, &job, kNever, kNever, /*here=*/true});
      }
    } else if (!planned.placement.wait()) {
      planned.withdraw = job.queued_on.has_value() && !here;
    } else if (!planned.releases.value().empty()) {
      released.insert(device);
    } else {
      places[device].push_back({&planned, &job, planned.placement.best(0).start_in_seconds(),
                                planned.placement.best(0).finish_in_seconds(), here});
    }
  }
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    const scheduler::DeviceView& view = snapshot.devices[i];
    const auto on = places.find(view.device.info().device_id());
    if (on != places.end() && !released.contains(on->first)) {
      std::stable_sort(on->second.begin(), on->second.end(), [](const Place& a, const Place& b) {
        return a.start_in_seconds < b.start_in_seconds;
      });
      ChooseOn(view, free_at[i] - snapshot.now, on->second);
    }
  }
}

bool MayQueue(const DecisionBuilder& builder, const v1::Job& job,
              const scheduler::QueuePlacement& planned, const NewlyQueued& queued) {
  const State& state = builder.state();
  const DeviceId device(planned.placement.device_id());
  const auto more = queued.attempts.find(device);
  const int new_ones = more == queued.attempts.end() ? 0 : static_cast<int>(more->second.size());
  if (QueueRoom(state, builder.observations(), device, builder.now().monotonic) <= new_ones) {
    return false;
  }
  std::vector<const v1::Job*> jobs = {&job};
  for (const v1::Attempt* const attempt : AttemptsOn(state, device)) {
    jobs.push_back(&FindJob(state, JobId(attempt->job_id()))->job());
  }
  for (int i = 0; i < new_ones; ++i) {
    const AttemptId id(more->second[static_cast<size_t>(i)]);
    jobs.push_back(&FindJob(state, JobId(JobIdOf(id)))->job());
  }
  const v1::Heartbeat& heartbeat = builder.observations().devices.at(device).heartbeat;
  const int64_t quota = FindDevice(state, device)->info().cache_quota_bytes();
  const InputBytes bytes = InputBytesOf(state, heartbeat, jobs);
  return (quota <= 0 || bytes.all <= quota) &&
         (heartbeat.disk_free_bytes() <= 0 || bytes.missing <= heartbeat.disk_free_bytes());
}

std::string LastOn(const State& state, const NewlyQueued& queued, const DeviceId& device) {
  const auto more = queued.attempts.find(device);
  return more != queued.attempts.end() ? more->second.back()
                                       : AttemptsOn(state, device).back()->attempt_id();
}

double LeasesAhead(const State& state, const NewlyQueued& queued, const DeviceId& device) {
  const auto more = queued.lease_seconds.find(device);
  if (more != queued.lease_seconds.end()) {
    return more->second;
  }
  double longest = 0;
  for (const v1::Attempt* const attempt : AttemptsOn(state, device)) {
    longest = std::max(longest, LeaseSecondsOf(*attempt));
  }
  return longest;
}

void Withdraw(DecisionBuilder& builder, const v1::Attempt& attempt, const std::string& reason) {
  if (!MayWithdraw(builder.state(), builder.observations(), attempt, builder.now().monotonic)) {
    return;
  }
  v1::AttemptReleased& released = *builder.Add().mutable_attempt_released();
  released.set_attempt_id(attempt.attempt_id());
  released.set_reason(reason);
}

}  // namespace wattle::core
