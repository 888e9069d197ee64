// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "identity/renewal.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/backoff.h"
#include "identity/enroll.h"

namespace wattle::identity {
namespace {

// Each wait is drawn between half of this and the whole: boards that came back together do not ask
// together for ever.
constexpr absl::Duration kLookMax = absl::Minutes(80);

std::string Date(absl::Time at) {
  return absl::FormatTime("%Y-%m-%d", at, absl::UTCTimeZone());
}

}  // namespace

Renewal::Renewal(Identity identity, std::string coordinator, const Clock& clock, Told on_note,
                 Told on_problem)
    : identity_(std::move(identity)),
      clock_(clock),
      on_note_(std::move(on_note)),
      on_problem_(std::move(on_problem)),
      coordinator_(std::move(coordinator)),
      thread_([this] { Run(); }) {}

Renewal::~Renewal() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Renewal::UseCoordinator(const std::string& coordinator) {
  absl::MutexLock lock(&mutex_);
  coordinator_ = coordinator;
}

void Renewal::RenewNow() {
  absl::MutexLock lock(&mutex_);
  asked_ = true;
}

void Renewal::Run() {
  Backoff looks(kLookMax, std::random_device()());
  while (true) {
    std::string coordinator;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) {
        return;
      }
      identity_.renewal_asked = std::exchange(asked_, false) || identity_.renewal_asked;
      coordinator = coordinator_;
    }
    if (RenewalIsDue(identity_, clock_.Now())) {
      TryToRenew(coordinator);
    }
    const auto woken = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || asked_; };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&woken), looks.AfterFailure(kLookMax));
  }
}

void Renewal::TryToRenew(const std::string& coordinator) {
  absl::StatusOr<Identity> renewed = Renew(identity_, coordinator, clock_);
  if (renewed.ok()) {
    identity_ = *std::move(renewed);
    told_.clear();
    on_problem_("");
    on_note_(absl::StrCat("certificate: renewed until ", Date(identity_.not_after)));
  } else if (const std::string why(renewed.status().message()); why != told_) {
    told_ = why;  // a board that is refused asks at each of its connections
    const std::string problem =
        absl::StrCat("certificate: not renewed: ", why, "; trying again every hour");
    on_problem_(absl::StrCat(problem, "; it ends on ", Date(identity_.not_after)));
    on_note_(problem);
  }
}

}  // namespace wattle::identity
