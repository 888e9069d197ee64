// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// By what this board dials the coordinator: the identity in its state folder, renewed while the
// worker runs. A certificate error ends no attempt and deletes nothing: the link tries again.
#ifndef WATTLE_WORKER_AGENT_LINK_CREDENTIALS_H_
#define WATTLE_WORKER_AGENT_LINK_CREDENTIALS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <grpcpp/security/credentials.h>

#include "identity/renewal.h"

namespace wattle::agent {

// The identity's folder below the state folder.
std::string IdentityFolder(const std::string& state_directory);

class Credentials {
 public:
  struct Options {
    std::string state_directory;
    std::string device_id;  // The state folder's; the identity must be this device's.
    // HOST:PORT each, the likeliest first; empty: the one that the board enrolled with.
    std::vector<std::string> coordinators;
    bool plaintext_loopback = false;
    absl::Time floor = absl::InfinitePast();  // Whatever the clock shows, it is later.
  };
  // on_note, on_problem: as of identity::Renewal; called on another thread. Errors:
  // kFailedPrecondition for a board that has not enrolled, with the remedy.
  static absl::StatusOr<std::unique_ptr<Credentials>> Open(const Options& options,
                                                           identity::Renewal::Told on_note,
                                                           identity::Renewal::Told on_problem);

  // Where the coordinator may be, at least one address.
  [[nodiscard]] const std::vector<std::string>& coordinators() const { return coordinators_; }
  // Renewals go to this address from now on.
  void UseCoordinator(const std::string& coordinator);
  // The coordinator refuses the certificate: it may have expired by the coordinator's clock while
  // this board's own clock is wrong.
  void RenewNow();
  // The later of the options' floor and the moment in which the certificate was signed: the clock
  // by which the coordinator's certificate is checked never shows an earlier time.
  [[nodiscard]] absl::Time floor() const { return floor_; }
  [[nodiscard]] const std::shared_ptr<grpc::ChannelCredentials>& channel() const {
    return channel_;
  }
  // The identity at the worker's start; none with plaintext.
  [[nodiscard]] const std::optional<identity::Identity>& identity() const { return identity_; }

 private:
  Credentials() = default;

  absl::Time floor_ = absl::InfinitePast();
  std::vector<std::string> coordinators_;
  std::shared_ptr<grpc::ChannelCredentials> channel_;
  std::optional<identity::Identity> identity_;
  class Refusals;
  std::shared_ptr<identity::Renewal> renewal_;  // Null with plaintext, as the next.
  std::shared_ptr<Refusals> refusals_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_CREDENTIALS_H_
