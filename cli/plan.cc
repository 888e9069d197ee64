// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle plan: a dry run. Shows the cost of the job on each device, and which device would be
// chosen and why.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/job_override.h"
#include "cli/job_view.h"
#include "cli/session.h"
#include "cli/sweep_view.h"
#include "cli/text_file.h"
#include "cli/timetable_page.h"
#include "cli/timetable_view.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "formats/job_file.h"

namespace wattle::cli {
namespace {

struct PlanFlags {
  std::string file;
  std::string job_id;
  std::vector<std::string> set;
  std::vector<std::string> policy_files;
  bool without_policies = false;
  std::string horizon;
  std::string html;
};

// "48h": from 1 h to 72 h.
absl::StatusOr<absl::Duration> ParseHorizon(const std::string& text) {
  absl::Duration horizon;
  if (!absl::ParseDuration(text, &horizon) || horizon < absl::Hours(1) ||
      horizon > absl::Hours(72)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--horizon: is \"", text, "\"; valid is 1h to 72h, such as 48h"));
  }
  return horizon;
}

absl::StatusOr<ExitCode> ShowTimetable(Session& session, const PlanFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const absl::Duration horizon, ParseHorizon(flags.horizon));
  WATTLE_RETURN_IF_ERROR(CheckOneOutput("--html", flags.html, session.json()));
  v1::TimetableRequest request;
  request.set_horizon_seconds(absl::ToDoubleSeconds(horizon));
  WATTLE_ASSIGN_OR_RETURN(const v1::Timetable timetable,
                          session.client().Call(&JobStub::GetTimetable, request));
  if (flags.html == kStandardOutput) {
    session.PrintText(TimetablePage(timetable));
    return ExitCode::kOk;
  }
  if (!flags.html.empty()) {
    WATTLE_RETURN_IF_ERROR(WriteTextFile("--html", flags.html, TimetablePage(timetable)));
  }
  session.Print(timetable, [&] { return RenderTimetable(timetable, session.style()); });
  return ExitCode::kOk;
}

ExitCode CodeOf(const v1::PlanResponse& plan) {
  return plan.chosen_device_id().empty() || !plan.certain_failure().empty() ? ExitCode::kRefused
                                                                            : ExitCode::kOk;
}

// file: for errors; empty: the spec belongs to an open job.
absl::StatusOr<ExitCode> PlanOne(Session& session, const v1::PlanRequest& request,
                                 const v1::JobSpec& spec, const std::string& file) {
  const auto plan = session.client().Call(&JobStub::PlanJob, request);
  WATTLE_RETURN_IF_ERROR(file.empty() ? plan.status() : WithContext(file, plan.status()));
  session.Print(*plan, [&] { return RenderPlan(spec, *plan, session.style()); });
  return CodeOf(*plan);
}

// request: the part that all jobs of the sweep share.
absl::StatusOr<ExitCode> PlanSweep(Session& session, v1::PlanRequest request,
                                   const std::vector<v1::JobSpec>& specs, const std::string& file) {
  std::vector<SweptPlan> plans;
  ExitCode code = ExitCode::kOk;
  for (const v1::JobSpec& spec : specs) {
    *request.mutable_spec() = spec;
    auto plan = session.client().Call(&JobStub::PlanJob, request);
    WATTLE_RETURN_IF_ERROR(WithContext(absl::StrCat(file, ": ", spec.name()), plan.status()));
    code = CodeOf(*plan) == ExitCode::kOk ? code : CodeOf(*plan);
    plans.push_back({spec.name(), *std::move(plan)});
  }
  session.PrintText(session.json() ? SweepJson(plans) : RenderSweep(plans, session.style()));
  return code;
}

absl::StatusOr<ExitCode> Plan(Session& session, const PlanFlags& flags) {
  if (flags.horizon.empty() && flags.file.empty() && flags.job_id.empty()) {
    return absl::InvalidArgumentError(
        "plan takes a job file, --job for the rest of an open job, or --horizon for the fleet's "
        "timetable");
  }
  if (!flags.horizon.empty()) {
    return ShowTimetable(session, flags);
  }
  v1::PlanRequest request;
  request.set_ignore_policies(flags.without_policies);
  for (const std::string& file : flags.policy_files) {
    const auto policies = formats::ReadPolicyFile(file);
    WATTLE_RETURN_IF_ERROR(AsBadInput(policies.status()));
    request.mutable_policies()->Add(policies->begin(), policies->end());
  }
  if (!flags.job_id.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const v1::Job job,
                            session.client().Call(&JobStub::GetJob, flags.job_id));
    request.set_job_id(job.job_id());
    return PlanOne(session, request, job.spec(), "");
  }
  WATTLE_ASSIGN_OR_RETURN(const std::vector<v1::JobSpec> specs,
                          ReadJobs(flags.file, flags.set, *session.environment().in));
  if (specs.size() > 1) {
    return PlanSweep(session, request, specs, flags.file);
  }
  *request.mutable_spec() = specs.front();
  return PlanOne(session, request, specs.front(), flags.file);
}

}  // namespace

void AddPlanCommand(CLI::App* app, CommandSlot* slot) {
  CLI::App* leaf =
      AddLeaf(app, "plan",
              "Show what a job would take on each device and which device would be chosen; with "
              "--job, the same of what is left of an open job; with --horizon, what the fleet is "
              "going to do. Submits nothing. Exits with 5 where the "
              "job can run nowhere. A file with a sweep gives one table of its jobs.",
              "  wattle plan deploy/examples/squad-gpt2.yaml\n"
              "  wattle plan job.yaml --set objective=time\n"
              "  wattle plan deploy/examples/sweep.yaml\n"
              "  wattle plan job.yaml --without-policies\n"
              "  wattle plan job.yaml --policy deploy/examples/policy.yaml\n"
              "  wattle plan --job j12\n"
              "  wattle plan --horizon 48h\n"
              "  wattle plan --horizon 48h --html plan.html\n");
  const auto flags = std::make_shared<PlanFlags>();
  CLI::Option* file = leaf->add_option("FILE", flags->file, "Job file; - is the standard input");
  CLI::Option* job =
      leaf->add_option("--job", flags->job_id,
                       "Plan the rest of this open job, from its newest uploaded checkpoint, with "
                       "what it has spent and its deadline since submission")
          ->type_name("JOB")
          ->excludes(file);
  leaf->add_option("--horizon", flags->horizon,
                   "Show the timetable of all waiting and running jobs, and the charge, so far "
                   "ahead: 1h to 72h")
      ->type_name("TIME")
      ->excludes(file)
      ->excludes(job);
  leaf->add_option("--html", flags->html,
                   "With --horizon: also write the timetable to this file, as a page that needs no "
                   "network; - writes the page alone to the standard output")
      ->type_name("FILE")
      ->excludes(file)
      ->excludes(job);
  leaf->add_option("--set", flags->set, "field=value instead of what the file says; repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false)
      ->take_all()
      ->excludes(job);
  CLI::Option* without = leaf->add_flag("--without-policies", flags->without_policies,
                                        "Plan as if the fleet had no policies");
  leaf->add_option("--policy", flags->policy_files,
                   "Plan as if the policies of this file were the fleet's; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->take_all()
      ->excludes(without);
  slot->Bind(leaf, [flags](Session& session) { return Plan(session, *flags); });
}

}  // namespace wattle::cli
