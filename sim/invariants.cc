// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The checks, which use only the events and the world's truth, not the core's reasoning.
#include "sim/invariants.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "proto/job_kind.h"

namespace wattle::sim {
namespace {

// The running attempt, the largest queue that a policy allows behind it, and as many attempts whose
// results wait for the link.
constexpr size_t kAttemptsOfADeviceMax = 1 + 2 * 16;
// The checks and the core sum energy in different orders.
constexpr double kRelativeTolerance = 1e-6;
constexpr double kJoulesTolerance = 1e-3;
// Leases are checked once a tick, on a clock that started with the process.
constexpr double kLeaseTolerance = 1e-6;
// From this coverage on the profile learns the watts of a run (scheduler/profiles/learn.cc).
constexpr double kTeachingCoverage = 0.8;
// A run begins and ends between two readings, and a little of its time may be missing.
constexpr double kWattsTolerance = 0.1;
// A longer lease than this lets a device work to the end of its attempt.
constexpr double kYearSeconds = 366 * 86400.0;

// The hash over the chain before the event and the event's bytes.
uint64_t Chain(uint64_t before, const v1::Event& event) {
  uint64_t hash = before ^ 0xcbf29ce484222325u;
  for (const char byte : event.SerializeAsString()) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  }
  return hash;
}

// Least time that the coordinator waits for a silent device. For a device that works to the end of
// its attempt this is the longest time of its run, because another device may have joined.
double AwaitedSeconds(double lease_seconds, const v1::Prediction& prediction) {
  return lease_seconds < kYearSeconds
             ? lease_seconds
             : prediction.run_seconds().high() *
                   (prediction.time_scale() > 0.0 ? prediction.time_scale() : 1.0);
}

double Sum(const v1::EnergyLedger& ledger) {
  return ledger.attempt_energy_joules() + ledger.idle_energy_joules() +
         ledger.overhead_energy_joules();
}

}  // namespace

void Invariants::Break(const std::string& what) {
  if (breach_.empty()) {
    breach_ = what;
  }
}

void Invariants::OnReplayed(const v1::Event& event) {
  const auto live = chain_.find(event.sequence());
  if (event.sequence() <= model_.last_sequence && live != chain_.end() &&
      live->second != Chain(chain_[event.sequence() - 1], event)) {
    Break(absl::StrCat("event ", event.sequence(), " differs in the journal from the live one"));
  }
}

void Invariants::OnDurable(const std::vector<v1::Event>& events) {
  touched_.clear();
  for (const v1::Event& event : events) {
    if (event.sequence() != model_.last_sequence + 1) {
      Break(absl::StrCat("event ", event.sequence(), " after ", model_.last_sequence));
    }
    last_chain_ = Chain(chain_[model_.last_sequence], event);
    chain_[event.sequence()] = last_chain_;
    model_.last_sequence = event.sequence();
    if (trace_) {
      std::fprintf(stderr, "%s\n", event.ShortDebugString().c_str());
    }
    OnEvent(event);
    if (const std::string breach = model_.upgrades.OnEvent(event); !breach.empty()) {
      Break(breach);
    }
    if (const std::string breach = model_.learning.OnEvent(event); !breach.empty()) {
      Break(breach);
    }
  }
  for (const std::string& id : touched_) {
    const JobModel& job = model_.jobs[id];
    const int wanted = job.state == v1::JOB_STATE_ACTIVE ? 1 : 0;
    if (job.live != wanted) {
      Break(absl::StrCat(id, " is ", v1::JobState_Name(job.state), " with ", job.live,
                         " live attempts"));
    }
    if (!job.profile && job.finished != (job.state == v1::JOB_STATE_SUCCEEDED ? 1 : 0)) {
      Break(absl::StrCat(id, " is ", v1::JobState_Name(job.state), " with ", job.finished,
                         " committed results"));
    }
  }
}

void Invariants::OnEvent(const v1::Event& event) {
  switch (event.event_case()) {
    case v1::Event::kJobSubmitted:
      return OnSubmitted(event.job_submitted());
    case v1::Event::kJobArchived:
      return OnArchived(event.job_archived());
    case v1::Event::kJobInputResolved:
      model_.jobs[event.job_input_resolved().job_id()].inputs.insert(
          event.job_input_resolved().artifact_id());
      return;
    case v1::Event::kArtifactRemoved:
      return OnRemoved(event.artifact_removed());
    case v1::Event::kArtifactCommitted:
      model_.evicted.erase(event.artifact_committed().info().artifact_id());
      return;
    case v1::Event::kJobStateChanged:
      return OnJob(event.job_state_changed());
    case v1::Event::kAttemptPlaced:
      return OnPlaced(event.attempt_placed());
    case v1::Event::kAttemptRecovered:
      return OnRecovered(event.attempt_recovered());
    case v1::Event::kAttemptAdopted:
      return OnAdopted(event.attempt_adopted());
    case v1::Event::kAttemptStateChanged:
      return OnAttempt(event.attempt_state_changed());
    case v1::Event::kReportAccepted:
      return OnReport(event.report_accepted());
    case v1::Event::kLedgerRecorded:
      return OnLedger(event.ledger_recorded());
    case v1::Event::kIdentityRevoked:
    case v1::Event::kIdentityEnrolled:
    case v1::Event::kDeviceApproved:
    case v1::Event::kDeviceDoubled:
      OnRoot(event);
      return OnAccess(event);
    case v1::Event::kIdentityRenewed:
    case v1::Event::kAuthorityRetired:
      return OnRoot(event);
    default:
      return;  // No check depends on this event.
  }
}

void Invariants::OnAccess(const v1::Event& event) {
  if (event.has_identity_revoked()) {
    model_.shut_out.insert(event.identity_revoked().id());
  } else if (event.has_device_doubled()) {
    model_.shut_out.insert(event.device_doubled().device_id());
  } else if (event.has_device_approved()) {
    model_.shut_out.erase(event.device_approved().device_id());
  } else if (event.identity_enrolled().identity().waits_for_approval()) {
    model_.shut_out.insert(event.identity_enrolled().identity().id());
  } else {
    model_.shut_out.erase(event.identity_enrolled().identity().id());
  }
}

// A root may be removed only once no identity depends on it.
void Invariants::OnRoot(const v1::Event& event) {
  if (event.has_identity_renewed()) {
    model_.roots[event.identity_renewed().id()] = event.identity_renewed().root_sha256();
  } else if (event.has_identity_enrolled()) {
    const v1::IdentityRecord& identity = event.identity_enrolled().identity();
    model_.roots[identity.id()] = identity.root_sha256();
  } else if (event.has_identity_revoked()) {
    model_.roots.erase(event.identity_revoked().id());
  } else if (event.has_authority_retired()) {
    for (const auto& [identity, root] : model_.roots) {
      if (root == event.authority_retired().root_sha256()) {
        Break(absl::StrCat(root, " was retired, and ", identity, " has a certificate under it"));
      }
    }
  }
}

// The watts learned from a run must agree, within their stated error, with the board's draw in its
// modes.
void Invariants::CheckTaught(const v1::AttemptStateChanged& changed) {
  const v1::EnergyMeasurement& run = changed.receipt().run();
  if (run.coverage_ratio() < kTeachingCoverage || run.mean_power_watts() <= 0.0) {
    return;
  }
  const auto power = truth_.WorkPowerOf(changed.receipt().device_id());
  if (!power) {
    return;
  }
  // A rail that was silent for a while counts joules from one or the other side of a step, and the
  // receipt says so.
  const double covered_seconds = run.gross_energy_joules() / run.mean_power_watts();
  const double least = run.gross_energy_joules_low() / covered_seconds;
  const double most = run.gross_energy_joules_high() / covered_seconds;
  if (most < power->low.value() * (1.0 - kWattsTolerance) ||
      least > power->high.value() * (1.0 + kWattsTolerance)) {
    Break(absl::StrCat(changed.attempt_id(), " teaches ", least, " to ", most, " W of ",
                       changed.receipt().device_id(), ", which draws ", power->low.value(), " to ",
                       power->high.value(), " W at work"));
  }
}

void Invariants::OnSubmitted(const v1::JobSubmitted& submitted) {
  const std::string& id = submitted.job_id();
  std::string& key = keys_of_jobs_[id];
  if (!key.empty() && key != submitted.idempotency_key()) {
    Break(absl::StrCat(id, " was given twice, to ", key, " and to ", submitted.idempotency_key()));
  }
  key = submitted.idempotency_key();
  std::string& job = model_.jobs_of_keys[key];
  if (!job.empty()) {
    Break(absl::StrCat("the submit ", key, " made two jobs, ", job, " and ", id));
  }
  job = id;
  JobModel& model = model_.jobs[id];
  model.state = v1::JOB_STATE_UNSPECIFIED;
  model.profile = KindOf(submitted.spec()).wraps_workload;
  if (submitted.spec().has_apart()) {
    model.group = submitted.spec().apart().group();
    model_.groups[model.group].push_back(id);
  }
  for (const v1::ResolvedInput& input : submitted.inputs()) {
    model.inputs.insert(input.artifact_id());
  }
}

void Invariants::OnArchived(const v1::JobArchived& archived) {
  const v1::Job& job = archived.job();
  const auto model = model_.jobs.find(job.job_id());
  if (model == model_.jobs.end() || model->second.state != job.state() ||
      !IsTerminal(job.state())) {
    Break(absl::StrCat(job.job_id(), " went to the history as ", v1::JobState_Name(job.state()),
                       ", its events say otherwise"));
    return;
  }
  model->second.archived = true;
  // From now on only the history has the job.
  if (job.attempts_size() != model->second.attempts ||
      job.output_artifact_id() != model->second.output) {
    Break(absl::StrCat(job.job_id(), " went to the history with ", job.attempts_size(),
                       " attempts and the result \"", job.output_artifact_id(),
                       "\"; its events say ", model->second.attempts, " and \"",
                       model->second.output, "\""));
  }
  for (const v1::Attempt& attempt : job.attempts()) {
    const auto known = model_.attempts.find(attempt.attempt_id());
    if (known == model_.attempts.end() || known->second.state != attempt.state() ||
        attempt.receipt().SerializeAsString() != known->second.receipt) {
      Break(absl::StrCat(attempt.attempt_id(), " went to the history as ",
                         v1::AttemptState_Name(attempt.state()),
                         ", its state or its receipt is not that of its events"));
    }
  }
}

void Invariants::OnRemoved(const v1::ArtifactRemoved& removed) {
  if (removed.names_only()) {
    return;
  }
  model_.evicted.insert(removed.artifact_id());
  for (const auto& [id, job] : model_.jobs) {
    if (!IsTerminal(job.state) && job.inputs.contains(removed.artifact_id())) {
      Break(absl::StrCat("artifact ", removed.artifact_id(), " was evicted, and ", id,
                         " is to run on it"));
    }
  }
}

void Invariants::SetAttempt(AttemptModel& attempt, v1::AttemptState state) {
  JobModel& job = model_.jobs[attempt.job_id];
  touched_.insert(attempt.job_id);
  job.live -= IsTerminal(attempt.state) ? 0 : 1;
  job.finished -= attempt.state == v1::ATTEMPT_STATE_FINISHED ? 1 : 0;
  attempt.state = state;
  job.live += IsTerminal(state) ? 0 : 1;
  job.finished += state == v1::ATTEMPT_STATE_FINISHED ? 1 : 0;
}

// Another job of the group holds a board while it has an attempt there, and with its result until
// it is archived.
void Invariants::CheckAntiAffinity(const v1::AttemptPlaced& placed) {
  const std::string& group = model_.jobs[placed.job_id()].group;
  if (group.empty()) {
    return;
  }
  for (const std::string& id : model_.groups[group]) {
    const JobModel& mate = model_.jobs[id];
    const bool holds = mate.live > 0 || (mate.finished > 0 && !mate.archived);
    const auto attempt = model_.attempts.find(mate.current);
    if (id != placed.job_id() && holds && attempt != model_.attempts.end() &&
        attempt->second.device_id == placed.device_id()) {
      Break(absl::StrCat(placed.attempt_id(), " was placed on ", placed.device_id(), " beside ",
                         mate.current, " of its group ", group));
    }
  }
}

void Invariants::OnPlaced(const v1::AttemptPlaced& placed) {
  if (!tokens_.insert(placed.fencing_token()).second) {
    Break(absl::StrCat("token ", placed.fencing_token(), " was given twice"));
  }
  if (model_.shut_out.contains(placed.device_id())) {
    Break(absl::StrCat(placed.attempt_id(), " was placed on ", placed.device_id(),
                       ", which was revoked or waits for approval"));
  }
  if (const std::string why = truth_.WhyNoWork(placed.device_id()); !why.empty()) {
    Break(absl::StrCat(placed.attempt_id(), " was placed on ", placed.device_id(), ": ", why));
  }
  CheckAntiAffinity(placed);
  AttemptModel& attempt = model_.attempts[placed.attempt_id()];
  if (!attempt.job_id.empty()) {
    Break(absl::StrCat(placed.attempt_id(), " was placed twice"));
    return;
  }
  attempt.job_id = placed.job_id();
  attempt.device_id = placed.device_id();
  attempt.lease_seconds = AwaitedSeconds(placed.lease_seconds(), placed.prediction());
  JobModel& job = model_.jobs[placed.job_id()];
  ++job.attempts;
  ++job.live;
  job.current = placed.attempt_id();
  touched_.insert(placed.job_id());
}

void Invariants::OnRecovered(const v1::AttemptRecovered& recovered) {
  AttemptModel& attempt = model_.attempts[recovered.attempt_id()];
  if (attempt.job_id.empty()) {
    attempt.job_id = recovered.job_id();
    attempt.device_id = recovered.device_id();
    attempt.lease_seconds = AwaitedSeconds(recovered.lease_seconds(), {});
    attempt.state = v1::ATTEMPT_STATE_SUPERSEDED;
    ++model_.jobs[recovered.job_id()].attempts;
  }
  if (recovered.current() && model_.shut_out.contains(recovered.device_id())) {
    Break(absl::StrCat(recovered.attempt_id(), " goes on on ", recovered.device_id(),
                       ", which was revoked or waits for approval"));
  }
  SetAttempt(attempt, recovered.current() ? recovered.state() : v1::ATTEMPT_STATE_SUPERSEDED);
  if (recovered.current()) {
    model_.jobs[recovered.job_id()].current = recovered.attempt_id();
  }
}

void Invariants::OnAttempt(const v1::AttemptStateChanged& changed) {
  const auto found = model_.attempts.find(changed.attempt_id());
  if (found == model_.attempts.end()) {
    Break(absl::StrCat(changed.attempt_id(), " became ", v1::AttemptState_Name(changed.state()),
                       " and was never placed"));
    return;
  }
  AttemptModel& attempt = found->second;
  SetAttempt(attempt, changed.state());
  if (changed.has_receipt()) {
    attempt.receipt = changed.receipt().SerializeAsString();
  }
  if (changed.state() == v1::ATTEMPT_STATE_FINISHED) {
    CheckTaught(changed);
  }
  if (changed.state() == v1::ATTEMPT_STATE_FINISHED &&
      model_.jobs[attempt.job_id].current != changed.attempt_id()) {
    Break(absl::StrCat(changed.attempt_id(), " was committed, and ",
                       model_.jobs[attempt.job_id].current, " has the higher token"));
  }
}

void Invariants::OnDecided(const std::vector<v1::Event>& events) {
  for (const v1::Event& event : events) {
    const v1::AttemptStateChanged& changed = event.attempt_state_changed();
    const auto found = model_.attempts.find(changed.attempt_id());
    if (changed.state() != v1::ATTEMPT_STATE_SUPERSEDED || found == model_.attempts.end() ||
        IsTerminal(found->second.state) || changed.has_receipt() ||
        !absl::StartsWith(changed.reason(), "lease of")) {
      continue;  // A late receipt repeats the reason.
    }
    const AttemptModel& attempt = found->second;
    const double silence_seconds = truth_.SilenceSeconds(attempt.device_id);
    if (silence_seconds < attempt.lease_seconds * (1.0 - kLeaseTolerance)) {
      Break(absl::StrCat("the lease of ", changed.attempt_id(), " (", attempt.lease_seconds,
                         " s) ended although its device was heard of ", silence_seconds,
                         " s before"));
    }
  }
}

void Invariants::OnAdopted(const v1::AttemptAdopted& adopted) {
  const auto superseded = model_.attempts.find(adopted.superseded_attempt_id());
  if (superseded != model_.attempts.end() && !IsTerminal(superseded->second.state)) {
    SetAttempt(superseded->second, v1::ATTEMPT_STATE_SUPERSEDED);
  }
  const auto attempt = model_.attempts.find(adopted.attempt_id());
  if (attempt == model_.attempts.end()) {
    Break(absl::StrCat(adopted.attempt_id(), " was adopted and never placed"));
    return;
  }
  model_.jobs[attempt->second.job_id].current = adopted.attempt_id();
  touched_.insert(attempt->second.job_id);
}

void Invariants::OnJob(const v1::JobStateChanged& changed) {
  JobModel& job = model_.jobs[changed.job_id()];
  if (IsTerminal(job.state)) {
    Break(absl::StrCat(changed.job_id(), " had ended (", v1::JobState_Name(job.state),
                       ") and became ", v1::JobState_Name(changed.state())));
  }
  job.state = changed.state();
  job.output = changed.output_artifact_id();
  touched_.insert(changed.job_id());
}

void Invariants::OnReport(const v1::ReportAccepted& report) {
  int64_t& mark = model_.marks[{report.device_id(), report.incarnation()}];
  if (report.sequence() != mark + 1) {
    Break(absl::StrCat("report ", report.sequence(), " of ", report.device_id(),
                       " was taken after ", mark, ": lost or applied twice"));
  }
  mark = report.sequence();
  // Reports of a board that waits for approval have no effect.
  if (absl::StartsWith(report.note(), "unknown attempt") ||
      model_.shut_out.contains(report.device_id())) {
    unbooked_.insert(report.device_id());
  }
}

void Invariants::OnLedger(const v1::LedgerRecorded& recorded) {
  const v1::EnergyLedger& ledger = recorded.ledger();
  v1::EnergyLedger& before = model_.ledgers[recorded.device_id()];
  for (const double joules : {ledger.attempt_energy_joules() - before.attempt_energy_joules(),
                              ledger.idle_energy_joules() - before.idle_energy_joules(),
                              ledger.overhead_energy_joules() - before.overhead_energy_joules()}) {
    if (joules < -kJoulesTolerance) {
      Break(absl::StrCat("the ledger of ", recorded.device_id(), " went back by ", -joules, " J"));
    }
  }
  before = ledger;
  const double drawn = truth_.Drawn(recorded.device_id()).value();
  if (Sum(ledger) > drawn * (1.0 + kRelativeTolerance) + kJoulesTolerance) {
    Break(absl::StrCat("the ledger of ", recorded.device_id(), " has ", Sum(ledger),
                       " J, the device drew ", drawn));
  }
}

void Invariants::OnAcknowledged(const std::string& device_id, int64_t incarnation,
                                int64_t sequence) {
  if (sequence > model_.marks[{device_id, incarnation}]) {
    Break(absl::StrCat("report ", sequence, " of ", device_id,
                       " was acknowledged before it was durable"));
  }
}

void Invariants::CheckState(const core::State& state) {
  std::map<DeviceId, std::map<int64_t, AttemptId>> wanted;
  for (const auto& [number, record] : state.jobs) {
    const v1::Job& job = record.job();
    const auto model = model_.jobs.find(job.job_id());
    if (model == model_.jobs.end() || model->second.state != job.state()) {
      Break(absl::StrCat(job.job_id(), " is ", v1::JobState_Name(job.state()),
                         ", its events say otherwise"));
    }
    for (const v1::Attempt& attempt : job.attempts()) {
      if (!IsTerminal(attempt.state()) &&
          !wanted[DeviceId(attempt.device_id())]
               .emplace(attempt.fencing_token(), AttemptId(attempt.attempt_id()))
               .second) {
        Break(absl::StrCat(attempt.device_id(), " is wanted to run two attempts of one token"));
      }
      if (attempt.state() == v1::ATTEMPT_STATE_FINISHED &&
          attempt.receipt().output_artifact_id() != job.output_artifact_id()) {
        Break(absl::StrCat(job.job_id(), ": its output is not the finished attempt's"));
      }
    }
  }
  for (const auto& [device, attempts] : wanted) {
    const auto* const indexed = state.wanted_attempts.Find(device);
    if (indexed == nullptr || *indexed != attempts) {
      Break(absl::StrCat("the index of wanted attempts of ", device.value(),
                         " is not what the jobs have"));
    }
    if (attempts.size() > kAttemptsOfADeviceMax) {
      Break(absl::StrCat(device.value(), " is to hold ", attempts.size(), " attempts"));
    }
  }
  if (wanted.size() != state.wanted_attempts.size()) {
    Break("the index of wanted attempts has a device for which the jobs have none");
  }
}

Invariants::Past Invariants::Remember() const {
  return {model_};
}

void Invariants::GoBackTo(const Past& past) {
  model_ = past.model;
}

}  // namespace wattle::sim
