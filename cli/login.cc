// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle login`, `wattle whoami`, `wattle context …` and `wattle person …`.
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/access_view.h"
#include "cli/contexts.h"
#include "cli/session.h"
#include "cli/table.h"
#include <CLI/App.hpp>
#include <google/protobuf/struct.pb.h>

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/private_file.h"
#include "base/tls/token.h"
#include "identity/enroll.h"
#include "identity/identity.h"
#include "proto/project_name.h"

namespace wattle::cli {
namespace {

struct LoginFlags {
  std::string token;
  std::string name;
};

// "spiffe://FLEET/person/ID" → "ID's of the fleet FLEET".
std::string WhoseWords(const std::string& uri) {
  const std::vector<std::string> parts = absl::StrSplit(uri, '/');
  constexpr size_t kFleet = 2;
  return parts.size() > kFleet ? absl::StrCat(parts.back(), "'s of the fleet ", parts[kFleet])
                               : absl::StrCat(uri, "'s");
}

// A login may replace only the identity of the same person: the key of another person would be
// lost.
absl::Status CheckReplaces(const Contexts& contexts, const std::string& name,
                           const identity::Identity& enrolled) {
  const absl::StatusOr<std::string> kept = identity::UriIn(contexts.FolderOf(name));
  if (!kept.ok() || *kept == enrolled.uri) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(absl::StrCat(
      "context ", name, ": is ", WhoseWords(*kept), ", and the token is ", WhoseWords(enrolled.uri),
      "; repeat it with --name NAME, or after wattle context rm ", name));
}

// Makes the key and exchanges the token. The folder is named after the token: if the answer was
// lost, or the context belongs to another person, repeating the command with any name finds the key
// again.
absl::StatusOr<identity::Identity> Exchange(const std::string& folder, const std::string& token) {
  absl::StatusOr<identity::Identity> enrolled = identity::Enroll(folder, token, "");
  if (absl::IsPermissionDenied(enrolled.status())) {
    std::error_code ignored;  // the token is useless, and so is a key for it
    std::filesystem::remove_all(folder, ignored);
  }
  return enrolled;
}

// A later login in the same context has a new key; the earlier key is removed with its folder.
absl::StatusOr<ExitCode> Login(Session& session, const LoginFlags& flags) {
  std::string text = flags.token;
  if (text == "-") {
    std::getline(*session.environment().in, text);
  }
  WATTLE_ASSIGN_OR_RETURN(const tls::Token token, tls::ParseToken(text));
  WATTLE_ASSIGN_OR_RETURN(Contexts contexts, Contexts::Load(session.environment()));
  WATTLE_RETURN_IF_ERROR(CheckContextName("--name", flags.name));
  const std::string folder = contexts.FolderOf(flags.name);
  WATTLE_RETURN_IF_ERROR(contexts.MakeFolders());
  // The old identity stays until the new one exists. No context's name begins with a dot.
  const std::string fresh = contexts.FolderOf(absl::StrCat(".", token.id));
  WATTLE_ASSIGN_OR_RETURN(const identity::Identity enrolled, Exchange(fresh, text));
  WATTLE_RETURN_IF_ERROR(CheckReplaces(contexts, flags.name, enrolled));
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::rename(fresh, folder, error);
  if (error) {
    return FileError(error.value(), folder, "cannot keep the identity");
  }
  WATTLE_RETURN_IF_ERROR(contexts.Add(flags.name, token.address));
  session.PrintText(absl::StrCat("logged in as ", enrolled.id(), " to ", token.address,
                                 ", context ", flags.name, ", now in use\n"));
  return ExitCode::kOk;
}

// The person's quota; "" if there is none, or if an older coordinator does not support quotas.
std::string OwnQuota(Session& session, const std::string& person) {
  const absl::StatusOr<v1::ListQuotasResponse> quotas =
      session.client().Call(&AccessStub::ListQuotas);
  if (quotas.ok()) {
    for (const v1::QuotaUse& use : quotas->quotas()) {
      if (use.quota().owner() == person) {
        return absl::StrCat("quota: ", QuotaWords(use), "\n");
      }
    }
  }
  return "";
}

// "" for a member of only the default project, as everyone is if there are no projects.
std::string ProjectWords(const v1::WhoAmIResponse& me) {
  const bool has_others =
      me.projects_size() > 1 || (me.projects_size() == 1 && me.projects(0) != kDefaultProject);
  return has_others ? absl::StrCat("projects: ", absl::StrJoin(me.projects(), ", "), "\n") : "";
}

absl::StatusOr<ExitCode> WhoAmI(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::WhoAmIResponse me, session.client().Call(&AccessStub::WhoAmI));
  session.Print(me, [&] {
    const absl::Time end = absl::UnixEpoch() + absl::Seconds(me.not_after_unix_seconds());
    return absl::StrCat(me.id(), " (", absl::StrJoin(me.roles(), ", "), ")",
                        me.identity().empty() ? "" : absl::StrCat(", ", me.identity()),
                        me.not_after_unix_seconds() == 0.0
                            ? ""
                            : absl::StrCat(", certificate until ",
                                           absl::FormatTime("%Y-%m-%d", end, absl::UTCTimeZone())),
                        "\n", ProjectWords(me), OwnQuota(session, me.id()));
  });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListContexts(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const Contexts contexts, Contexts::Load(session.environment()));
  google::protobuf::Struct json;
  google::protobuf::ListValue& rows = *(*json.mutable_fields())["contexts"].mutable_list_value();
  std::string text;
  for (const auto& [name, coordinator] : contexts.coordinators()) {
    const bool is_used = name == contexts.current();
    absl::StrAppend(&text, is_used ? "* " : "  ", name, "  ", coordinator, "\n");
    auto& row = *rows.add_values()->mutable_struct_value()->mutable_fields();
    row["name"].set_string_value(name);
    row["coordinator"].set_string_value(coordinator);
    row["in_use"].set_bool_value(is_used);
  }
  session.Print(json, [&text] {
    return text.empty() ? "no contexts; wattle login TOKEN makes one\n" : text;
  });
  return ExitCode::kOk;
}

using ContextChange = absl::Status (Contexts::*)(const std::string&);

void BindContext(CLI::App* leaf, CommandSlot* slot, ContextChange change) {
  const auto name = std::make_shared<std::string>();
  leaf->add_option("NAME", *name, "Of wattle context list")->required();
  slot->Bind(leaf, [name, change](Session& session) -> absl::StatusOr<ExitCode> {
    WATTLE_ASSIGN_OR_RETURN(Contexts contexts, Contexts::Load(session.environment()));
    WATTLE_RETURN_IF_ERROR((contexts.*change)(*name));
    return ExitCode::kOk;
  });
}

struct PersonFlags {
  std::string person;
  std::string role;
  std::string ttl = "1h";
  std::string address;
  std::string reason;
  std::vector<std::string> projects;
};

absl::StatusOr<ExitCode> PersonToken(Session& session, const PersonFlags& flags) {
  v1::CreatePersonTokenRequest request;
  request.set_person(flags.person);
  request.set_role(flags.role);
  request.mutable_projects()->Add(flags.projects.begin(), flags.projects.end());
  WATTLE_ASSIGN_OR_RETURN(const absl::Duration ttl, ParseTtl(flags.ttl, kTokenDaysMax));
  request.set_ttl_seconds(absl::ToDoubleSeconds(ttl));
  request.set_address(flags.address.empty() ? session.client().address() : flags.address);
  WATTLE_ASSIGN_OR_RETURN(const v1::CreateTokensResponse made,
                          session.client().Call(&AccessStub::CreatePersonToken, request));
  PrintTokens(session, made);
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> RevokePerson(Session& session, const PersonFlags& flags) {
  v1::RevokePersonRequest request;
  request.set_person(flags.person);
  request.set_reason(flags.reason);
  const IdentitiesBefore before(session);
  WATTLE_RETURN_IF_ERROR(session.client().Call(&AccessStub::RevokePerson, request).status());
  const std::string person = Printable(flags.person);
  session.PrintText(before.WasRevoked("person", flags.person)
                        ? absl::StrCat(person, " was revoked already\n")
                        : absl::StrCat("revoked ", person, "\n"));
  return ExitCode::kOk;
}

}  // namespace

absl::StatusOr<absl::Duration> ParseTtl(const std::string& text, int days_max) {
  absl::Duration ttl;
  int days = 0;
  if (absl::EndsWith(text, "d") && absl::SimpleAtoi(text.substr(0, text.size() - 1), &days)) {
    ttl = absl::Hours(24) * days;
  } else if (!absl::ParseDuration(text, &ttl)) {
    ttl = absl::ZeroDuration();
  }
  if (ttl <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--ttl ", text, ": wanted a time such as 30m, 24h or 30d"));
  }
  if (ttl < absl::Minutes(1) || ttl > absl::Hours(24) * days_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("--ttl ", text, ": wanted 1m to ", days_max, "d"));
  }
  return ttl;
}

IdentitiesBefore::IdentitiesBefore(Session& session)
    : list_(session.client()
                .Call(&AccessStub::ListIdentities)
                .value_or(v1::ListIdentitiesResponse())) {}

const v1::IdentityRecord* IdentitiesBefore::Find(absl::string_view kind,
                                                 absl::string_view id) const {
  for (const v1::IdentityRecord& record : list_.identities()) {
    if (record.kind() == kind && record.id() == id) {
      return &record;
    }
  }
  return nullptr;
}

bool IdentitiesBefore::WasRevoked(absl::string_view kind, absl::string_view id) const {
  const v1::IdentityRecord* const known = Find(kind, id);
  return known != nullptr && known->revoked();
}

absl::StatusOr<ExitCode> EndToken(Session& session, const std::string& text) {
  std::string id = text;
  if (text.empty()) {
    return absl::InvalidArgumentError("token: empty, wanted its id, or the whole text of a token");
  }
  if (const auto service = tls::ParseServiceToken(text); service.ok()) {
    id = service->id;
  } else if (const auto enrolment = tls::ParseToken(text); enrolment.ok()) {
    id = enrolment->id;
  } else if (absl::StrContains(text, ':')) {
    // The text may hold a secret: neither a call nor a message repeats it.
    return absl::InvalidArgumentError("token: wanted its id, or the whole text of a token");
  }
  const absl::Status ended = session.client().Call(&AccessStub::RevokeToken, id).status();
  // A repeated command finds the token already ended, which is the wanted state.
  if (!ended.ok() && !absl::IsAlreadyExists(ended)) {
    return ended;
  }
  session.Print(v1::RevokeTokenResponse(), [&] {
    return ended.ok() ? absl::StrCat("revoked the token ", Printable(id), "\n")
                      : absl::StrCat("the token ", Printable(id), " was revoked already\n");
  });
  return ExitCode::kOk;
}

void PrintTokens(Session& session, const v1::CreateTokensResponse& made) {
  session.Print(made, [&] {
    std::string text;
    for (const v1::CreatedToken& token : made.tokens()) {
      absl::StrAppend(&text, token.token(), "\n");
    }
    return text;
  });
}

void AddLoginCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* login = AddLeaf(app, "login",
                            "Exchange a token for a certificate, and keep it as a named context, "
                            "which is in use from now on. The key is made here and stays here.",
                            "  wattle login wattle1:...\n"
                            "  wattle-coordinator access admin-token --data-dir ./data | wattle "
                            "login -\n");
  const auto login_flags = std::make_shared<LoginFlags>();
  login->add_option("TOKEN", login_flags->token, "-: read it from standard input")->required();
  login_flags->name = "default";
  login
      ->add_option("--name", login_flags->name,
                   "Of the context, which is then in use; default: default")
      ->type_name("NAME");
  slot->Bind(login, [login_flags](Session& session) { return Login(session, *login_flags); });

  slot->Bind(AddLeaf(app, "whoami", "Who the coordinator takes you for, and your roles.",
                     "  wattle whoami\n"),
             WhoAmI);

  CLI::App* context = AddGroup(app, "context", "The fleets that you logged in to: list, use, rm.",
                               "  wattle context list\n"
                               "  wattle context use home\n");
  slot->Bind(
      AddLeaf(context, "list", "List them; * marks the one in use.", "  wattle context list\n"),
      ListContexts);
  BindContext(AddLeaf(context, "use", "Use this one from now on.", "  wattle context use home\n"),
              slot, &Contexts::Use);
  BindContext(AddLeaf(context, "rm", "Forget one, with its key.", "  wattle context rm home\n"),
              slot, &Contexts::Remove);

  CLI::App* person = AddGroup(app, "person", "People: token, revoke. For admins.",
                              "  wattle person token ann --role operator\n"
                              "  wattle person revoke ann\n");
  const auto flags = std::make_shared<PersonFlags>();
  CLI::App* token = AddLeaf(person, "token",
                            "Make a token by which a person logs in, once. A later login of the "
                            "same person replaces the earlier one.",
                            "  wattle person token ann --role operator\n");
  token->add_option("NAME", flags->person, "Who logs in")->required();
  token->add_option("--role", flags->role, "viewer, submitter, operator or admin")
      ->required()
      ->type_name("ROLE");
  token->add_option("--ttl", flags->ttl, "How long the token works; default 1h, at most 30d")
      ->type_name("TIME");
  token->add_option("--address", flags->address, "That the token names; default: the one used now")
      ->type_name("HOST:PORT");
  token
      ->add_option("--project", flags->projects,
                   "Of which the person is a member; default: default")
      ->delimiter(',')
      ->type_name("NAME,NAME");
  slot->Bind(token, [flags](Session& session) { return PersonToken(session, *flags); });
  CLI::App* revoke = AddLeaf(person, "revoke", "Shut a person out from the next call on.",
                             "  wattle person revoke ann --reason \"left\"\n");
  revoke->add_option("NAME", flags->person, "Who")->required();
  revoke->add_option("--reason", flags->reason, "Why, for people")->type_name("TEXT");
  slot->Bind(revoke, [flags](Session& session) { return RevokePerson(session, *flags); });
}

}  // namespace wattle::cli
