// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle jobs, wattle job show|watch|logs|output|receipt|retry|cancel.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "cli/job_output.h"
#include "cli/job_view.h"
#include "cli/json_output.h"
#include "cli/labels.h"
#include "cli/session.h"
#include "cli/since.h"
#include "cli/submit.h"
#include "cli/watch.h"
#include <CLI/App.hpp>
#include <google/protobuf/descriptor.h>

#include "base/status_macros.h"
#include "proto/job_kind.h"

namespace wattle::cli {
namespace {

// Jobs in one answer; the coordinator's limit.
constexpr int32_t kPageJobsMax = 1000;
// How long the page of a waiting job waits for the changes that would move the job.
constexpr absl::Duration kOutlookMax = absl::Seconds(5);

struct JobsFlags {
  std::vector<std::string> states;
  std::vector<std::string> owners;
  std::vector<std::string> kinds;
  std::string since;
  int32_t limit = 100;
};

struct JobFlags {
  std::string job_id;
  std::string reason;
  bool chart = false;
  bool follow = false;
  bool watch = false;
};

// "active" → JOB_STATE_ACTIVE.
absl::StatusOr<v1::JobState> ParseState(const std::string& word) {
  std::string choices;
  const google::protobuf::EnumDescriptor* type = v1::JobState_descriptor();
  for (int i = 1; i < type->value_count(); ++i) {
    const auto state = static_cast<v1::JobState>(type->value(i)->number());
    if (Word(state) == word) {
      return state;
    }
    absl::StrAppend(&choices, i > 1 ? ", " : "", Word(state));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--state ", word, ": no such state; wants one of ", choices));
}

// Fetches pages until `limit` jobs are there.
absl::StatusOr<v1::ListJobsResponse> AskForJobs(Session& session, v1::ListJobsRequest request,
                                                int32_t limit) {
  v1::ListJobsResponse all;
  int32_t left = limit;
  do {
    request.set_limit(std::min(left, kPageJobsMax));
    WATTLE_ASSIGN_OR_RETURN(const v1::ListJobsResponse page,
                            session.client().Call(&JobStub::ListJobs, request));
    all.mutable_jobs()->MergeFrom(page.jobs());
    all.mutable_summaries()->MergeFrom(page.summaries());
    all.set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
    left = limit - all.jobs_size() - all.summaries_size();
  } while (left > 0 && !all.next_page_token().empty());
  return all;
}

absl::StatusOr<ExitCode> ListJobs(Session& session, const JobsFlags& flags) {
  v1::ListJobsRequest request;
  for (const std::string& word : flags.states) {
    WATTLE_ASSIGN_OR_RETURN(const v1::JobState state, ParseState(word));
    request.add_states(state);
  }
  request.mutable_owners()->Add(flags.owners.begin(), flags.owners.end());
  request.mutable_kinds()->Add(flags.kinds.begin(), flags.kinds.end());
  if (!flags.since.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const absl::Time since, ParseSince(flags.since, session.Now()));
    request.set_submitted_since_unix_seconds(UnixSeconds(since));
  }
  request.set_summaries(!session.json());  // scripts get whole jobs
  WATTLE_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs,
                          AskForJobs(session, request, flags.limit));
  const bool any =
      flags.states.empty() && flags.owners.empty() && flags.kinds.empty() && flags.since.empty();
  session.Print(jobs, [&] {
    return any || jobs.summaries_size() > 0 ? RenderJobs(jobs, session.Now(), session.style())
                                            : "no such jobs; wattle jobs without --state, --owner, "
                                              "--kind and --since lists all\n";
  });
  if (!jobs.next_page_token().empty()) {
    session.PrintRemark(
        absl::StrCat("there are older jobs: --limit ", 10 * flags.limit, " shows more"));
  }
  return ExitCode::kOk;
}

// The job of the last attempt on the board of the job's place; empty if no place is known or
// another waiting job is in between.
std::string JobAhead(Session& session, const v1::Job& job) {
  const v1::Placement& place = job.place();
  if (place.expected_start_unix_seconds() <= 0 || !place.behind_job_id().empty()) {
    return "";
  }
  const auto device = session.client().Call(&DeviceStub::GetDevice, place.device_id());
  if (!device.ok()) {
    return "";
  }
  const int queued = device->queued_attempt_ids_size();
  const std::string attempt =  // "j12.1"
      queued > 0 ? device->queued_attempt_ids(queued - 1) : device->running_attempt_id();
  const std::string ahead = attempt.substr(0, attempt.rfind('.'));
  return ahead == job.job_id() ? "" : ahead;
}

// Only for a queued job, because computing its changes takes plans. Answers that the coordinator
// does not give, because it is older or busy or refuses the call, are left out.
JobOutlook AskForOutlook(Session& session, const v1::Job& job) {
  JobOutlook outlook;
  if (session.json() || job.state() != v1::JOB_STATE_QUEUED) {
    return outlook;
  }
  outlook.ahead_job_id = JobAhead(session, job);
  v1::PlanRequest request;
  request.set_job_id(job.job_id());
  if (auto plan = session.client().Call(&JobStub::PlanJob, request, kOutlookMax); plan.ok()) {
    outlook.plan = *std::move(plan);
  }
  return outlook;
}

absl::StatusOr<ExitCode> ShowJob(Session& session, const JobFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Job job, session.client().Call(&JobStub::GetJob, flags.job_id));
  const JobOutlook outlook = AskForOutlook(session, job);
  session.Print(job, [&] {
    const std::string text = RenderJob(job, session.Now(), session.style(), outlook);
    return flags.chart ? absl::StrCat(text, "\n", RenderJobChart(job, session.style())) : text;
  });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ShowOutput(Session& session, const JobFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Job job, session.client().Call(&JobStub::GetJob, flags.job_id));
  WATTLE_ASSIGN_OR_RETURN(const JobOutput output, ReadJobOutput(session.client(), job));
  if (session.json()) {
    session.PrintText(output.json);
  } else {
    session.PrintText(RenderJobOutput(job, output, session.style()));
  }
  return ExitCode::kOk;
}

// Submits the same spec as a new job. The names of inputs are resolved anew.
absl::StatusOr<ExitCode> RetryJob(Session& session, const JobFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Job job, session.client().Call(&JobStub::GetJob, flags.job_id));
  if (!IsTerminal(job.state())) {
    return absl::FailedPreconditionError(
        absl::StrCat(job.job_id(), " is ", Word(job.state()),
                     ": it has not ended; wait for it with wattle job watch ", job.job_id(),
                     ", or stop it first with wattle job cancel ", job.job_id()));
  }
  return SubmitSpecs(session, {{absl::StrCat("retry of ", job.job_id()), job.spec()}},
                     {.idempotency_key = "", .watch = flags.watch});
}

absl::StatusOr<ExitCode> WatchJob(Session& session, const JobFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Job job, WatchUntilEnd(session, flags.job_id, /*quiet=*/false));
  return ReportEnd(session, job);
}

absl::StatusOr<ExitCode> ShowLogs(Session& session, const JobFlags& flags) {
  v1::GetJobLogsRequest request;
  request.set_job_id(flags.job_id);
  request.set_follow(flags.follow);
  WATTLE_RETURN_IF_ERROR(session.client().GetJobLogs(request, [&](const v1::LogLine& line) {
    session.PrintText(session.json() ? ToJsonLine(line) : RenderLogLine(line));
  }));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> CancelJob(Session& session, const JobFlags& flags) {
  v1::CancelJobRequest request;
  request.set_job_id(flags.job_id);
  request.set_reason(flags.reason.empty() ? absl::StrCat("by ", session.environment().user_name())
                                          : flags.reason);
  WATTLE_ASSIGN_OR_RETURN(const v1::Job job, session.client().Call(&JobStub::CancelJob, request));
  session.Print(job, [&] { return absl::StrCat(RenderJobState(job), "\n"); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ShowReceipt(Session& session, const JobFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Job job, session.client().Call(&JobStub::GetJob, flags.job_id));
  const v1::Attempt* attempt = LastReceipt(job);
  if (attempt == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        job.job_id(), " has no receipt: it is ", Word(job.state()),
        IsTerminal(job.state()) ? " and no attempt ran"
                                : absl::StrCat("; wait for it: wattle job watch ", job.job_id())));
  }
  session.Print(attempt->receipt(), [&] { return RenderReceipts(job, session.style()); });
  return ExitCode::kOk;
}

using JobCommand = absl::StatusOr<ExitCode> (*)(Session&, const JobFlags&);

// Adds a subcommand that takes the id of a job.
std::pair<CLI::App*, std::shared_ptr<JobFlags>> AddJobLeaf(CLI::App* noun, const std::string& verb,
                                                           const std::string& sentence,
                                                           const std::string& examples) {
  CLI::App* leaf = AddLeaf(noun, verb, sentence, examples);
  auto flags = std::make_shared<JobFlags>();
  leaf->add_option("JOB", flags->job_id, "Id of the job, as submit printed it")->required();
  return {leaf, flags};
}

void BindJob(CommandSlot* slot, const std::pair<CLI::App*, std::shared_ptr<JobFlags>>& leaf,
             JobCommand command) {
  slot->Bind(leaf.first,
             [flags = leaf.second, command](Session& session) { return command(session, *flags); });
}

void AddJobList(CLI::App* app, CommandSlot* slot) {
  CLI::App* list = AddLeaf(app, "jobs", "List jobs, newest first.",
                           "  wattle jobs\n"
                           "  wattle jobs --state active --state queued\n"
                           "  wattle jobs --owner ada --kind finetune --since 7d\n"
                           "  wattle -o json jobs --limit 5 | jq -r '.jobs[].job_id'\n");
  const auto flags = std::make_shared<JobsFlags>();
  list->add_option("--state", flags->states,
                   "Only jobs in this state: waiting, queued, active, succeeded, failed, "
                   "cancelled; repeatable")
      ->type_name("STATE")
      ->allow_extra_args(false)
      ->take_all();
  list->add_option("--owner", flags->owners, "Only jobs of this owner; repeatable")
      ->type_name("OWNER")
      ->allow_extra_args(false)
      ->take_all();
  list->add_option("--kind", flags->kinds,
                   absl::StrCat("Only jobs of this kind: ", JobKindNames(), "; repeatable"))
      ->check(CLI::IsMember(std::vector<std::string>(absl::StrSplit(JobKindNames(), ", ")))
                  .description(""))
      ->type_name("KIND")
      ->allow_extra_args(false)
      ->take_all();
  list->add_option("--since", flags->since,
                   "Only jobs submitted since then: 30m, 24h, 7d, today, 2026-11-20")
      ->type_name("WHEN");
  list->add_option("--limit", flags->limit, "At most this many; default 100")
      ->check(CLI::Range(1, 10000));
  slot->Bind(list, [flags](Session& session) { return ListJobs(session, *flags); });
}

}  // namespace

void AddJobCommands(CLI::App* app, CommandSlot* slot) {
  AddJobList(app, slot);
  CLI::App* job =
      AddGroup(app, "job", "One job: show, watch, logs, output, receipt, retry, cancel.",
               "  wattle job show j12\n"
               "  wattle job watch j12\n"
               "  wattle job output j12\n");
  const auto show =
      AddJobLeaf(job, "show", "Show a job: settings, inputs, attempts, why it went where it went.",
                 "  wattle job show j12\n"
                 "  wattle job show j12 --chart\n");
  show.first->add_flag("--chart", show.second->chart,
                       "Draw loss and watts over the seconds of the run, also of a running job");
  BindJob(slot, show, ShowJob);
  BindJob(slot,
          AddJobLeaf(job, "output",
                     "Print the output of a job: generated text, metrics, or the table of a "
                     "quantization. Fetches no model. With -o json: the job's own JSON.",
                     "  wattle job output j12\n"
                     "  wattle -o json job output j12 | jq -r .text\n"),
          ShowOutput);
  const auto retry =
      AddJobLeaf(job, "retry", "Submit the spec of an ended job again, as a new job.",
                 "  wattle job retry j12\n"
                 "  wattle job retry j12 --watch\n");
  retry.first->add_flag("-w,--watch", retry.second->watch, "Show progress until it has ended");
  BindJob(slot, retry, RetryJob);
  BindJob(slot,
          AddJobLeaf(job, "watch",
                     "Follow a job until it has ended: progress, loss, tokens/s, watts, time left. "
                     "With -o json one update a line.",
                     "  wattle job watch j12\n"
                     "  wattle job watch j12 && wattle job receipt j12\n"),
          WatchJob);
  const auto logs = AddJobLeaf(job, "logs", "Print the log lines of the job's attempts.",
                               "  wattle job logs j12\n"
                               "  wattle job logs j12 --follow\n");
  logs.first->add_flag("-f,--follow", logs.second->follow,
                       "Go on with new lines until the job has ended");
  BindJob(slot, logs, ShowLogs);
  const auto cancel =
      AddJobLeaf(job, "cancel", "Stop a job. Its receipt keeps the energy that it took.",
                 "  wattle job cancel j12 --reason \"wrong data\"\n");
  cancel.first->add_option("--reason", cancel.second->reason, "Why, for people; the job keeps it")
      ->type_name("TEXT");
  BindJob(slot, cancel, CancelJob);
  BindJob(slot,
          AddJobLeaf(job, "receipt",
                     "Show the run beside its prediction: device seconds, watts, energy and its "
                     "source, losses. Of several attempts: each one and their total.",
                     "  wattle job receipt j12\n"
                     "  wattle -o json job receipt j12 | jq .run.gross_energy_joules\n"),
          ShowReceipt);
}

}  // namespace wattle::cli
