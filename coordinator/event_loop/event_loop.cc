// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/event_loop/event_loop.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/check.h"
#include "base/fault_point.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/state.h"

namespace wattle::event_loop {
namespace {

template <typename T>
void MoveInto(std::vector<T>& from, std::vector<T>& to) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
}

// Sorts effects by kind and removes repetitions.
class Sorter {
 public:
  explicit Sorter(Released& released) : released_(released) {}

  void operator()(const core::DesiredSetChanged& effect) {
    released_.desired.insert(effect.device);
  }
  void operator()(const core::Acknowledge& effect) {
    if (WATTLE_FAULT_POINT("acknowledgement")) {
      return;
    }
    int64_t& sequence = acknowledged_[{effect.device, effect.incarnation}];
    sequence = std::max(sequence, effect.sequence);
  }
  void operator()(const core::QueueChanged& /*effect*/) { released_.queue_changed = true; }
  void operator()(const core::JobChanged& effect) { released_.jobs.insert(effect.job); }

  void Finish() {
    for (const auto& [key, sequence] : acknowledged_) {
      released_.acknowledgements.push_back({key.first, key.second, sequence});
    }
  }

 private:
  Released& released_;
  std::map<std::pair<DeviceId, int64_t>, int64_t> acknowledged_;
};

// The plan as one string. Plans with equal placements and reasons have equal strings.
std::string Fingerprint(const core::PlanComputed& plan) {
  std::string text;
  for (const scheduler::QueuePlacement& job : plan.jobs) {
    absl::StrAppend(&text, job.job.value(), "\n", job.placement.device_id(), "\n",
                    job.placement.wait(), "\n", job.never, "\n", job.placement.reason(), "\n");
  }
  return text;
}

// Only the audit reads the caller, so the core neither writes nor applies it.
void NoteCaller(const v1::EventCaller& caller, std::vector<v1::Event>& events) {
  if (caller.identity().empty() && caller.address().empty()) {
    return;
  }
  for (v1::Event& event : events) {
    *event.mutable_caller() = caller;
  }
}

bool PlacesSomething(const core::PlanComputed& plan) {
  return !plan.moves.empty() ||
         std::any_of(plan.jobs.begin(), plan.jobs.end(), [](const auto& job) {
           return (!job.placement.device_id().empty() && !job.placement.wait()) || job.queue ||
                  job.withdraw || !job.releases.value().empty();
         });
}

}  // namespace

void Ready::Add(Ready later) {
  MoveInto(later.events_, events_);
  MoveInto(later.answers_, answers_);
  MoveInto(later.effects_, effects_);
}

Released Ready::Durable(SequenceNumber sequence) && {
  WATTLE_CHECK(events_.empty() || events_.back().sequence() <= sequence.value(),
               "nothing is told before it is durable");
  Released released;
  released.answers = std::move(answers_);
  Sorter sorter(released);
  for (const core::Effect& effect : effects_) {
    std::visit(sorter, effect);
  }
  sorter.Finish();
  return released;
}

Ready EventLoop::Step(Request request, const core::Observations& observations,
                      const core::Instant& now) {
  core::Decision decision = core::Decide(state_, request.command, observations, now);
  NoteCaller(request.caller, decision.events);
  Ready ready;
  ready.effects_ = std::move(decision.effects);
  for (const v1::Event& event : decision.events) {
    std::vector<core::Effect> effects = core::Apply(state_, event, now.monotonic);
    MoveInto(effects, ready.effects_);
  }
  ready.events_ = std::move(decision.events);
  if (request.done) {
    ready.answers_.push_back(
        {std::move(request.done),
         {std::move(decision.status), std::move(decision.id), decision.existed}});
  }
  return ready;
}

namespace {

// Recovers from the snapshot; if `snapshot` is 0, only from events.
absl::StatusOr<core::State> RecoverFrom(const Recorded& recorded, int64_t snapshot) {
  core::State state;
  if (snapshot > 0) {
    core::SnapshotReader reader;
    WATTLE_RETURN_IF_ERROR(recorded.read_snapshot(
        snapshot, [&reader](absl::string_view row) { return reader.Take(row); }));
    WATTLE_ASSIGN_OR_RETURN(state, std::move(reader).Finish());
  }
  WATTLE_RETURN_IF_ERROR(
      recorded.replay(state.last_sequence.value(), [&state](const v1::Event& event) {
        core::Apply(state, event, core::kReplayed);
        return absl::OkStatus();
      }));
  return state;
}

}  // namespace

absl::StatusOr<core::State> Recover(const Recorded& recorded) {
  if (recorded.snapshots.empty()) {
    return RecoverFrom(recorded, 0);
  }
  std::vector<std::string> problems;
  for (const int64_t snapshot : recorded.snapshots) {
    absl::StatusOr<core::State> state = RecoverFrom(recorded, snapshot);
    if (state.ok() || !absl::IsDataLoss(state.status())) {
      return state;
    }
    problems.emplace_back(state.status().message());
    if (recorded.passed_over) {
      recorded.passed_over(snapshot, state.status());
    }
  }
  return absl::DataLossError(
      absl::StrCat("journal: no snapshot leads to the last event (", absl::StrJoin(problems, "; "),
                   "); restore a backup: wattle-coordinator restore --replace"));
}

absl::Status CheckSnapshot(const core::State& state, const GiveRows& stored) {
  core::SnapshotReader reader;
  WATTLE_RETURN_IF_ERROR(stored([&](absl::string_view row) { return reader.Take(row); }));
  WATTLE_ASSIGN_OR_RETURN(const core::State back, std::move(reader).Finish());
  WATTLE_ASSIGN_OR_RETURN(const uint32_t found, core::SnapshotDigest(back));
  WATTLE_ASSIGN_OR_RETURN(const uint32_t wanted, core::SnapshotDigest(state));
  return found == wanted ? absl::OkStatus()
                         : absl::DataLossError("what was stored reads back as another state");
}

v1::Welcome WelcomeFor(const core::State& durable, const DeviceId& device, int64_t incarnation,
                       const WelcomeSettings& settings) {
  v1::Welcome welcome;
  welcome.set_coordinator_unix_seconds(core::ToUnix(settings.now));
  welcome.set_heartbeat_seconds(absl::ToDoubleSeconds(settings.heartbeat_interval));
  welcome.set_protocol(core::kProtocol);
  welcome.set_lineage_id(durable.lineage_id);
  welcome.set_epoch(core::EpochOf(durable));
  welcome.set_opening_id(core::OpeningOf(durable));
  if (const v1::ReportMark* mark = core::FindMark(durable, device, incarnation); mark != nullptr) {
    welcome.set_acknowledged_sequence(mark->sequence());
    welcome.set_acknowledged_digest(mark->digest());
  }
  return welcome;
}

bool WantsFreshObservations(const core::Command& command) {
  return std::holds_alternative<core::Tick>(command) ||
         std::holds_alternative<core::PlanComputed>(command) ||
         std::holds_alternative<core::RemoveDevice>(command);
}

bool PlanFilter::WorthPosting(const core::PlanComputed& plan) {
  std::string fingerprint = Fingerprint(plan);
  if (!PlacesSomething(plan) && fingerprint == last_) {
    return false;
  }
  last_ = std::move(fingerprint);
  return true;
}

}  // namespace wattle::event_loop
