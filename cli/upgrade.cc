// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle upgrade plan|start|status|pause|resume|abort.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/session.h"
#include "cli/upgrade_view.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "proto/release_version.h"
#include "proto/upgrade_stage.h"

namespace wattle::cli {
namespace {

struct UpgradeFlags {
  std::string version;
  std::vector<std::string> stages;
  bool allow_downgrade = false;
};

absl::StatusOr<v1::StartUpgradeRequest> RequestOf(const UpgradeFlags& flags) {
  v1::StartUpgradeRequest request;
  request.set_version(std::string(absl::StripPrefix(flags.version, "v")));  // a tag begins with v
  if (!ParseReleaseVersion(request.version()).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--to ", flags.version, ": wants a version such as 1.4.0 or 1.5.0-rc.1"));
  }
  request.set_allow_downgrade(flags.allow_downgrade);
  for (const std::string& text : flags.stages) {
    for (const absl::string_view one : absl::StrSplit(text, ',')) {
      auto stage = ParseUpgradeStage(one);
      if (!stage.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("--stage: ", stage.status().message()));
      }
      *request.add_stages() = *std::move(stage);
    }
  }
  return request;
}

absl::StatusOr<ExitCode> Show(Session& session, const absl::StatusOr<v1::Upgrade>& upgrade) {
  WATTLE_RETURN_IF_ERROR(upgrade.status());
  session.Print(*upgrade, [&] { return RenderUpgrade(*upgrade, session.Now(), session.style()); });
  return ExitCode::kOk;
}

// Prints the answer of a command that changed the upgrade.
absl::StatusOr<ExitCode> Tell(Session& session, const absl::StatusOr<v1::Upgrade>& upgrade) {
  WATTLE_RETURN_IF_ERROR(upgrade.status());
  session.Print(*upgrade, [&] { return RenderUpgradeState(*upgrade); });
  return ExitCode::kOk;
}

void AddRequest(CLI::App* leaf, UpgradeFlags& flags) {
  leaf->add_option("--to", flags.version, "Version or tag of a release, as wattle release ls shows")
      ->required()
      ->type_name("VERSION");
  leaf->add_option("--stage", flags.stages,
                   "Stages, by commas: a label (label=canary, site=mast) or the share of the fleet "
                   "that has begun after it (20%). Without it: the whole fleet")
      ->type_name("STAGES");
  leaf->add_flag("--allow-downgrade", flags.allow_downgrade,
                 "Also where devices run a newer version");
}

void AddPlanAndStart(CLI::App* noun, CommandSlot* slot) {
  const auto planned = std::make_shared<UpgradeFlags>();
  CLI::App* plan =
      AddLeaf(noun, "plan", "Show which devices each stage would have; nothing starts.",
              "  wattle upgrade plan --to 0.3.0 --stage label=canary,20%,100%\n");
  AddRequest(plan, *planned);
  slot->Bind(plan, [planned](Session& session) -> absl::StatusOr<ExitCode> {
    WATTLE_ASSIGN_OR_RETURN(const v1::StartUpgradeRequest request, RequestOf(*planned));
    return Show(session, session.client().Call(&UpgradeStub::PlanUpgrade, request));
  });
  const auto started = std::make_shared<UpgradeFlags>();
  CLI::App* start = AddLeaf(
      noun, "start",
      "Bring a release to the fleet's workers, stage by stage. A stage stops by itself when two "
      "of its devices went back.",
      "  wattle upgrade start --to 0.3.0 --stage label=canary,20%,100%\n"
      "  wattle upgrade start --to v0.2.0 --allow-downgrade\n");
  AddRequest(start, *started);
  slot->Bind(start, [started](Session& session) -> absl::StatusOr<ExitCode> {
    WATTLE_ASSIGN_OR_RETURN(const v1::StartUpgradeRequest request, RequestOf(*started));
    return Show(session, session.client().Call(&UpgradeStub::StartUpgrade, request));
  });
}

}  // namespace

void AddUpgradeCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* noun = AddGroup(
      app, "upgrade", "Upgrades of the fleet's workers: plan, start, status, pause, resume, abort.",
      "  wattle upgrade plan --to 0.3.0 --stage label=canary,20%,100%\n"
      "  wattle upgrade status\n");
  AddPlanAndStart(noun, slot);
  const auto shown = std::make_shared<std::string>();
  CLI::App* status = AddLeaf(noun, "status", "Show an upgrade and its devices.",
                             "  wattle upgrade status\n"
                             "  wattle upgrade status u3\n");
  status->add_option("UPGRADE", *shown, "Id; without it: the latest");
  slot->Bind(status, [shown](Session& session) {
    return Show(session, session.client().Call(&UpgradeStub::GetUpgrade, *shown));
  });
  const auto paused = std::make_shared<std::string>();
  CLI::App* pause = AddLeaf(noun, "pause",
                            "Let no device switch until resume. Those that have switched end their "
                            "test.",
                            "  wattle upgrade pause --reason \"harvest is low\"\n");
  pause->add_option("--reason", *paused, "For whoever looks at it");
  slot->Bind(pause, [paused](Session& session) {
    return Tell(session, session.client().Call(&UpgradeStub::PauseUpgrade, *paused));
  });
  slot->Bind(AddLeaf(noun, "resume",
                     "Go on with a paused upgrade. Devices that went back are tried again.",
                     "  wattle upgrade resume\n"),
             [](Session& session) {
               return Tell(session, session.client().Call(&UpgradeStub::ResumeUpgrade));
             });
  const auto aborted = std::make_shared<std::string>();
  CLI::App* abort =
      AddLeaf(noun, "abort", "End the upgrade. Devices that did not switch yet stay as they are.",
              "  wattle upgrade abort --reason \"0.3.1 is better\"\n");
  abort->add_option("--reason", *aborted, "For whoever looks at it");
  slot->Bind(abort, [aborted](Session& session) {
    return Tell(session, session.client().Call(&UpgradeStub::AbortUpgrade, *aborted));
  });
}

}  // namespace wattle::cli
