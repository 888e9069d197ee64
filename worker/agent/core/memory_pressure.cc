// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/memory_pressure.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kWindow = absl::Seconds(10);
constexpr double kShortRatio = 0.20;
constexpr double kCalmRatio = 0.05;
constexpr absl::Duration kCalm = absl::Minutes(1);

}  // namespace

void MemoryPressure::OnStalled(Monotonic at, absl::Duration stalled) {
  readings_.push_back({at, stalled});
  // Keeps one reading that is at least a window old, so that the ratio covers a whole window.
  while (readings_.size() > 2 && at - readings_[1].at >= kWindow) {
    readings_.pop_front();
  }
  const absl::Duration span = at - readings_.front().at;
  if (span < kWindow) {
    return;
  }
  const double ratio = absl::FDivDuration(stalled - readings_.front().stalled, span);
  if (ratio >= kCalmRatio) {
    calm_since_.reset();
  } else if (!calm_since_) {
    calm_since_ = at;
  }
  if (ratio >= kShortRatio && problem_.empty()) {
    problem_ = absl::StrCat("memory is short: all programs waited for memory for ",
                            std::lround(100 * ratio), " % of ", absl::ToInt64Seconds(span),
                            " s; look for another program that takes it, or give work less");
  } else if (!problem_.empty() && calm_since_ && at - *calm_since_ >= kCalm) {
    problem_.clear();
  }
}

}  // namespace wattle::agent
