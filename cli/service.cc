// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle service token|page-token|ls|revoke: programs that read lists and metrics over HTTPS.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/access_view.h"
#include "cli/contexts.h"
#include "cli/session.h"
#include "cli/table.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"

namespace wattle::cli {
namespace {

constexpr int kServiceTokenDaysMax = 366;

struct ServiceFlags {
  std::string service;
  std::string ttl = "90d";
  std::string token_id;
};

// A scraper's needs besides the token: how to verify the coordinator and the workers.
void PrintSurroundings(Session& session, const v1::CreatedToken& token) {
  const absl::StatusOr<Contexts> contexts = Contexts::Load(session.environment());
  const absl::StatusOr<std::string> name =
      contexts.ok() ? contexts->Choose(session.context()) : contexts.status();
  if (name.ok()) {
    session.PrintRemark(
        absl::StrCat("the CA file for it: ", contexts->FolderOf(*name), "/roots.pem"));
  }
  session.PrintRemark("for the pages of workers: wattle service page-token");
  session.PrintRemark(absl::StrCat("to end it: wattle service revoke ", token.token_id()));
}

absl::StatusOr<ExitCode> MakeServiceToken(Session& session, const ServiceFlags& flags) {
  v1::CreateServiceTokenRequest request;
  request.set_service(flags.service);
  WATTLE_ASSIGN_OR_RETURN(const absl::Duration ttl, ParseTtl(flags.ttl, kServiceTokenDaysMax));
  request.set_ttl_seconds(absl::ToDoubleSeconds(ttl));
  WATTLE_ASSIGN_OR_RETURN(const v1::CreateTokensResponse made,
                          session.client().Call(&AccessStub::CreateServiceToken, request));
  PrintTokens(session, made);
  for (const v1::CreatedToken& token : made.tokens()) {
    PrintSurroundings(session, token);
  }
  return ExitCode::kOk;
}

// Made locally: only the workers get to know the token, by its SHA-256.
absl::StatusOr<ExitCode> MakePageToken(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const std::string id, tls::RandomHex(tls::kTokenIdBytes));
  WATTLE_ASSIGN_OR_RETURN(const std::string secret, tls::RandomHex(tls::kTokenSecretBytes));
  v1::CreateTokensResponse made;
  v1::CreatedToken& token = *made.add_tokens();
  token.set_token_id(id);
  token.set_token(tls::FormatPageToken({id, secret}));
  PrintTokens(session, made);
  session.PrintRemark(absl::StrCat("for wattle-worker --metrics-token-file: ",
                                   tls::ToHex(tls::Sha256(token.token()))));
  session.PrintRemark("to end it: take its line out of those files");
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListServices(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(v1::ListIdentitiesResponse list,
                          session.client().Call(&AccessStub::ListIdentities));
  list = OfKind(std::move(list), "service");
  session.Print(list, [&] { return RenderServices(list, session.Now(), session.style()); });
  return ExitCode::kOk;
}

}  // namespace

void AddServiceCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* service =
      AddGroup(app, "service",
               "Programs that read lists and metrics: token, page-token, ls, revoke. For admins.",
               "  wattle service token prometheus --ttl 90d\n"
               "  wattle service page-token\n"
               "  wattle service revoke 0123456789abcdef\n");
  const auto flags = std::make_shared<ServiceFlags>();
  CLI::App* token =
      AddLeaf(service, "token",
              "Make a token by which a program, such as Prometheus, reads lists and metrics of the "
              "HTTPS port. The token is shown once.",
              "  (umask 077 && wattle service token prometheus --ttl 90d > wattle-token)\n");
  token->add_option("NAME", flags->service, "Of the program, for people")->required();
  token->add_option("--ttl", flags->ttl, "How long it works; default 90d, at most 366d")
      ->type_name("TIME");
  slot->Bind(token, [flags](Session& session) { return MakeServiceToken(session, *flags); });
  slot->Bind(AddLeaf(service, "page-token",
                     "Make a token by which a program reads the pages of workers "
                     "(--metrics-token-file), and nothing of the coordinator. It is shown once.",
                     "  (umask 077 && wattle service page-token > wattle-page-token)\n"),
             MakePageToken);
  slot->Bind(AddLeaf(service, "ls", "List the services' tokens with their ends, for operators too.",
                     "  wattle service ls\n"),
             ListServices);
  CLI::App* revoke = AddLeaf(service, "revoke", "End a token from the next request on.",
                             "  wattle service revoke 0123456789abcdef\n");
  revoke
      ->add_option("ID", flags->token_id,
                   "Of the token, the part after wattle-service: or all of it")
      ->required();
  slot->Bind(revoke, [flags](Session& session) { return EndToken(session, flags->token_id); });
}

}  // namespace wattle::cli
