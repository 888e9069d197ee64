// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/quota.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/projects.h"
#include "scheduler/predict/predict.h"
#include "units/format.h"

namespace wattle::core {
namespace {

constexpr absl::Duration kMinute = absl::Minutes(1);
constexpr int kJobsMax = 1'000'000;
constexpr double kWattHoursMax = 1e6;
constexpr double kBytesMax = 1e15;
constexpr char kArtifactFlag[] = "--artifact-gib X";

bool HasLimit(const v1::Quota& quota) {
  return quota.open_jobs_max() != 0 || quota.submits_per_minute_max() != 0 ||
         quota.energy_wh_per_day_max() != 0.0 || quota.artifact_bytes_max() != 0;
}

absl::Status CheckLimit(absl::string_view field, double value, double most) {
  return value >= 0 && value <= most  // Also false for NaN.
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrFormat("%s: %g, wanted 0 to %.0f; 0: no limit", field, value, most));
}

absl::Status ValidateQuota(const State& state, const v1::Quota& quota) {
  WATTLE_RETURN_IF_ERROR(CheckLimit("open_jobs_max", quota.open_jobs_max(), kJobsMax));
  WATTLE_RETURN_IF_ERROR(
      CheckLimit("submits_per_minute_max", quota.submits_per_minute_max(), kJobsMax));
  WATTLE_RETURN_IF_ERROR(
      CheckLimit("energy_wh_per_day_max", quota.energy_wh_per_day_max(), kWattHoursMax));
  WATTLE_RETURN_IF_ERROR(
      CheckLimit("artifact_bytes_max", static_cast<double>(quota.artifact_bytes_max()), kBytesMax));
  const std::string& owner = quota.owner();
  if (owner.empty() == quota.project().empty()) {
    return absl::InvalidArgumentError(
        "owner: wanted a person, '*', or a project alone (--project NAME)");
  }
  if (!quota.project().empty()) {
    return CheckProjectExists(state, "project", quota.project());
  }
  const bool known = owner == kEverybodysQuota || state.quotas.contains(owner) ||
                     FindIdentity(state, kPersonKind, owner) != nullptr;
  return known ? absl::OkStatus()
               : absl::NotFoundError(absl::StrCat(
                     "owner: no person \"", owner,
                     "\" has logged in; 'wattle access ls --kind "
                     "person' lists them, and * is everybody without a quota of their own"));
}

absl::Time BeginOfDay(absl::Time now) {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(now) / 86400 * 86400);
}

double GrossJoules(const v1::Prediction& prediction) {
  return scheduler::MarginalEnergyJoules(prediction) - prediction.net_energy_joules() +
         prediction.run_energy_joules().mean();
}

// Expected joules of the job's next or present attempt.
Joules ExpectedOf(const State& state, const Observations& observations, const v1::Job& job,
                  const Instant& now) {
  if (const v1::Attempt* const live = LiveAttempt(job); live != nullptr) {
    return Joules(GrossJoules(live->prediction()));
  }
  if (observations.waiting != nullptr) {
    const auto planned = observations.waiting->find(JobId(job.job_id()));
    if (planned != observations.waiting->end() && planned->second.expected.has_value()) {
      return Joules(GrossJoules(*planned->second.expected));
    }
  }
  const std::optional<v1::Prediction> least =
      PredictLeast(state, observations, {}, job.spec(), now);
  return Joules(least.has_value() ? GrossJoules(*least) : 0);
}

Joules EndedSince(const v1::Job& job, absl::Time begin) {
  Joules spent(0);
  for (const v1::Attempt& attempt : job.attempts()) {
    if (IsTerminal(attempt.state()) && attempt.finished_unix_seconds() >= ToUnix(begin)) {
      spent += Joules(attempt.receipt().total().gross_energy_joules());
    }
  }
  return spent;
}

absl::Status Exhausted(const v1::Quota& quota, const Counted& counted, absl::string_view use,
                       absl::string_view flag) {
  const std::string& owner = counted.owner;
  const std::string whose = !counted.project.empty() ? absl::StrCat("project ", counted.project)
                            : owner.empty()          ? "callers without a name"
                                                     : owner;
  const std::string of = !counted.project.empty() ? absl::StrCat("--project ", counted.project)
                         : quota.owner() == kEverybodysQuota && owner.empty() ? "'*'"
                                                                              : owner;
  return absl::ResourceExhaustedError(absl::StrCat(
      "quota of ", whose, ": ", use, "; an admin raises it: wattle quota set ", of, " ", flag));
}

// The quota of the counted owner or project; null: no limit.
const v1::Quota* QuotaFor(const State& state, const Counted& counted) {
  return counted.project.empty() ? QuotaOf(state, counted.owner)
                                 : state.quotas.Find(QuotaKey("", counted.project));
}

absl::Status CheckArtifacts(const State& state, const Counted& counted, int64_t size_bytes) {
  const v1::Quota* const quota = QuotaFor(state, counted);
  if (quota == nullptr || quota->artifact_bytes_max() == 0) {
    return absl::OkStatus();
  }
  const int64_t used = ArtifactBytesOf(state, counted);
  if (used + size_bytes <= quota->artifact_bytes_max()) {
    return absl::OkStatus();
  }
  return Exhausted(*quota, counted,
                   absl::StrCat(FormatBytes(used), " of ", FormatBytes(quota->artifact_bytes_max()),
                                " of artifacts, and this one has ", FormatBytes(size_bytes),
                                "; remove some with 'wattle model rm' or 'wattle data rm'"),
                   kArtifactFlag);
}

absl::Status CheckEnergy(const State& state, const Observations& observations,
                         const SubmitJob& command, const Counted& counted, const Instant& now) {
  const v1::Quota& quota = *QuotaFor(state, counted);
  const Joules most = FromWattHours(quota.energy_wh_per_day_max());
  if (most.value() <= 0) {
    return absl::OkStatus();
  }
  const std::optional<v1::Prediction> least =
      PredictLeast(state, observations, command.archived_sources, command.spec, now);
  const Joules wanted(least.has_value() ? GrossJoules(*least) : 0);
  const Joules used = EnergyOfToday(state, observations, counted, now);
  if (used < most && used + wanted <= most) {
    return absl::OkStatus();
  }
  return Exhausted(quota, counted,
                   absl::StrCat(FormatEnergy(used), " of ", FormatEnergy(most),
                                " of this day (UTC) are used or promised to open jobs, and "
                                "this job is expected to take ",
                                wanted.value() > 0 ? FormatEnergy(wanted) : "more"),
                   "--energy-wh-per-day X");
}

absl::Status CheckSubmit(const State& state, const Observations& observations,
                         const SubmitJob& command, const Counted& counted, const Instant& now) {
  const v1::Quota* const quota = QuotaFor(state, counted);
  if (quota == nullptr) {
    return absl::OkStatus();
  }
  if (const int most = quota->open_jobs_max(); most > 0) {
    if (const int open = OpenJobsOf(state, counted); open >= most) {
      return Exhausted(*quota, counted, absl::StrCat(open, " of ", most, " open jobs"),
                       "--open-jobs N");
    }
  }
  if (const int most = quota->submits_per_minute_max(); most > 0) {
    if (const int made = SubmitsOfTheLastMinute(state, counted, now.wall); made >= most) {
      return Exhausted(
          *quota, counted,
          absl::StrCat(made, " of ", most, " submits in the last minute; submit again later, or"),
          "--submits-per-minute N");
    }
  }
  WATTLE_RETURN_IF_ERROR(CheckEnergy(state, observations, command, counted, now));
  // Outputs are kept whatever their size, so an owner who has used up the bytes starts no job.
  if (const int64_t most = quota->artifact_bytes_max();
      most > 0 && !(counted.owner.empty() && counted.project.empty())) {
    if (const int64_t used = ArtifactBytesOf(state, counted); used >= most) {
      return Exhausted(*quota, counted,
                       absl::StrCat(FormatBytes(used), " of ", FormatBytes(most),
                                    " of artifacts; remove some with 'wattle model rm' or 'wattle "
                                    "data rm'"),
                       kArtifactFlag);
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool Counted::Has(const v1::JobSpec& spec) const {
  return project.empty() ? spec.owner() == owner : ProjectOf(spec) == project;
}

bool Counted::Has(const v1::ArtifactInfo& info) const {
  return project.empty() ? info.pushed_by() == owner : ProjectsOf(info).contains(project);
}

const v1::Quota* QuotaOf(const State& state, const std::string& owner) {
  const v1::Quota* const own = state.quotas.Find(owner);
  return own != nullptr ? own : state.quotas.Find(kEverybodysQuota);
}

int OpenJobsOf(const State& state, const Counted& counted) {
  int open = 0;
  for (const int64_t number : state.open_jobs) {
    open += counted.Has(state.jobs.at(number).job().spec()) ? 1 : 0;
  }
  return open;
}

// Visits the newest jobs first, up to the first older one. Jobs with times in the future, from
// before a step back of the clock, do not count.
int SubmitsOfTheLastMinute(const State& state, const Counted& counted, absl::Time now) {
  int submits = 0;
  for (int64_t number = state.next_job_number - 1; number > 0; --number) {
    const v1::JobRecord* const record = state.jobs.Find(number);
    if (record == nullptr) {
      break;
    }
    const absl::Duration age = now - FromUnix(record->job().submitted_unix_seconds());
    if (age >= kMinute) {
      break;
    }
    submits += age >= absl::ZeroDuration() && counted.Has(record->job().spec()) ? 1 : 0;
  }
  return submits;
}

Joules EnergyOfToday(const State& state, const Observations& observations, const Counted& counted,
                     const Instant& now) {
  const absl::Time begin = BeginOfDay(now.wall);
  Joules energy(0);
  for (auto ended = state.ended_jobs.lower_bound({ToUnix(begin), 0});
       ended != state.ended_jobs.end(); ++ended) {
    const v1::Job& job = state.jobs.at(ended->second).job();
    if (counted.Has(job.spec())) {
      energy += EndedSince(job, begin);
    }
  }
  for (const int64_t number : state.open_jobs) {
    const v1::Job& job = state.jobs.at(number).job();
    if (counted.Has(job.spec())) {
      energy += EndedSince(job, begin) + ExpectedOf(state, observations, job, now);
    }
  }
  return energy;
}

int64_t ArtifactBytesOf(const State& state, const Counted& counted) {
  int64_t bytes = 0;
  for (const auto& [id, info] : state.artifacts) {
    bytes += counted.Has(info) ? info.size_bytes() : 0;
  }
  return bytes;
}

absl::Status CheckArtifactQuota(const State& state, const std::string& owner, int64_t size_bytes) {
  return owner.empty() ? absl::OkStatus() : CheckArtifacts(state, {.owner = owner}, size_bytes);
}

absl::Status CheckProjectsArtifactQuota(const State& state, const std::string& project,
                                        int64_t size_bytes) {
  return CheckArtifacts(state, {.project = project}, size_bytes);
}

absl::Status CheckQuota(const State& state, const Observations& observations,
                        const SubmitJob& command, const Instant& now) {
  WATTLE_RETURN_IF_ERROR(
      CheckSubmit(state, observations, command, {.owner = command.spec.owner()}, now));
  return CheckSubmit(state, observations, command, {.project = ProjectOf(command.spec)}, now);
}

v1::QuotaUse DescribeQuota(const State& state, const Observations& observations,
                           const Counted& counted, const Instant& now) {
  const std::string& owner = counted.owner;
  v1::QuotaUse use;
  if (const v1::Quota* const quota = QuotaFor(state, counted); quota != nullptr) {
    *use.mutable_quota() = *quota;
  }
  use.mutable_quota()->set_owner(owner);
  if (owner != kEverybodysQuota) {
    use.set_open_jobs(OpenJobsOf(state, counted));
    use.set_artifact_bytes(ArtifactBytesOf(state, counted));
    use.set_energy_wh_today(ToWattHours(EnergyOfToday(state, observations, counted, now)));
  }
  return use;
}

void Decide(DecisionBuilder& builder, const SetQuota& command) {
  const v1::Quota& quota = command.quota;
  if (const absl::Status valid = ValidateQuota(builder.state(), quota); !valid.ok()) {
    builder.Refuse(valid);
    return;
  }
  const std::string key = QuotaKey(quota.owner(), quota.project());
  builder.decision().id = key;
  const v1::Quota* const known = builder.state().quotas.Find(key);
  if (known == nullptr && !HasLimit(quota)) {
    builder.Refuse(absl::NotFoundError(
        absl::StrCat(quota.project().empty() ? "owner: " : "project: ",
                     quota.project().empty() ? quota.owner() : quota.project(),
                     " has no quota of their own; 'wattle quota ls' lists them")));
    return;
  }
  if (known != nullptr && known->SerializeAsString() == quota.SerializeAsString()) {
    return;
  }
  v1::QuotaSet& set = *builder.Add().mutable_quota_set();
  *set.mutable_quota() = quota;
  set.set_by(command.by);
}

void Applier::On(const v1::QuotaSet& event) {
  if (HasLimit(event.quota())) {
    state_.quotas.Mutable(QuotaKey(event.quota().owner(), event.quota().project())) = event.quota();
  } else {
    state_.quotas.erase(QuotaKey(event.quota().owner(), event.quota().project()));
  }
}

}  // namespace wattle::core
