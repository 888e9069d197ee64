// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle quota set|ls|rm: the quotas of owners of jobs and of projects.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/access_view.h"
#include "cli/session.h"
#include "cli/table.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

struct QuotaFlags {
  std::string owner;
  std::string project;
  int open_jobs = 0;
  int submits_per_minute = 0;
  double energy_wh_per_day = 0.0;
  double artifact_gib = 0.0;
};

constexpr double kBytesOfGib = 1 << 30;
constexpr double kGibMax = 900'000;

std::string WhoseQuota(const v1::Quota& quota) {
  return quota.project().empty() ? quota.owner() : absl::StrCat("project ", quota.project());
}

// The coordinator refuses a quota for both.
absl::Status CheckWhose(const QuotaFlags& flags) {
  return flags.owner.empty() && flags.project.empty()
             ? absl::InvalidArgumentError(
                   "whose quota? Give OWNER, or --project NAME; '*' is everybody's without one")
             : absl::OkStatus();
}

void AddWhose(CLI::App* leaf, QuotaFlags* flags) {
  leaf->add_option("OWNER", flags->owner, "A person's name, or '*'; none with --project");
  leaf->add_option("--project", flags->project, "All that is of this project, whoever's it is")
      ->type_name("NAME");
}

absl::StatusOr<ExitCode> SetQuota(Session& session, const QuotaFlags& flags) {
  WATTLE_RETURN_IF_ERROR(CheckWhose(flags));
  v1::SetQuotaRequest request;
  v1::Quota& quota = *request.mutable_quota();
  quota.set_owner(flags.owner);
  quota.set_project(flags.project);
  quota.set_open_jobs_max(flags.open_jobs);
  quota.set_submits_per_minute_max(flags.submits_per_minute);
  quota.set_energy_wh_per_day_max(flags.energy_wh_per_day);
  if (!(flags.artifact_gib >= 0 && flags.artifact_gib <= kGibMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--artifact-gib ", flags.artifact_gib, ": wanted 0 to ", kGibMax));
  }
  quota.set_artifact_bytes_max(static_cast<int64_t>(std::ceil(flags.artifact_gib * kBytesOfGib)));
  if (flags.open_jobs == 0 && flags.submits_per_minute == 0 && flags.energy_wh_per_day == 0.0 &&
      quota.artifact_bytes_max() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("quota set ", WhoseQuota(quota),
                     ": wanted a limit above 0: --open-jobs, --submits-per-minute, "
                     "--energy-wh-per-day or --artifact-gib; 'wattle quota rm' ends a quota"));
  }
  WATTLE_RETURN_IF_ERROR(session.client().Call(&AccessStub::SetQuota, request).status());
  session.Print(quota, [&] { return absl::StrCat("set the quota of ", WhoseQuota(quota), "\n"); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> RemoveQuota(Session& session, const QuotaFlags& flags) {
  WATTLE_RETURN_IF_ERROR(CheckWhose(flags));
  v1::SetQuotaRequest request;
  v1::Quota& quota = *request.mutable_quota();
  quota.set_owner(flags.owner);
  quota.set_project(flags.project);
  WATTLE_RETURN_IF_ERROR(session.client().Call(&AccessStub::SetQuota, request).status());
  session.Print(quota,
                [&] { return absl::StrCat("removed the quota of ", WhoseQuota(quota), "\n"); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListQuotas(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListQuotasResponse quotas,
                          session.client().Call(&AccessStub::ListQuotas));
  session.Print(quotas, [&] { return RenderQuotas(quotas, session.style()); });
  return ExitCode::kOk;
}

}  // namespace

void AddQuotaCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* quota = AddGroup(app, "quota", "What each owner of jobs may use: set, ls, rm.",
                             "  wattle quota set ann --open-jobs 20 --energy-wh-per-day 50\n"
                             "  wattle quota ls\n");
  const auto flags = std::make_shared<QuotaFlags>();
  CLI::App* set = AddLeaf(quota, "set",
                          "Set a person's limits, for admins. It replaces the earlier ones; '*' is "
                          "everybody without a quota of their own.",
                          "  wattle quota set ann --open-jobs 20 --energy-wh-per-day 50\n"
                          "  wattle quota set '*' --submits-per-minute 30\n"
                          "  wattle quota set --project north --artifact-gib 20\n");
  AddWhose(set, flags.get());
  set->add_option("--open-jobs", flags->open_jobs, "Jobs that have not ended")->type_name("N");
  set->add_option("--submits-per-minute", flags->submits_per_minute, "Jobs submitted in a minute")
      ->type_name("N");
  set->add_option("--energy-wh-per-day", flags->energy_wh_per_day,
                  "Watt-hours of what ended in the day (UTC) and of what open jobs are expected to "
                  "take")
      ->type_name("X");
  set->add_option("--artifact-gib", flags->artifact_gib,
                  "GiB of the artifacts that the person pushed or whose jobs made")
      ->type_name("X");
  slot->Bind(set, [flags](Session& session) { return SetQuota(session, *flags); });
  slot->Bind(AddLeaf(quota, "ls",
                     "List the quotas and what is used of them; yours alone unless you "
                     "are an operator or admin.",
                     "  wattle quota ls\n"),
             ListQuotas);
  const auto whose = std::make_shared<QuotaFlags>();
  CLI::App* remove = AddLeaf(quota, "rm", "End a person's or a project's quota, for admins.",
                             "  wattle quota rm ann\n"
                             "  wattle quota rm --project north\n");
  AddWhose(remove, whose.get());
  slot->Bind(remove, [whose](Session& session) { return RemoveQuota(session, *whose); });
}

}  // namespace wattle::cli
