// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle access ls: who is let in.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/access_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

absl::StatusOr<ExitCode> ListIdentities(Session& session, const std::string& kind) {
  if (!kind.empty() && kind != "device" && kind != "person" && kind != "service") {
    return absl::InvalidArgumentError(
        absl::StrCat("--kind ", kind, ": wanted device, person or service"));
  }
  WATTLE_ASSIGN_OR_RETURN(v1::ListIdentitiesResponse list, session.client().ListIdentities());
  list = OfKind(std::move(list), kind);
  session.Print(list, [&] { return RenderIdentities(list, session.Now(), session.style()); });
  return ExitCode::kOk;
}

}  // namespace

void AddAccessCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* access = AddGroup(app, "access", "Who is let in: ls. For operators.",
                              "  wattle access ls --kind device\n");
  CLI::App* list =
      AddLeaf(access, "ls",
              "List the boards and people who enrolled, services, and tokens that are not spent.",
              "  wattle access ls\n"
              "  wattle access ls --kind person\n"
              "  wattle -o json access ls | jq -r '.identities[] | "
              "select(.waits_for_approval).id'\n");
  const auto kind = std::make_shared<std::string>();
  list->add_option("--kind", *kind, "device, person or service alone")->type_name("KIND");
  slot->Bind(list, [kind](Session& session) { return ListIdentities(session, *kind); });
}

}  // namespace wattle::cli
