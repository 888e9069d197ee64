// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/contention.h"

namespace wattle::agent {
namespace {

constexpr double kOthersRatio = 0.10;
constexpr double kOthersWaitedForRatio = 0.02;
constexpr double kWaitedRatio = 0.20;
// The kernel counts in ticks of up to 10 ms, so a shorter time is too inaccurate.
constexpr absl::Duration kSpanMin = absl::Seconds(1);

}  // namespace

bool Contention::OnLoad(Monotonic at, const BoardLoad& load) {
  if (load.cores <= 0) {
    before_.reset();
    return contended_ = false;
  }
  if (before_ && at - before_->at < kSpanMin) {
    return contended_;
  }
  const std::optional<Reading> before = before_;
  before_ = {at, load};
  if (!before) {
    return contended_ = false;
  }
  const absl::Duration span = at - before->at;
  // The worker's own processor time is not contention, so only the rest counts.
  const absl::Duration others = (load.busy - before->load.busy) - (load.own - before->load.own);
  const double ratio = absl::FDivDuration(others, span) / load.cores;
  const bool waited = load.waited && before->load.waited &&
                      *load.waited - *before->load.waited >= kWaitedRatio * span;
  return contended_ = ratio >= kOthersRatio || (waited && ratio >= kOthersWaitedForRatio);
}

}  // namespace wattle::agent
