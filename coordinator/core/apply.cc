// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Apply: changes the state as an event says, and nothing else. The meaning of an event never
// changes; a new rule is a new event.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"
#include "coordinator/core/core.h"
#include "coordinator/core/index_internal.h"
#include "coordinator/core/lineage.h"
#include "scheduler/place/selector.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {
namespace {

constexpr int kReportMarksMax = 16;  // the latest incarnations of a device that are remembered
constexpr size_t kRestoreFindingsMax = 1000;

// The job's record, writable. Events name only jobs that exist.
v1::JobRecord& Job(State& state, const std::string& job_id) {
  const std::optional<int64_t> number = JobNumber(job_id);
  WATTLE_CHECK(number.has_value() && state.jobs.contains(*number), "events name known jobs");
  return state.jobs.Mutable(*number);
}

v1::Attempt& AttemptOf(v1::JobRecord& record, const std::string& attempt_id) {
  for (v1::Attempt& attempt : *record.mutable_job()->mutable_attempts()) {
    if (attempt.attempt_id() == attempt_id) {
      return attempt;
    }
  }
  WATTLE_CHECK(false, "events name known attempts");
}

std::string JobOfAttempt(const std::string& attempt_id) {
  return attempt_id.substr(0, attempt_id.find('.'));
}

// Adds the job to the counts; with sign -1 subtracts it.
void AddToCounts(State& state, int64_t job_number, const CountedJob& job, int64_t sign) {
  if (job.state == v1::JOB_STATE_UNSPECIFIED) {
    return;  // Not counted yet.
  }
  state.job_counts[job.state] += sign;
  for (const auto& [attempt_state, attempts] : job.attempts) {
    state.attempt_counts[attempt_state] += sign * attempts;
  }
  const bool ended = IsTerminal(job.state);
  const std::pair<double, int64_t> end(job.finished_unix_seconds, job_number);
  if (sign > 0 && ended) {
    state.ended_jobs.insert(end);
  } else if (sign > 0) {
    state.open_jobs.insert(job_number);
  } else if (ended) {
    state.ended_jobs.erase(end);
  } else {
    state.open_jobs.erase(job_number);
  }
}

class Applier {
 public:
  Applier(State& state, const v1::Event& event, std::optional<Monotonic> now)
      : state_(state), sequence_(event.sequence()), at_(event.at_unix_seconds()), now_(now) {}

  void On(const v1::JobSubmitted& event) {
    const int64_t number = *JobNumber(event.job_id());
    v1::JobRecord& record = state_.jobs.Mutable(number);
    record.set_idempotency_key(event.idempotency_key());
    v1::Job& job = *record.mutable_job();
    job.set_job_id(event.job_id());
    *job.mutable_spec() = event.spec();
    job.set_state(v1::JOB_STATE_WAITING);
    job.set_submitted_unix_seconds(at_);
    *job.mutable_inputs() = event.inputs();
    state_.next_job_number = number + 1;
    state_.job_times.Mutable(number).submitted = now_;
    state_.job_by_idempotency_key.Mutable(event.idempotency_key()) = number;
    Changed(number);
  }

  void On(const v1::JobStateChanged& event) {
    v1::JobRecord& record = Job(state_, event.job_id());
    v1::Job& job = *record.mutable_job();
    JobTimes& times = state_.job_times.Mutable(*JobNumber(event.job_id()));
    if (event.state() != job.state()) {
      times.changed = sequence_;
    }
    if (event.impossible() && !record.impossible()) {
      times.impossible = now_;
    }
    job.set_state(event.state());
    job.set_reason(event.reason());
    record.set_not_before_unix_seconds(event.not_before_unix_seconds());
    record.set_backoff_seconds(BackoffSeconds(event));
    times.queued = now_;
    record.set_impossible(event.impossible());
    if (event.state() == v1::JOB_STATE_SUCCEEDED) {
      job.set_output_artifact_id(event.output_artifact_id());
    }
    if (IsTerminal(event.state())) {
      job.set_finished_unix_seconds(at_);
      // The history keeps the explanations, which are most of a job's bytes (store/history.h).
      for (v1::Attempt& attempt : *job.mutable_attempts()) {
        attempt.clear_placement();
      }
    }
    Changed(*JobNumber(event.job_id()));
    if (IsTerminal(event.state()) && now_.has_value()) {
      JobTimes& end = state_.job_times.Mutable(*JobNumber(event.job_id()));
      end = JobTimes();
      end.ended = now_;
      end.changed = sequence_;
    }
    effects_.emplace_back(QueueChanged{});
  }

  void On(const v1::JobInputResolved& event) {
    for (v1::ResolvedInput& input : *Job(state_, event.job_id()).mutable_job()->mutable_inputs()) {
      if (input.field() == event.field()) {
        input.set_artifact_id(event.artifact_id());
      }
    }
    Changed(*JobNumber(event.job_id()));
  }

  void On(const v1::AttemptPlaced& event) {
    v1::Attempt& attempt = *Job(state_, event.job_id()).mutable_job()->add_attempts();
    attempt.set_attempt_id(event.attempt_id());
    attempt.set_job_id(event.job_id());
    attempt.set_device_id(event.device_id());
    attempt.set_fencing_token(event.fencing_token());
    attempt.set_state(v1::ATTEMPT_STATE_PLACED);
    attempt.set_reason(event.placement().reason());
    attempt.set_placed_unix_seconds(at_);
    attempt.set_lease_seconds(event.lease_seconds());
    attempt.set_power_mode(event.power_mode());
    attempt.set_resume_attempt_id(event.resume_attempt_id());
    if (event.has_model_choice()) {
      *attempt.mutable_model_choice() = event.model_choice();
    }
    if (event.has_prediction()) {
      *attempt.mutable_prediction() = event.prediction();
    } else if (event.placement().best_size() > 0) {
      // An event of version 0.1 has the decision only as the first candidate of its explanation.
      *attempt.mutable_prediction() = event.placement().best(0).prediction();
      attempt.set_power_mode(event.placement().best(0).power_mode());
    }
    *attempt.mutable_placement() = event.placement();
    state_.attempt_times.Mutable(AttemptId(event.attempt_id())) = {now_, now_, std::nullopt};
    state_.next_fencing_token = FencingToken(event.fencing_token() + 1);
    Changed(*JobNumber(event.job_id()));
    effects_.emplace_back(DesiredSetChanged{DeviceId(event.device_id())});
  }

  void On(const v1::AttemptRecovered& event) {
    v1::Attempt& attempt = *Job(state_, event.job_id()).mutable_job()->add_attempts();
    attempt.set_attempt_id(event.attempt_id());
    attempt.set_job_id(event.job_id());
    attempt.set_device_id(event.device_id());
    attempt.set_fencing_token(event.fencing_token());
    attempt.set_state(event.current() ? event.state() : v1::ATTEMPT_STATE_SUPERSEDED);
    attempt.set_reason("the device told of it after the restore");
    attempt.set_placed_unix_seconds(at_);
    attempt.set_lease_seconds(event.lease_seconds());
    attempt.set_power_mode(event.power_mode());
    if (event.current()) {
      attempt.set_accepted_unix_seconds(at_);
    } else {
      attempt.set_finished_unix_seconds(at_);
    }
    state_.attempt_times.Mutable(AttemptId(event.attempt_id())) = {now_, now_, std::nullopt};
    Changed(*JobNumber(event.job_id()));
  }

  void On(const v1::AttemptReleased& event) {
    const std::string job_id = JobOfAttempt(event.attempt_id());
    v1::Attempt& attempt = AttemptOf(Job(state_, job_id), event.attempt_id());
    attempt.set_released(true);
    attempt.set_reason(event.reason());
    state_.attempt_times.Mutable(AttemptId(event.attempt_id())).released = now_;
    effects_.emplace_back(DesiredSetChanged{DeviceId(attempt.device_id())});
    Changed(*JobNumber(job_id));
  }

  void On(const v1::JobCheckpointStored& event) {
    *Job(state_, event.job_id()).mutable_checkpoint() = event;
    Changed(*JobNumber(event.job_id()));
  }

  void On(const v1::JournalOpened& event) {
    state_.lineage_id = event.lineage_id();
    v1::Opening& opening = state_.openings.emplace_back();
    opening.set_epoch(event.epoch());
    opening.set_opening_id(event.opening_id());
    opening.set_at_unix_seconds(at_);
    opening.set_copied_sequence(event.copied_sequence());
    opening.set_reason(event.reason());
    opening.set_next_job_number(state_.next_job_number);
    state_.restore_findings.clear();
    // In an epoch above 0 the numbers begin above all numbers of earlier epochs.
    state_.next_job_number =
        std::max(state_.next_job_number, event.epoch() * kJobNumbersOfAnEpoch + 1);
    state_.next_fencing_token =
        std::max(state_.next_fencing_token, FencingToken((event.epoch() << kTokenCounterBits) + 1));
    effects_.emplace_back(QueueChanged{});
  }

  void On(const v1::RestoreFinding& event) {
    state_.restore_findings.push_back(event);
    if (state_.restore_findings.size() > kRestoreFindingsMax) {
      state_.restore_findings.erase(state_.restore_findings.begin());
    }
  }

  void On(const v1::DeviceProblemChanged& event) {
    state_.devices.Mutable(DeviceId(event.device_id())).set_problem(event.problem());
    effects_.emplace_back(QueueChanged{});
  }

  void On(const v1::AttemptStateChanged& event) {
    const std::string job_id = JobOfAttempt(event.attempt_id());
    v1::Attempt& attempt = AttemptOf(Job(state_, job_id), event.attempt_id());
    const bool ended_before = IsTerminal(attempt.state());
    if (event.state() == v1::ATTEMPT_STATE_FETCHING && attempt.accepted_unix_seconds() == 0) {
      attempt.set_accepted_unix_seconds(at_);
    }
    if (event.state() != attempt.state()) {
      state_.attempt_times.Mutable(AttemptId(event.attempt_id())).state = now_;
    }
    attempt.set_state(event.state());
    attempt.set_reason(event.reason());
    attempt.set_reached_step(std::max(attempt.reached_step(), event.reached_step()));
    if (event.has_receipt()) {
      *attempt.mutable_receipt() = event.receipt();
    }
    if (event.state() == v1::ATTEMPT_STATE_RUNNING && attempt.started_unix_seconds() == 0.0) {
      attempt.set_started_unix_seconds(at_);
    }
    if (IsTerminal(event.state()) && !ended_before) {
      attempt.set_finished_unix_seconds(at_);
      effects_.emplace_back(DesiredSetChanged{DeviceId(attempt.device_id())});
      effects_.emplace_back(QueueChanged{});
    }
    Changed(*JobNumber(job_id));
  }

  void On(const v1::AttemptAdopted& event) {
    const std::string job_id = JobOfAttempt(event.attempt_id());
    v1::JobRecord& record = Job(state_, job_id);
    if (!event.superseded_attempt_id().empty()) {
      v1::Attempt& newer = AttemptOf(record, event.superseded_attempt_id());
      newer.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
      newer.set_reason("the complete result of " + event.attempt_id() + " arrived first");
      newer.set_finished_unix_seconds(at_);
      effects_.emplace_back(DesiredSetChanged{DeviceId(newer.device_id())});
    }
    Changed(*JobNumber(job_id));
  }

  // From now on the history answers for the job. The job stays in the counts.
  void On(const v1::JobArchived& event) {
    const int64_t number = *JobNumber(event.job().job_id());
    const CountedJob& counted = state_.counted_jobs.at(number);
    ++state_.archived_jobs[counted.state];
    for (const auto& [attempt_state, attempts] : counted.attempts) {
      state_.archived_attempts[attempt_state] += attempts;
    }
    state_.ended_jobs.erase({counted.finished_unix_seconds, number});
    state_.job_by_idempotency_key.erase(event.idempotency_key());
    state_.jobs.erase(number);
    state_.counted_jobs.erase(number);
    state_.job_times.erase(number);
  }

  void On(const v1::DeviceRegistered& event) {
    const DeviceId id(event.info().device_id());
    v1::DeviceRecord& record = state_.devices.Mutable(id);
    if (record.first_seen_unix_seconds() == 0.0) {
      record.set_first_seen_unix_seconds(at_);
    }
    *record.mutable_info() = event.info();
    record.set_incarnation(event.incarnation());
    record.set_removed(false);
    record.set_registered_unix_seconds(at_);
    state_.device_changed.Mutable(id) = sequence_;
    effects_.emplace_back(DesiredSetChanged{id});
    effects_.emplace_back(QueueChanged{});
  }

  void On(const v1::DeviceDrained& event) { SetDrained(event.device_id(), true, event.reason()); }
  void On(const v1::DeviceResumed& event) { SetDrained(event.device_id(), false, ""); }

  void On(const v1::DeviceRemoved& event) {
    const DeviceId id(event.device_id());
    state_.devices.Mutable(id).set_removed(true);
    state_.device_changed.Mutable(id) = sequence_;
    effects_.emplace_back(QueueChanged{});
  }

  void On(const v1::ReportAccepted& event) {
    auto& marks = *state_.devices.Mutable(DeviceId(event.device_id())).mutable_marks();
    bool known = false;
    for (v1::ReportMark& mark : marks) {
      if (mark.incarnation() == event.incarnation()) {
        mark.set_sequence(event.sequence());
        mark.set_digest(event.digest());
        known = true;
      }
    }
    if (!known) {
      v1::ReportMark& mark = *marks.Add();
      mark.set_incarnation(event.incarnation());
      mark.set_sequence(event.sequence());
      mark.set_digest(event.digest());
      if (marks.size() > kReportMarksMax) {
        marks.erase(marks.begin());
      }
    }
    effects_.emplace_back(
        Acknowledge{DeviceId(event.device_id()), event.incarnation(), event.sequence()});
  }

  void On(const v1::LedgerRecorded& event) {
    v1::DeviceRecord& record = state_.devices.Mutable(DeviceId(event.device_id()));
    *record.mutable_ledger() = event.ledger();
    *record.mutable_ledger_base() = event.base();
    record.set_ledger_incarnation(event.incarnation());
  }

  void On(const v1::PolicyApplied& event) {
    v1::Policy& policy = state_.policies.Mutable(event.policy().name());
    const v1::Policy before = std::exchange(policy, event.policy());
    PolicyChanged(before, policy);
  }
  void On(const v1::PolicyDeleted& event) {
    const v1::Policy* const found = state_.policies.Find(event.name());
    WATTLE_CHECK(found != nullptr, "events delete known policies");
    const v1::Policy before = *found;
    state_.policies.erase(event.name());
    PolicyChanged(before, before);
  }

  void On(const v1::ArtifactCommitted& event) {
    const ArtifactId id(event.info().artifact_id());
    v1::ArtifactInfo& info = state_.artifacts.Mutable(id);
    state_.artifact_bytes += event.info().size_bytes() - info.size_bytes();
    info = event.info();
    if (!event.info().name().empty()) {
      state_.artifact_names.Mutable(event.info().name()) = id;
    }
    effects_.emplace_back(QueueChanged{});
  }

  void On(const v1::ArtifactRemoved& event) {
    const ArtifactId id(event.artifact_id());
    for (const std::string& name : event.names()) {
      state_.artifact_names.erase(name);
    }
    const v1::ArtifactInfo* info = state_.artifacts.Find(id);
    if (!event.names_only() && info != nullptr) {
      state_.artifact_bytes -= info->size_bytes();
      state_.artifacts.erase(id);
    }
  }

  void On(const v1::ModelMeasured& event) {
    const ArtifactId id(event.artifact_id());
    if (!state_.artifacts.contains(id)) {
      return;
    }
    v1::ArtifactInfo& info = state_.artifacts.Mutable(id);
    if (event.bits_per_weight() > 0) {
      info.set_bits_per_weight(event.bits_per_weight());
    }
    if (event.stored_bytes() > 0) {
      info.set_stored_bytes(event.stored_bytes());
    }
    if (event.has_quality()) {
      *info.mutable_quality() = event.quality();
    }
    effects_.emplace_back(QueueChanged{});
  }

  void On(const v1::ProfileUpdated& event) {
    for (const v1::ProfileRow& row : event.rows()) {
      // The rows were checked when they were learned. A row that no longer passes is left out, and
      // serves no prediction.
      (void)state_.profiles.Put(row);
    }
    effects_.emplace_back(QueueChanged{});
  }

  std::vector<Effect> TakeEffects() { return std::move(effects_); }

 private:
  void Changed(int64_t job_number) {
    IndexJob(state_, job_number);
    effects_.emplace_back(JobChanged{JobId(state_.jobs.at(job_number).job().job_id())});
  }

  void SetDrained(const std::string& device_id, bool drained, const std::string& reason) {
    v1::DeviceRecord& record = state_.devices.Mutable(DeviceId(device_id));
    record.set_drained(drained);
    record.set_drain_reason(reason);
    state_.device_changed.Mutable(DeviceId(device_id)) = sequence_;
    effects_.emplace_back(DesiredSetChanged{DeviceId(device_id)});
    effects_.emplace_back(QueueChanged{});
  }

  // For a new policy `before` is empty and selects no device.
  void PolicyChanged(const v1::Policy& before, const v1::Policy& after) {
    for (const auto& [id, record] : state_.devices) {
      const bool selected = !before.name().empty() && scheduler::Selects(before, record.info());
      if (selected || scheduler::Selects(after, record.info())) {
        state_.device_changed.Mutable(id) = sequence_;
        effects_.emplace_back(DesiredSetChanged{id});
      }
    }
    effects_.emplace_back(QueueChanged{});
  }

  // An event of version 0.1 has only the wall-clock time of the backoff's end.
  [[nodiscard]] double BackoffSeconds(const v1::JobStateChanged& event) const {
    return event.backoff_seconds() == 0.0 && event.not_before_unix_seconds() > at_
               ? event.not_before_unix_seconds() - at_
               : event.backoff_seconds();
  }

  State& state_;
  SequenceNumber sequence_;
  double at_;
  std::optional<Monotonic> now_;
  std::vector<Effect> effects_;
};

}  // namespace

void IndexJob(State& state, int64_t job_number) {
  const v1::Job& job = state.jobs.at(job_number).job();
  CountedJob now;
  now.state = job.state();
  now.finished_unix_seconds = job.finished_unix_seconds();
  for (const v1::Attempt& attempt : job.attempts()) {
    ++now.attempts[attempt.state()];
  }
  CountedJob& counted = state.counted_jobs.Mutable(job_number);
  AddToCounts(state, job_number, counted, -1);
  AddToCounts(state, job_number, now, 1);
  counted = std::move(now);
  const auto times = state.job_times.find(job_number);
  if (IsTerminal(job.state()) && times != state.job_times.end() &&
      !times->second.ended.has_value()) {
    state.job_times.erase(job_number);  // The job's end was replayed; no process has its time.
  }
  for (const v1::Attempt& attempt : job.attempts()) {
    const DeviceId device(attempt.device_id());
    const std::set<int64_t>* const jobs = state.jobs_of_device.Find(device);
    const bool keeps = jobs != nullptr && jobs->contains(job_number);
    if (IsTerminal(job.state())) {
      state.attempt_times.erase(AttemptId(attempt.attempt_id()));
      if (keeps) {
        state.jobs_of_device.Mutable(device).erase(job_number);
      }
    } else if (!keeps) {
      state.jobs_of_device.Mutable(device).insert(job_number);
    }
    const AttemptId* wanted = state.wanted_attempt.Find(device);
    if (job.state() == v1::JOB_STATE_ACTIVE && !IsTerminal(attempt.state())) {
      state.wanted_attempt.Mutable(device) = AttemptId(attempt.attempt_id());
    } else if (wanted != nullptr && wanted->value() == attempt.attempt_id()) {
      state.wanted_attempt.erase(device);
    }
  }
}

std::vector<Effect> Apply(State& state, const v1::Event& event, std::optional<Monotonic> now) {
  WATTLE_CHECK(event.sequence() == state.last_sequence.value() + 1, "events have no gaps");
  state.last_sequence = SequenceNumber(event.sequence());
  Applier applier(state, event, now);
  switch (event.event_case()) {
    case v1::Event::kJobSubmitted:
      applier.On(event.job_submitted());
      break;
    case v1::Event::kJobStateChanged:
      applier.On(event.job_state_changed());
      break;
    case v1::Event::kJobInputResolved:
      applier.On(event.job_input_resolved());
      break;
    case v1::Event::kAttemptPlaced:
      applier.On(event.attempt_placed());
      break;
    case v1::Event::kAttemptStateChanged:
      applier.On(event.attempt_state_changed());
      break;
    case v1::Event::kAttemptAdopted:
      applier.On(event.attempt_adopted());
      break;
    case v1::Event::kJobArchived:
      applier.On(event.job_archived());
      break;
    case v1::Event::kDeviceRegistered:
      applier.On(event.device_registered());
      break;
    case v1::Event::kDeviceDrained:
      applier.On(event.device_drained());
      break;
    case v1::Event::kDeviceResumed:
      applier.On(event.device_resumed());
      break;
    case v1::Event::kReportAccepted:
      applier.On(event.report_accepted());
      break;
    case v1::Event::kLedgerRecorded:
      applier.On(event.ledger_recorded());
      break;
    case v1::Event::kPolicyApplied:
      applier.On(event.policy_applied());
      break;
    case v1::Event::kPolicyDeleted:
      applier.On(event.policy_deleted());
      break;
    case v1::Event::kArtifactCommitted:
      applier.On(event.artifact_committed());
      break;
    case v1::Event::kDeviceRemoved:
      applier.On(event.device_removed());
      break;
    case v1::Event::kArtifactRemoved:
      applier.On(event.artifact_removed());
      break;
    case v1::Event::kProfileUpdated:
      applier.On(event.profile_updated());
      break;
    case v1::Event::kAttemptRecovered:
      applier.On(event.attempt_recovered());
      break;
    case v1::Event::kAttemptReleased:
      applier.On(event.attempt_released());
      break;
    case v1::Event::kDeviceProblemChanged:
      applier.On(event.device_problem_changed());
      break;
    case v1::Event::kJobCheckpointStored:
      applier.On(event.job_checkpoint_stored());
      break;
    case v1::Event::kJournalOpened:
      applier.On(event.journal_opened());
      break;
    case v1::Event::kModelMeasured:
      applier.On(event.model_measured());
      break;
    case v1::Event::kReportStored:
      break;  // Kept in the journal alone, for a version that knows the fact.
    case v1::Event::kRestoreFinding:
      applier.On(event.restore_finding());
      break;
    case v1::Event::EVENT_NOT_SET:
      // The event is from a newer version. The journal's schema version prevents its replay here.
      WATTLE_CHECK(false, "an event says what happened");
  }
  return applier.TakeEffects();
}

}  // namespace wattle::core
