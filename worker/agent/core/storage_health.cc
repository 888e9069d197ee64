// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/storage_health.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kAgain = absl::Seconds(15);
constexpr absl::Duration kSlow = absl::Seconds(3);
// The sync of a large checkpoint makes every other write on a card wait for it.
constexpr absl::Duration kSlowWhileBusy = absl::Minutes(3);
// A write that takes longer counts at once; the worker's own records wait behind it.
constexpr absl::Duration kHung = absl::Seconds(60);

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
  return true;
}

void StorageHealth::OnWritten(const absl::Status& status, bool busy, Monotonic now) {
  const Monotonic began = began_.value_or(now);
  const absl::Duration took = now - began;
  began_.reset();
  next_ = now + std::min(kAgain, period_);
  if (!status.ok()) {
    problem_ = ProblemOf(status);
    slow_since_.reset();
  } else if (took >= kSlow) {
    slow_since_ = slow_since_.value_or(began);
    const bool lasts = now - *slow_since_ >= (busy ? kSlowWhileBusy : kAgain);
    problem_ = lasts || took >= kHung ? SlowSentence(took) : problem_;
  } else {
    problem_.clear();
    slow_since_.reset();
    next_ = now + period_;
  }
}

void StorageHealth::Look(Monotonic now) {
  if (began_ && now - *began_ >= kHung) {
    slow_since_ = slow_since_.value_or(*began_);
    problem_ = SlowSentence(now - *began_);
  }
}

Monotonic StorageHealth::NextStep(Monotonic now) const {
  if (!began_) {
    return next_;
  }
  const Monotonic hung = *began_ + kHung;
  return now < hung ? hung : Monotonic(absl::InfiniteDuration());
}

}  // namespace wattle::agent
