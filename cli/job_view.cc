// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/job_view.h"

#include "absl/strings/str_cat.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "proto/kind_name.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

// The device of the job's last attempt, with the mark that it is emulated.
std::string JobDevice(const v1::Job& job) {
  if (job.attempts().empty()) {
    return "";
  }
  const v1::Attempt& last = job.attempts(job.attempts_size() - 1);
  const v1::Candidate* chosen = ChosenCandidate(last.placement());
  return absl::StrCat(AttemptDevice(last),
                      chosen != nullptr && chosen->emulated() ? " (emulated)" : "",
                      last.unreachable() ? " (unreachable)" : "");
}

std::string EnergyOf(const v1::Attempt& attempt) {
  if (!attempt.has_receipt()) {
    return "";
  }
  const v1::Receipt& receipt = attempt.receipt();
  return absl::StrCat(FormatEnergy(Joules(receipt.total().gross_energy_joules())), " ",
                      EvidenceWord(receipt.total().source(), receipt.emulated()));
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

bool IsTerminal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

std::string RenderJobs(const v1::ListJobsResponse& jobs, absl::Time now, const TextStyle& style) {
  if (jobs.jobs().empty()) {
    return "no jobs; submit one with: wattle submit FILE\n";
  }
  Table table({{"job"},
               {"name", Align::kLeft, true},
               {"kind", Align::kLeft, false, true},
               {"objective", Align::kLeft, false, true},
               {"state"},
               {"device"},
               {"submitted", Align::kLeft, false, true},
               {"reason", Align::kLeft, true}});
  for (const v1::Job& job : jobs.jobs()) {
    table.AddRow({job.job_id(), job.spec().name(), KindName(job.spec()),
                  ObjectiveWord(job.spec().objective()), Word(job.state()), JobDevice(job),
                  FormatAge(now, job.submitted_unix_seconds()), job.reason()});
  }
  return table.Render(style);
}

std::string RenderJob(const v1::Job& job, absl::Time now, const TextStyle& style) {
  std::string out = absl::StrCat(job.job_id(), " ", Word(job.state()), "\n");
  AppendField("name", job.spec().name(), &out);
  AppendField("kind", KindName(job.spec()), &out);
  AppendField("objective", ObjectiveWord(job.spec().objective()), &out);
  AppendField("owner", job.spec().owner(), &out);
  AppendField("reason", job.reason(), &out);
  AppendField("submitted", FormatInstant(job.submitted_unix_seconds()), &out);
  AppendField("finished", FormatInstant(job.finished_unix_seconds()), &out);
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
    absl::StrAppend(&out, "\n", AttemptTable(job, now).Render(style));
  }
  return out;
}

std::string RenderJobState(const v1::Job& job) {
  const std::string device = JobDevice(job);
  std::string line = absl::StrCat(job.job_id(), " ", Word(job.state()));
  if (job.state() == v1::JOB_STATE_ACTIVE && !job.attempts().empty()) {
    const v1::Attempt& last = job.attempts(job.attempts_size() - 1);
    absl::StrAppend(&line, ": attempt ", last.attempt_id(), " ", Word(last.state()), " on ",
                    device);
  } else if (job.state() == v1::JOB_STATE_SUCCEEDED && !device.empty()) {
    absl::StrAppend(&line, " on ", device);
  }
  if (!job.reason().empty()) {
    absl::StrAppend(&line, ": ", job.reason());
  }
  return Printable(line);
}

std::string RenderLogLine(const v1::LogLine& line) {
  return absl::StrCat(FormatInstant(line.at_unix_seconds()), " ", line.attempt_id(), " ",
                      Printable(line.text()), "\n");
}

}  // namespace wattle::cli
