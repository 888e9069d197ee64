// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle access ls|status|rotate-ca|retire-ca: lists who has access and which root certified it.
#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
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
  WATTLE_ASSIGN_OR_RETURN(v1::ListIdentitiesResponse list,
                          session.client().Call(&AccessStub::ListIdentities));
  list = OfKind(std::move(list), kind);
  session.Print(list, [&] { return RenderIdentities(list, session.Now(), session.style()); });
  return ExitCode::kOk;
}

// Board names are only for readability; if they cannot be fetched, the ids suffice.
std::string RootsText(Session& session, const v1::GetAuthorityResponse& roots) {
  const absl::StatusOr<v1::ListDevicesResponse> devices =
      session.client().Call(&DeviceStub::ListDevices);
  return RenderRoots(WithDeviceNames(roots, devices.value_or(v1::ListDevicesResponse())),
                     session.style());
}

absl::StatusOr<ExitCode> TellRoots(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::GetAuthorityResponse roots,
                          session.client().Call(&AccessStub::GetAuthority));
  session.Print(roots, [&] { return RootsText(session, roots); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> RotateRoot(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::GetAuthorityResponse roots,
                          session.client().Call(&AccessStub::RotateAuthority));
  session.Print(roots, [&] {
    return absl::StrCat("made a new root; both are trusted, and each renewal moves somebody\n",
                        RootsText(session, roots));
  });
  return ExitCode::kOk;
}

struct RetireFlags {
  std::string root;
  bool force = false;
};

absl::StatusOr<ExitCode> RetireRoot(Session& session, const RetireFlags& flags) {
  v1::RetireAuthorityRequest request;
  const bool hex = flags.root.size() % 2 == 0 &&
                   std::all_of(flags.root.begin(), flags.root.end(), absl::ascii_isxdigit);
  if (!hex) {
    return absl::InvalidArgumentError(
        absl::StrCat("root ", flags.root, ": wanted hex digits as in 'wattle access status'"));
  }
  request.set_root_sha256(absl::HexStringToBytes(flags.root));
  request.set_force(flags.force);
  WATTLE_ASSIGN_OR_RETURN(const v1::GetAuthorityResponse roots,
                          session.client().Call(&AccessStub::RetireAuthority, request));
  session.Print(roots,
                [&] { return absl::StrCat("retired the root\n", RootsText(session, roots)); });
  return ExitCode::kOk;
}

void AddRootCommands(CLI::App* access, CommandSlot* slot) {
  slot->Bind(AddLeaf(access, "status",
                     "List the roots that the fleet trusts, and who is left under an old one.",
                     "  wattle access status\n"),
             TellRoots);
  slot->Bind(AddLeaf(access, "rotate-ca",
                     "Make a new root and issuing key beside the old ones, for admins. Work goes "
                     "on; boards and people move when they renew.",
                     "  wattle access rotate-ca\n"),
             RotateRoot);
  const auto flags = std::make_shared<RetireFlags>();
  CLI::App* retire = AddLeaf(access, "retire-ca",
                             "Trust an old root no more, for admins, once nobody is left under it.",
                             "  wattle access retire-ca\n"
                             "  wattle access retire-ca 4f1c22ab --force\n");
  retire->add_option("ROOT", flags->root, "Its first digits, 8 or more; default: the oldest");
  retire->add_flag("--force", flags->force,
                   "Although some are left: they are locked out and must enrol again");
  slot->Bind(retire, [flags](Session& session) { return RetireRoot(session, *flags); });
}

}  // namespace

void AddAccessCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* access =
      AddGroup(app, "access",
               "Who is let in, and by which root: ls, status, rotate-ca, retire-ca. For operators.",
               "  wattle access ls --kind device\n"
               "  wattle access status\n");
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
  AddRootCommands(access, slot);
}

}  // namespace wattle::cli
