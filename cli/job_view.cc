// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/job_view.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "formats/job_file.h"
#include "proto/job_summary.h"
#include "proto/kind_name.h"
#include "proto/project_name.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

constexpr int kChangesMax = 3;  // shown for a waiting job, of all devices together

// The device of the job's last attempt, with "(emulated)" and "(unreachable)" if they apply.
std::string JobDevice(const v1::JobSummary& job) {
  return absl::StrCat(job.device_name().empty() ? job.device_id().substr(0, 8) : job.device_name(),
                      job.emulated() ? " (emulated)" : "",
                      job.unreachable() ? " (unreachable)" : "");
}

std::set<v1::EnergySource> Sources(const v1::JobSummary& job) {
  std::set<v1::EnergySource> sources;
  for (const int source : job.energy_sources()) {
    sources.insert(static_cast<v1::EnergySource>(source));
  }
  return sources;
}

std::string EnergyOf(const v1::JobSummary& job) {
  if (job.energy_sources().empty()) {
    return "";
  }
  return absl::StrCat(FormatEnergy(Joules(job.total_energy_joules())), " ",
                      EvidenceWords(Sources(job)));
}

std::string EnergyOf(const v1::Attempt& attempt) {
  if (!attempt.has_receipt()) {
    return "";
  }
  const v1::Receipt& receipt = attempt.receipt();
  return absl::StrCat(FormatEnergy(Joules(receipt.total().gross_energy_joules())), " ",
                      EvidenceWord(receipt.total().source(), receipt.emulated()));
}

// "attempt j12.1 running on nano-1"; for a repeated attempt "attempt 2 of 3 (j12.2) running on
// nano-1, because j12.1 failed on nano-2: …".
std::string AttemptWords(const v1::Job& job) {
  const v1::Attempt& last = job.attempts(job.attempts_size() - 1);
  const std::string device = JobDevice(Summarize(job));
  const v1::Attempt* failed = nullptr;
  for (const v1::Attempt& attempt : job.attempts()) {
    failed = attempt.state() == v1::ATTEMPT_STATE_FAILED ? &attempt : failed;
  }
  if (failed == nullptr || failed == &last) {
    return absl::StrCat("attempt ", last.attempt_id(), " ", Word(last.state()), " on ", device);
  }
  return absl::StrCat("attempt ", job.attempts_size(),
                      job.attempts_max() > 0 ? absl::StrCat(" of ", job.attempts_max()) : "", " (",
                      last.attempt_id(), ") ", Word(last.state()), " on ", device, ", because ",
                      failed->attempt_id(), " failed on ", AttemptDevice(*failed), ": ",
                      failed->reason());
}

// The job that must end first: a waiting one, or one with an attempt on the board.
std::string HolderWords(const v1::Placement& place, const JobOutlook& outlook) {
  if (!place.behind_job_id().empty()) {
    return absl::StrCat(", behind ", place.behind_job_id());
  }
  return outlook.ahead_job_id.empty()
             ? ""
             : absl::StrCat(", behind ", outlook.ahead_job_id, ", whose attempt is on the board");
}

// "starts 2026-11-24 09:40:00 UTC (90 %: 09:10:00 to 10:50:00), when its pack has 54 %, ends
// 2026-11-24 11:02:00 UTC, behind j3; its attempt j4.1 hands over".
std::string PlaceWords(const v1::Job& job, const JobOutlook& outlook) {
  const v1::Placement& place = job.place();
  if (place.expected_start_unix_seconds() <= 0.0) {
    return "";
  }
  const bool has_charge = place.best_size() > 0 && place.best(0).has_battery();
  return absl::StrCat(
      "starts ",
      FormatMoment(place.expected_start_unix_seconds(), place.start_low_unix_seconds(),
                   place.start_high_unix_seconds()),
      has_charge
          ? absl::StrCat(", when its pack has ",
                         FormatPercent(Fraction(place.best(0).start_state_of_charge_ratio())))
          : "",
      ", ends ",
      FormatMoment(place.expected_end_unix_seconds(), place.end_low_unix_seconds(),
                   place.end_high_unix_seconds()),
      HolderWords(place, outlook),
      place.waits_for().empty() ? "" : absl::StrCat("; ", place.waits_for()));
}

// "xavier-1: 40.92 Wh above idle": the next best device for a waiting job.
std::string RunnerUpWords(const v1::Placement& place) {
  if (place.best_size() < 2 || !place.best(1).feasible()) {
    return "";
  }
  const v1::Candidate& other = place.best(1);
  return absl::StrCat(other.device_name().empty() ? other.device_id() : other.device_name(), ": ",
                      FormatEnergy(Joules(other.marginal_energy_joules())), " above idle");
}

// One line for each device that a change of the job or the fleet would make the choice. Leaves out
// the board of the job's place, which is already the choice.
void AppendWinningChanges(const v1::Job& job, const v1::PlanResponse& plan, std::string* out) {
  const v1::Objective objective =
      plan.objective() == v1::OBJECTIVE_UNSPECIFIED ? job.spec().objective() : plan.objective();
  int left = kChangesMax;
  for (const v1::Candidate& candidate : plan.candidates()) {
    const int told = std::min(left, candidate.would_win_if_size());
    if (told > 0 && candidate.device_id() != job.place().device_id()) {
      AppendField("would win",
                  absl::StrCat(candidate.device_name(), " ",
                               WinningChangesWords(candidate, objective, told)),
                  out);
      left -= told;
    }
  }
}

// "1.90 Wh, 3.10 Wh of its energy budget are left"; for a job that has ended, its energy says so.
std::string SpentWords(const v1::Job& job) {
  const Joules spent(job.spent_energy_joules());
  const Joules budget = FromWattHours(job.spec().energy_budget_wh());
  const bool ended = job.finished_unix_seconds() > 0;
  if (ended || (spent.value() <= 0 && budget.value() <= 0)) {
    return "";
  }
  return absl::StrCat(FormatEnergy(spent),
                      budget.value() > 0
                          ? absl::StrCat(", ", FormatEnergy(std::max(budget - spent, Joules(0))),
                                         " of its energy budget are left")
                          : "");
}

// "folds, by site"
std::string AntiAffinityWords(const v1::JobSpec& spec) {
  const v1::Apart& apart = spec.apart();
  return apart.by().empty() ? apart.group() : absl::StrCat(apart.group(), ", by ", apart.by());
}

Table AttemptTable(const v1::Job& job, absl::Time now) {
  Table table({{"attempt"},
               {"state"},
               {"device"},
               {"placed"},
               {"energy", Align::kRight},
               {"reason", Align::kLeft, true}});
  for (const v1::Attempt& attempt : job.attempts()) {
    const v1::Candidate* chosen = ChosenCandidate(attempt.placement());
    const std::string& reason =
        attempt.reason().empty() ? attempt.placement().reason() : attempt.reason();
    table.AddRow({attempt.attempt_id(),
                  absl::StrCat(Word(attempt.state()), attempt.unreachable() ? ", unreachable" : ""),
                  absl::StrCat(AttemptDevice(attempt),
                               chosen != nullptr && chosen->emulated() ? " (emulated)" : ""),
                  FormatAge(now, attempt.placed_unix_seconds()), EnergyOf(attempt), reason});
  }
  return table;
}

}  // namespace

std::string RenderJobs(const v1::ListJobsResponse& jobs, absl::Time now, const TextStyle& style) {
  if (jobs.jobs().empty() && jobs.summaries().empty()) {
    return "no jobs; submit one with: wattle submit FILE\n";
  }
  std::vector<v1::JobSummary> rows(jobs.summaries().begin(), jobs.summaries().end());
  for (const v1::Job& job : jobs.jobs()) {
    rows.push_back(Summarize(job));
  }
  const bool has_projects = std::any_of(rows.begin(), rows.end(), [](const v1::JobSummary& job) {
    return ProjectName(job.project()) != kDefaultProject;
  });
  std::vector<Column> columns = {{"job"},
                                 {"name", Align::kLeft, true},
                                 {"kind", Align::kLeft, false, true},
                                 {"objective", Align::kLeft, false, true},
                                 {"state"},
                                 {"device"},
                                 {"energy", Align::kRight, false, true},
                                 {"owner", Align::kLeft, false, true},
                                 {"submitted", Align::kLeft, false, true},
                                 {"reason", Align::kLeft, true}};
  if (has_projects) {
    columns.insert(columns.begin() + 1, Column{"project"});
  }
  Table table(std::move(columns));
  for (const v1::JobSummary& job : rows) {
    std::vector<std::string> cells = {job.job_id(),
                                      job.name(),
                                      job.kind(),
                                      ObjectiveWord(job.objective()),
                                      Word(job.state()),
                                      JobDevice(job),
                                      EnergyOf(job),
                                      job.owner(),
                                      FormatAge(now, job.submitted_unix_seconds()),
                                      job.reason()};
    if (has_projects) {
      cells.insert(cells.begin() + 1, ProjectName(job.project()));
    }
    table.AddRow(std::move(cells));
  }
  return table.Render(style);
}

std::string RenderJob(const v1::Job& job, absl::Time now, const TextStyle& style,
                      const JobOutlook& outlook) {
  std::string out = absl::StrCat(job.job_id(), " ", Word(job.state()), "\n");
  AppendField("name", job.spec().name(), &out);
  AppendField("kind", KindName(job.spec()), &out);
  AppendField("objective", ObjectiveWord(job.spec().objective()), &out);
  AppendField("owner", job.spec().owner(), &out);
  AppendField("project", job.spec().project(), &out);
  AppendField("apart", AntiAffinityWords(job.spec()), &out);
  AppendField("reason", job.reason(), &out);
  AppendField("expected", PlaceWords(job, outlook), &out);
  AppendField("plan", job.place().reason(), &out);
  AppendField("runner-up", RunnerUpWords(job.place()), &out);
  AppendWinningChanges(job, outlook.plan, &out);
  AppendField("submitted", FormatInstant(job.submitted_unix_seconds()), &out);
  AppendField("finished", FormatInstant(job.finished_unix_seconds()), &out);
  AppendField("energy", JobEnergyWords(job), &out);
  AppendField("so far", SpentWords(job), &out);
  for (const v1::ResolvedInput& input : job.inputs()) {
    const std::string artifact = input.artifact_id().empty()
                                     ? "not made yet"
                                     : absl::StrCat("artifact ", input.artifact_id().substr(0, 12));
    AppendField(input.field(), absl::StrCat(input.reference(), " (", artifact, ")"), &out);
  }
  if (!job.output_artifact_id().empty()) {
    AppendField("output",
                absl::StrCat("job:", job.job_id(), "/output (artifact ",
                             job.output_artifact_id().substr(0, 12), ")"),
                &out);
  }
  if (!job.attempts().empty()) {
    const v1::Attempt& last = job.attempts(job.attempts_size() - 1);
    AppendField("why there", last.placement().reason(), &out);
  }
  absl::StrAppend(&out, "  settings\n");
  for (const absl::string_view line :
       absl::StrSplit(formats::JobFileText(job.spec()), '\n', absl::SkipEmpty())) {
    absl::StrAppend(&out, "    ", Printable(line), "\n");
  }
  if (!job.attempts().empty()) {
    absl::StrAppend(&out, "\n", AttemptTable(job, now).Render(style));
  }
  return out;
}

std::string JobEnergyWords(const v1::Job& job) {
  const v1::JobSummary summary = Summarize(job);
  const std::string energy = EnergyOf(summary);
  int receipts = 0;
  double missing_joules = 0.0;
  for (const v1::Attempt& attempt : job.attempts()) {
    receipts += attempt.has_receipt() ? 1 : 0;
    missing_joules += attempt.receipt().total().missing_energy_joules();
  }
  return energy.empty()
             ? ""
             : absl::StrCat(
                   energy, receipts > 1 ? absl::StrCat(", of ", receipts, " attempts") : "",
                   missing_joules > 0.0
                       ? absl::StrCat("; without samples at most ",
                                      FormatEnergy(Joules(missing_joules)), " more (model)")
                       : "");
}

std::string RenderJobState(const v1::Job& job) {
  const std::string device = JobDevice(Summarize(job));
  std::string line = absl::StrCat(job.job_id(), " ", Word(job.state()));
  if (job.state() == v1::JOB_STATE_ACTIVE && !job.attempts().empty()) {
    absl::StrAppend(&line, ": ", AttemptWords(job));
  } else if (job.state() == v1::JOB_STATE_SUCCEEDED && !device.empty()) {
    absl::StrAppend(&line, " on ", device);
  }
  // "placed on nano-1" repeats the words about the attempt.
  const bool is_repetition =
      job.state() == v1::JOB_STATE_ACTIVE && !job.attempts().empty() &&
      job.reason() == absl::StrCat("placed on ", AttemptDevice(*job.attempts().rbegin()));
  if (!job.reason().empty() && !is_repetition) {
    absl::StrAppend(&line, ": ", job.reason());
  }
  return Printable(line);
}

std::string RenderLogLine(const v1::LogLine& line) {
  return absl::StrCat(FormatInstant(line.at_unix_seconds()), " ", line.attempt_id(), " ",
                      Printable(line.text()), "\n");
}

}  // namespace wattle::cli
