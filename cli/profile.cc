// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle profiles, wattle profile ls|show: the profile rows, from which predictions are made.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/profile_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

absl::StatusOr<ExitCode> ListProfiles(Session& session, const std::string& device_class) {
  if (session.json()) {
    WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse profiles,
                            session.client().ListProfiles(device_class));
    session.Print(profiles, [] { return std::string(); });
    return ExitCode::kOk;
  }
  ProfileFacts facts;
  facts.now = session.Now();
  WATTLE_ASSIGN_OR_RETURN(facts.profiles, session.client().ListProfiles(""));
  WATTLE_ASSIGN_OR_RETURN(facts.devices, session.client().ListDevices());
  session.PrintText(RenderProfiles(facts, device_class, session.style()));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Show(Session& session, const std::string& device_class, bool front) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse profiles,
                          session.client().ListProfiles(device_class));
  if (profiles.rows().empty()) {
    return absl::NotFoundError(absl::StrCat("no profile rows of class ", device_class,
                                            "; see the classes with wattle profile ls"));
  }
  if (front && !session.json()) {
    const std::string fronts = RenderFronts(profiles, session.style());
    if (fronts.empty()) {
      return absl::NotFoundError(
          absl::StrCat("profile show ", device_class,
                       " --front: no measured row of this class has seconds and "
                       "joules; run a job on a board with a power sensor first"));
    }
    session.PrintText(fronts);
    return ExitCode::kOk;
  }
  session.Print(profiles, [&] {
    std::string text;
    for (const v1::ProfileRow& row : profiles.rows()) {
      absl::StrAppend(&text, text.empty() ? "" : "\n", RenderProfileRow(row));
    }
    return text;
  });
  return ExitCode::kOk;
}

}  // namespace

void AddProfileCommands(CLI::App* app, CommandSlot* slot) {
  const auto add_list = [slot](CLI::App* parent, const std::string& name,
                               const std::string& command) {
    const auto device_class = std::make_shared<std::string>();
    CLI::App* list = AddLeaf(
        parent, name,
        "List profile rows, measured ones first: the mean, the interval that nine runs in ten keep "
        "to, runs, age, source and drift; then what to measure next.",
        absl::StrCat("  ", command, "\n  ", command, " --class jetson-orin-nano\n"));
    list->add_option("--class", *device_class, "Only rows of this device class")
        ->type_name("CLASS");
    slot->Bind(list,
               [device_class](Session& session) { return ListProfiles(session, *device_class); });
  };
  add_list(app, "profiles", "wattle profiles");
  CLI::App* noun =
      AddGroup(app, "profile",
               "Profile rows, the measured and published numbers behind predictions: ls, show.",
               "  wattle profile ls\n"
               "  wattle profile show jetson-orin-nano\n");
  add_list(noun, "ls", "wattle profile ls");
  const auto shown = std::make_shared<std::string>();
  const auto front = std::make_shared<bool>(false);
  CLI::App* show = AddLeaf(noun, "show", "Show every number of a device class's rows.",
                           "  wattle profile show jetson-orin-nano\n"
                           "  wattle profile show jetson-orin-nano --front\n");
  show->add_option("CLASS", *shown, "Device class")->required();
  show->add_flag("--front", *front,
                 "Draw seconds against joules over the power modes of each workload instead");
  slot->Bind(show, [shown, front](Session& session) { return Show(session, *shown, *front); });
}

}  // namespace wattle::cli
