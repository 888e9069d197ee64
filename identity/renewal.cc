// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "identity/renewal.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "identity/enroll.h"

namespace wattle::identity {
namespace {

constexpr absl::Duration kLookEvery = absl::Hours(1);

}  // namespace

Renewal::Renewal(Identity identity, std::string coordinator, const Clock& clock,
                 std::function<void(const std::string&)> on_note)
    : identity_(std::move(identity)),
      clock_(clock),
      on_note_(std::move(on_note)),
      coordinator_(std::move(coordinator)),
      thread_([this] { Run(); }) {}

Renewal::~Renewal() {
  stop_.Notify();
  thread_.join();
}

void Renewal::UseCoordinator(const std::string& coordinator) {
  absl::MutexLock lock(&mutex_);
  coordinator_ = coordinator;
}

void Renewal::Run() {
  do {
    if (!RenewalIsDue(identity_, clock_.Now())) {
      continue;
    }
    std::string coordinator;
    {
      absl::MutexLock lock(&mutex_);
      coordinator = coordinator_;
    }
    absl::StatusOr<Identity> renewed = Renew(identity_, coordinator, clock_);
    if (renewed.ok()) {
      identity_ = *std::move(renewed);
      on_note_(
          absl::StrCat("certificate: renewed until ",
                       absl::FormatTime("%Y-%m-%d", identity_.not_after, absl::UTCTimeZone())));
    } else {
      on_note_(absl::StrCat("certificate: not renewed: ", renewed.status().message(),
                            "; trying again every hour"));
    }
  } while (!stop_.WaitForNotificationWithTimeout(kLookEvery));
}

}  // namespace wattle::identity
