// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/storage_health.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kAgain = absl::Seconds(15);
// Allows three writes of 5 s: a card that cleans up delays one write for seconds, but not three in
// a row.
constexpr absl::Duration kAgainIfSlow = absl::Seconds(5);
constexpr absl::Duration kSlow = absl::Seconds(3);
constexpr absl::Duration kSlowLasts = absl::Seconds(25);
// The sync of a large checkpoint delays every other write on a card.
constexpr absl::Duration kSlowLastsBesideOwn = absl::Minutes(3);

std::string ProblemOf(const absl::Status& status) {
  const char* kind = absl::IsResourceExhausted(status)  ? "disk full: "
                     : absl::IsPermissionDenied(status) ? "disk read-only: "
                                                        : "disk error: ";
  return absl::StrCat(kind, status.message());
}

std::string SlowSentence(absl::Duration took) {
  return absl::StrCat("disk slow: a write of 4 KiB takes ",
                      absl::ToInt64Seconds(absl::Ceil(took, absl::Seconds(1))),
                      " s; look for another program that writes, or replace the card");
}

}  // namespace

bool StorageHealth::TakeDue(Monotonic now) {
  if (began_ || now < next_) {
    return false;
  }
  began_ = now;
  beside_own_ = false;
  return true;
}

void StorageHealth::OnWritten(const absl::Status& status, Monotonic now) {
  const Monotonic began = began_.value_or(now);
  const absl::Duration took = now - began;
  began_.reset();
  // Failed writes repeat soon, so that the board takes work again soon after a repair.
  next_ = now + std::min(kAgain, period_);
  if (!status.ok()) {
    problem_ = ProblemOf(status);
    slow_since_.reset();
  } else if (took >= kSlow) {
    // One slow write proves nothing; the next ones decide quickly.
    next_ = now + std::min(kAgainIfSlow, period_);
    CountSlow(began, now);
  } else {
    problem_.clear();
    slow_since_.reset();
    next_ = now + period_;
  }
}

void StorageHealth::CountSlow(Monotonic began, Monotonic now) {
  slow_since_ = slow_since_.value_or(began);
  if (now - *slow_since_ >= (beside_own_ ? kSlowLastsBesideOwn : kSlowLasts)) {
    problem_ = SlowSentence(now - began);
  }
}

void StorageHealth::Look(bool writes_much, Monotonic now) {
  beside_own_ = beside_own_ || writes_much;
  if (began_ && now - *began_ >= kSlow) {
    CountSlow(*began_, now);
  }
}

Monotonic StorageHealth::NextStep(Monotonic now) const {
  if (!began_) {
    return next_;
  }
  // A write in progress raises no event, so each limit that it may pass is a step.
  const Monotonic since = slow_since_.value_or(*began_);
  for (const Monotonic look : {*began_ + kSlow, since + kSlowLasts, since + kSlowLastsBesideOwn}) {
    if (now < look) {
      return look;
    }
  }
  return Monotonic(absl::InfiniteDuration());
}

}  // namespace wattle::agent
