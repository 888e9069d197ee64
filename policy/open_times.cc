// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/open_times.h"

#include <algorithm>

namespace wattle::policy {

absl::Time OpenTimes::OpensAt(absl::Time at) const {
  const Open* const next = EndingAfter(at);
  return next == nullptr ? policy::OpensAt(limits_, at) : std::max(at, next->begin);
}

absl::Time OpenTimes::ClosesAt(absl::Time at) const {
  const Open* const next = EndingAfter(at);
  return next == nullptr ? policy::ClosesAt(limits_, at) : next->end;
}

const OpenTimes::Open* OpenTimes::EndingAfter(absl::Time at) const {
  if (kept_.empty()) {
    from_ = at;
    Keep(at);
  }
  if (at < from_) {
    return nullptr;
  }
  while (kept_.back().end <= at) {
    if (kept_.size() == kKeptMax) {
      return nullptr;
    }
    Keep(kept_.back().end);
  }
  return &*std::upper_bound(kept_.begin(), kept_.end(), at,
                            [](absl::Time moment, const Open& open) { return moment < open.end; });
}

void OpenTimes::Keep(absl::Time from) const {
  const absl::Time begin = policy::OpensAt(limits_, from);
  const bool opens = begin < absl::InfiniteFuture();
  kept_.push_back({.begin = begin, .end = opens ? policy::ClosesAt(limits_, begin) : begin});
}

}  // namespace wattle::policy
