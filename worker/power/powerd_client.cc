// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/power/powerd_client.h"

#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/line_socket.h"
#include "base/status_macros.h"
#include "worker/power/power_verbs.h"

namespace wattle::agent {
namespace {

constexpr char kServer[] = "wattle-powerd";

}  // namespace

absl::StatusOr<std::unique_ptr<PowerdClient>> PowerdClient::Connect(const std::string& socket) {
  WATTLE_ASSIGN_OR_RETURN(const LineAnswer answer, AskLineSocket(socket, kServer, kVerbsVerb));
  if (answer.exit_code != 0) {
    return absl::FailedPreconditionError(absl::StrCat(kServer, ": ", answer.text));
  }
  const std::vector<std::string> verbs = absl::StrSplit(answer.text, ' ');
  return std::unique_ptr<PowerdClient>(
      new PowerdClient(socket, absl::c_linear_search(verbs, kPowerOffVerb)));
}

absl::Status PowerdClient::Ask(const std::string& request) const {
  WATTLE_ASSIGN_OR_RETURN(const LineAnswer answer, AskLineSocket(socket_, kServer, request));
  return answer.exit_code == 0
             ? absl::OkStatus()
             : absl::FailedPreconditionError(absl::StrCat(kServer, ": ", answer.text));
}

absl::Status PowerdClient::Set(const PowerModeRow& mode) {
  return Ask(absl::StrCat(kSetVerb, " ", mode.name));
}

absl::Status PowerdClient::Restore() {
  return Ask(kRestoreVerb);
}

absl::Status PowerdClient::Forget() {
  return Ask(kForgetVerb);
}

absl::Status PowerdClient::PowerOff() {
  return Ask(kPowerOffVerb);
}

}  // namespace wattle::agent
