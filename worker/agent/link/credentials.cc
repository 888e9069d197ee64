// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/credentials.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "base/clock.h"
#include "base/host_port.h"
#include "base/status_macros.h"

namespace wattle::agent {
namespace {

constexpr char kDefaultCoordinator[] = "127.0.0.1:7410";

absl::Status CheckPlaintext(const std::string& coordinator) {
  WATTLE_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort("--coordinator", coordinator));
  return IsLoopback(address)
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat("--plaintext-loopback: ", coordinator,
                                                       " is another machine; leave the flag out, "
                                                       "and enrol with 'wattle-worker enroll'"));
}

}  // namespace

// Why the coordinator is refused, told once until the reason changes: the link tries again for
// ever.
class Credentials::Refusals {
 public:
  explicit Refusals(std::function<void(const std::string&)> note) : note_(std::move(note)) {}
  void Tell(const std::string& why) {
    {
      absl::MutexLock lock(&mutex_);
      if (why == told_) {
        return;
      }
      told_ = why;
    }
    note_(absl::StrCat("coordinator: refused: ", why));
  }

 private:
  const std::function<void(const std::string&)> note_;
  absl::Mutex mutex_;
  std::string told_ ABSL_GUARDED_BY(mutex_);
};

std::string IdentityFolder(const std::string& state_directory) {
  return absl::StrCat(state_directory, "/credentials");
}

absl::StatusOr<std::unique_ptr<Credentials>> Credentials::Open(const Options& options,
                                                               identity::Renewal::Told on_note,
                                                               identity::Renewal::Told on_problem) {
  std::unique_ptr<Credentials> credentials(new Credentials());
  if (options.plaintext_loopback) {
    credentials->coordinators_ = options.coordinators;
    if (credentials->coordinators_.empty()) {
      credentials->coordinators_ = {kDefaultCoordinator};
    }
    for (const std::string& coordinator : credentials->coordinators_) {
      WATTLE_RETURN_IF_ERROR(CheckPlaintext(coordinator));
    }
    credentials->channel_ = grpc::InsecureChannelCredentials();
    return credentials;
  }
  const std::string folder = IdentityFolder(options.state_directory);
  absl::StatusOr<identity::Identity> identity = identity::Load(folder);
  if (absl::IsNotFound(identity.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.state_directory,
                     ": this board has not enrolled; an operator makes a token with 'wattle device "
                     "token', then: wattle-worker enroll TOKEN --state-dir ",
                     options.state_directory));
  }
  WATTLE_RETURN_IF_ERROR(identity.status());
  if (identity->id() != options.device_id) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": has the certificate of device ", identity->id(),
                     ", and this state folder is of ", options.device_id,
                     "; remove the folder credentials and enrol again"));
  }
  credentials->coordinators_ = options.coordinators;
  if (credentials->coordinators_.empty()) {
    credentials->coordinators_ = {identity->coordinator};
  }
  credentials->floor_ = std::max(options.floor, identity->not_before);
  identity::Identity dialled = *identity;
  dialled.not_before = credentials->floor_;
  credentials->renewal_ = std::make_shared<identity::Renewal>(
      *identity, credentials->coordinators_.front(), Clock::Real(), on_note, std::move(on_problem));
  credentials->identity_ = dialled;
  credentials->refusals_ = std::make_shared<Refusals>(std::move(on_note));
  credentials->channel_ = identity::CredentialsOf(
      dialled, Clock::Real(),
      {.on_other_issuer =
           [weak = std::weak_ptr(credentials->renewal_)] {
             if (const auto renewal = weak.lock()) {
               renewal->RenewNow();
             }
           },
       .on_refused =
           [weak = std::weak_ptr(credentials->refusals_)](const absl::Status& why) {
             if (const auto refusals = weak.lock()) {
               refusals->Tell(std::string(why.message()));
             }
           }});
  return credentials;
}

void Credentials::UseCoordinator(const std::string& coordinator) {
  if (renewal_ != nullptr) {
    renewal_->UseCoordinator(coordinator);
  }
}

void Credentials::RenewNow() {
  if (renewal_ != nullptr) {
    renewal_->RenewNow();
  }
}

}  // namespace wattle::agent
