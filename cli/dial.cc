// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/dial.h"

#include "absl/strings/str_cat.h"
#include "cli/contexts.h"

#include "base/clock.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "identity/enroll.h"
#include "identity/identity.h"

namespace wattle::cli {
namespace {

constexpr char kDefaultCoordinator[] = "127.0.0.1:7410";

absl::StatusOr<Dialling> Plaintext(const std::string& coordinator) {
  const std::string address = coordinator.empty() ? kDefaultCoordinator : coordinator;
  WATTLE_ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort("--coordinator", address));
  if (!IsLoopback(parsed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--plaintext-loopback: ", address, " is another machine; log in instead"));
  }
  return Dialling{address, grpc::InsecureChannelCredentials()};
}

}  // namespace

absl::StatusOr<Dialling> Dial(const DialFlags& flags, const Environment& environment) {
  if (flags.plaintext_loopback) {
    return Plaintext(flags.coordinator);
  }
  if (!flags.coordinator.empty()) {
    WATTLE_RETURN_IF_ERROR(ParseHostPort("--coordinator", flags.coordinator).status());
  }
  WATTLE_ASSIGN_OR_RETURN(const Contexts contexts, Contexts::Load(environment));
  WATTLE_ASSIGN_OR_RETURN(const std::string name, contexts.Choose(flags.context));
  absl::StatusOr<identity::Identity> identity = identity::Load(contexts.FolderOf(name));
  if (absl::IsNotFound(identity.status())) {
    return absl::PermissionDeniedError(
        absl::StrCat("context ", OneLine(name), ": ", contexts.FolderOf(name),
                     " has no certificate; an admin gives a token with 'wattle person token', "
                     "then: wattle login TOKEN"));
  }
  WATTLE_RETURN_IF_ERROR(WithContext(absl::StrCat("context ", name), identity.status()));
  const std::string coordinator =
      flags.coordinator.empty() ? contexts.coordinators().at(name) : flags.coordinator;
  if (identity::RenewalIsDue(*identity, environment.clock->Now())) {
    // If the renewal fails, the call itself reports the problem.
    const absl::StatusOr<identity::Identity> renewed =
        identity::Renew(*identity, coordinator, *environment.clock);
    if (renewed.ok()) {
      identity = *renewed;
    }
  }
  return Dialling{coordinator, identity::CredentialsOf(*identity, *environment.clock)};
}

}  // namespace wattle::cli
