// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle profile ls|show: the profile rows, from which predictions are made.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/fleet_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

absl::StatusOr<ExitCode> ListProfiles(Session& session, const std::string& device_class) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse profiles,
                          session.client().ListProfiles(device_class));
  session.Print(profiles, [&] { return RenderProfiles(profiles, session.style()); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Show(Session& session, const std::string& device_class) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse profiles,
                          session.client().ListProfiles(device_class));
  if (profiles.rows().empty()) {
    return absl::NotFoundError(absl::StrCat("no profile rows of class ", device_class,
                                            "; see the classes with wattle profile ls"));
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
  CLI::App* noun =
      AddGroup(app, "profile",
               "Profile rows, the measured and published numbers behind predictions: ls, show.",
               "  wattle profile ls\n"
               "  wattle profile show jetson-orin-nano\n");
  const auto class_filter = std::make_shared<std::string>();
  CLI::App* list = AddLeaf(noun, "ls", "List profile rows, measured ones first.",
                           "  wattle profile ls\n"
                           "  wattle profile ls --class jetson-orin-nano\n");
  list->add_option("--class", *class_filter, "Only rows of this device class")->type_name("CLASS");
  slot->Bind(list,
             [class_filter](Session& session) { return ListProfiles(session, *class_filter); });
  const auto shown = std::make_shared<std::string>();
  CLI::App* show = AddLeaf(noun, "show", "Show every number of a device class's rows.",
                           "  wattle profile show jetson-orin-nano\n");
  show->add_option("CLASS", *shown, "Device class")->required();
  slot->Bind(show, [shown](Session& session) { return Show(session, *shown); });
}

}  // namespace wattle::cli
