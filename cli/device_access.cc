// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle device token|approve|revoke: which boards belong to the fleet.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/session.h"
#include "cli/since.h"
#include "cli/table.h"
#include <CLI/App.hpp>

#include "base/host_port.h"
#include "base/status_macros.h"

namespace wattle::cli {
namespace {

struct TokenFlags {
  std::vector<std::string> labels;
  std::string ttl = "1h";
  int uses = 1;
  int count = 1;
  std::string address;
  std::optional<std::string> revoke;
  bool approve = false;
};

absl::StatusOr<ExitCode> MakeDeviceTokens(Session& session, const TokenFlags& flags) {
  if (flags.revoke.has_value()) {
    return EndToken(session, *flags.revoke);
  }
  v1::CreateDeviceTokensRequest request;
  for (const std::string& text : flags.labels) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat("--label ", text, ": wanted key=value"));
    }
    v1::Label& label = *request.add_labels();
    label.set_key(text.substr(0, equals));
    label.set_value(text.substr(equals + 1));
  }
  WATTLE_ASSIGN_OR_RETURN(const absl::Duration ttl, ParseTtl(flags.ttl, kTokenDaysMax));
  request.set_ttl_seconds(absl::ToDoubleSeconds(ttl));
  request.set_uses(flags.uses);
  request.set_count(flags.count);
  request.set_approve(flags.approve);
  request.set_address(flags.address.empty() ? session.client().address() : flags.address);
  WATTLE_ASSIGN_OR_RETURN(const v1::CreateTokensResponse made,
                          session.client().Call(&AccessStub::CreateDeviceTokens, request));
  PrintTokens(session, made);
  const absl::StatusOr<HostPort> address = ParseHostPort("--address", request.address());
  if (address.ok() && IsLoopback(*address)) {
    session.PrintRemark(absl::StrCat("the token names ", request.address(),
                                     ", which is this machine alone; for other boards give "
                                     "--address HOST:PORT"));
  }
  return ExitCode::kOk;
}

// "nano-1 (ID)"; only the id for a board that has not connected yet, whose name is unknown.
std::string BoardWords(const std::string& name, const std::string& device_id) {
  return name.empty() ? device_id : absl::StrCat(Printable(name), " (", device_id, ")");
}

absl::StatusOr<ExitCode> ApproveDevice(Session& session, const std::string& device) {
  const IdentitiesBefore before(session);
  WATTLE_ASSIGN_OR_RETURN(const v1::ApproveDeviceResponse approved,
                          session.client().Call(&AccessStub::ApproveDevice, device));
  session.Print(approved, [&] {
    const std::string board = BoardWords(approved.name(), approved.device_id());
    const v1::IdentityRecord* const known = before.Find("device", approved.device_id());
    return known != nullptr && !known->waits_for_approval()
               ? absl::StrCat(board, " does not wait for an approval\n")
               : absl::StrCat("approved ", board,
                              approved.name().empty() ? ", which has not connected yet\n" : "\n");
  });
  return ExitCode::kOk;
}

struct RevokeFlags {
  std::string device;
  std::string reason;
  std::string since;
};

absl::StatusOr<ExitCode> RevokeDevice(Session& session, const RevokeFlags& flags) {
  v1::RevokeDeviceRequest request;
  request.set_device(flags.device);
  request.set_reason(flags.reason);
  if (!flags.since.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const absl::Time since, ParseSince(flags.since, session.Now()));
    request.set_since_unix_seconds(absl::ToDoubleSeconds(since - absl::UnixEpoch()));
  }
  const IdentitiesBefore before(session);
  WATTLE_ASSIGN_OR_RETURN(const v1::RevokeDeviceResponse revoked,
                          session.client().Call(&AccessStub::RevokeDevice, request));
  session.Print(revoked, [&] {
    const std::string board = BoardWords(revoked.name(), revoked.device_id());
    const std::string unknown = revoked.name().empty() ? ", which has never connected" : "";
    const std::string done = before.WasRevoked("device", revoked.device_id())
                                 ? absl::StrCat(board, " was revoked already\n")
                                 : absl::StrCat("revoked ", board, unknown, "\n");
    return absl::StrCat(done, !revoked.job_ids().empty()
                                  ? absl::StrCat("results that came from it: ",
                                                 absl::StrJoin(revoked.job_ids(), ", "), "\n")
                              : flags.since.empty() ? ""
                                                    : "no job ended on it since\n");
  });
  return ExitCode::kOk;
}

}  // namespace

void AddDeviceAccessCommands(CLI::App* device, CommandSlot* slot) {
  CLI::App* token = AddLeaf(device, "token",
                            "Make tokens by which boards enrol: on the board, 'wattle-worker "
                            "enroll TOKEN'. The token is shown once.",
                            "  wattle device token --label site=mast3 --ttl 1h\n"
                            "  wattle -o json device token --count 100 --ttl 24h\n"
                            "  wattle device token --approve\n"
                            "  wattle device token --revoke 0123456789abcdef\n");
  const auto flags = std::make_shared<TokenFlags>();
  token->add_option("--label", flags->labels, "key=value of every board that enrols by it")
      ->type_name("LABEL");
  token->add_option("--ttl", flags->ttl, "How long it works; default 1h, at most 720h")
      ->type_name("TIME");
  token->add_option("--uses", flags->uses, "Boards that may enrol by it; default 1")
      ->type_name("N");
  token->add_option("--count", flags->count, "Tokens to make; default 1")->type_name("N");
  token
      ->add_option("--address", flags->address,
                   "Of the coordinator, as the boards reach it; default: the one used now")
      ->type_name("HOST:PORT");
  token->add_flag("--approve", flags->approve,
                  "Boards that enrol by it get no work before 'wattle device approve'");
  token->add_option("--revoke", flags->revoke, "Make none; end the token of this id")
      ->type_name("ID");
  slot->Bind(token, [flags](Session& session) { return MakeDeviceTokens(session, *flags); });

  CLI::App* approve =
      AddLeaf(device, "approve", "Let a board work that enrolled by a token of --approve.",
              "  wattle device approve nano-1\n");
  const auto approved = std::make_shared<std::string>();
  approve->add_option("DEVICE", *approved, "Name, id, or a unique beginning of the id")->required();
  slot->Bind(approve, [approved](Session& session) { return ApproveDevice(session, *approved); });

  CLI::App* revoke =
      AddLeaf(device, "revoke",
              "Shut a board out: its stream ends, its next call is refused, its work "
              "goes elsewhere. A new token and a new key let it in again.",
              "  wattle device revoke nano-1 --reason stolen --since 7d\n");
  const auto revoke_flags = std::make_shared<RevokeFlags>();
  revoke->add_option("DEVICE", revoke_flags->device, "Name, id, or a unique beginning of the id")
      ->required();
  revoke->add_option("--reason", revoke_flags->reason, "Why, for people")->type_name("TEXT");
  revoke
      ->add_option("--since", revoke_flags->since,
                   "Since when its word counts no more: 7d, 12h, or a date; default: ever. The "
                   "answer lists the jobs whose attempts ended there since")
      ->type_name("TIME");
  slot->Bind(revoke,
             [revoke_flags](Session& session) { return RevokeDevice(session, *revoke_flags); });
}

}  // namespace wattle::cli
