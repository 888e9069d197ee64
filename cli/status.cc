// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle status: the fleet on one page.
#include <utility>

#include "cli/ask_fleet.h"
#include "cli/fleet_summary.h"
#include "cli/session.h"
#include "cli/since.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

constexpr int kJobsMax = 1000;
constexpr int kFailedJobsMax = 5;
constexpr absl::Duration kFailedAgeMax = absl::Hours(48);

absl::StatusOr<ExitCode> ShowStatus(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(FleetAnswers answers, AskFleet(session));
  AskToday(session, answers);
  const FleetSummary summary = SummarizeFleet(answers, session.Now());
  session.PrintText(session.json() ? StatusJson(summary) : RenderStatus(summary, session.style()));
  return ExitCode::kOk;
}

}  // namespace

absl::StatusOr<FleetAnswers> AskFleet(Session& session) {
  FleetAnswers answers;
  WATTLE_ASSIGN_OR_RETURN(answers.devices, session.client().Call(&DeviceStub::ListDevices));
  v1::ListJobsRequest open;
  open.set_summaries(true);
  open.set_limit(kJobsMax);
  for (const v1::JobState state :
       {v1::JOB_STATE_WAITING, v1::JOB_STATE_QUEUED, v1::JOB_STATE_ACTIVE}) {
    open.add_states(state);
  }
  WATTLE_ASSIGN_OR_RETURN(answers.open_jobs, session.client().Call(&JobStub::ListJobs, open));
  v1::ListJobsRequest failed;
  failed.set_summaries(true);
  failed.set_limit(kFailedJobsMax);
  failed.add_states(v1::JOB_STATE_FAILED);
  failed.set_submitted_since_unix_seconds(UnixSeconds(session.Now() - kFailedAgeMax));
  WATTLE_ASSIGN_OR_RETURN(answers.failed_jobs, session.client().Call(&JobStub::ListJobs, failed));
  if (absl::StatusOr<v1::CoordinatorStatus> coordinator =
          session.client().Call(&CoordinatorStub::GetCoordinator);
      coordinator.ok()) {
    answers.coordinator = *std::move(coordinator);
  }
  if (absl::StatusOr<v1::Upgrade> latest = session.client().Call(&UpgradeStub::GetUpgrade, "");
      latest.ok()) {
    answers.upgrade = *std::move(latest);
  }
  return answers;
}

void AskToday(Session& session, FleetAnswers& answers) {
  v1::ReportEnergyRequest today;
  today.set_by(v1::ENERGY_GROUPING_DAY);
  today.set_since_unix_seconds(UnixSeconds(MidnightBefore(session.Now())));
  if (absl::StatusOr<v1::EnergyReport> report =
          session.client().Call(&CoordinatorStub::ReportEnergy, today);
      report.ok()) {
    answers.today = *std::move(report);
  }
}

void AddStatusCommand(CLI::App* app, CommandSlot* slot) {
  slot->Bind(AddLeaf(app, "status",
                     "Show the fleet at a glance: devices, queue, watts now, joules today, charge, "
                     "and what needs attention.",
                     "  wattle status\n"
                     "  wattle -o json status | jq -r '.attention[]'\n"),
             ShowStatus);
}

}  // namespace wattle::cli
