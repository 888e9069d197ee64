// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/checkpoint_cadence.h"

#include <algorithm>
#include <cmath>

#include "proto/checkpoint_interval.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kMonth = absl::Hours(30 * 24);
constexpr absl::Duration kDay = absl::Hours(24);
// A third of a month's budget may be written at once, and the rest is granted day by day, so that
// no 30 days exceed 30 times the budget of a day.
constexpr double kAtOnceDays = 10;
constexpr double kGivenShare = 2.0 / 3;

double Possible(double value) {
  return std::isfinite(value) ? std::max(0.0, value) : 0.0;
}

}  // namespace

CheckpointCadence::CheckpointCadence(const v1::CheckpointCadenceRecord& record) {
  record_.set_worked_seconds(Possible(record.worked_seconds()));
  record_.set_cuts(Possible(record.cuts()));
  record_.set_flash_debt_bytes(Possible(record.flash_debt_bytes()));
}

void CheckpointCadence::OnWork(absl::Duration step) {
  record_.set_worked_seconds(record_.worked_seconds() + Possible(absl::ToDoubleSeconds(step)));
  // Halving both keeps the ratio and lets the estimate follow a changed supply within some months.
  if (record_.worked_seconds() > absl::ToDoubleSeconds(kMonth)) {
    record_.set_worked_seconds(record_.worked_seconds() / 2);
    record_.set_cuts(record_.cuts() / 2);
  }
}

void CheckpointCadence::OnCut() {
  record_.set_cuts(record_.cuts() + 1);
}

void CheckpointCadence::OnWritten(int64_t size_bytes, Monotonic at) {
  record_.set_flash_debt_bytes(record_.flash_debt_bytes() + static_cast<double>(size_bytes));
  if (!repaid_at_) {
    repaid_at_ = at;
  }
}

absl::Duration CheckpointCadence::between_cuts() const {
  // The prior counts as one cut, so a board without a cut has a finite estimate that grows as it
  // works.
  return (kBetweenCutsPrior + absl::Seconds(record_.worked_seconds())) / (1 + record_.cuts());
}

absl::Duration CheckpointCadence::FlashWait(int64_t size_bytes, double bytes_per_day,
                                            Monotonic at) {
  // A leaky bucket: writes fill the debt, and time drains it at the rate of the daily grant.
  const double rate = kGivenShare * bytes_per_day / absl::ToDoubleSeconds(kDay);
  if (repaid_at_ && at > *repaid_at_) {
    record_.set_flash_debt_bytes(
        std::max(0.0, record_.flash_debt_bytes() - rate * absl::ToDoubleSeconds(at - *repaid_at_)));
  }
  repaid_at_ = at;
  // The bucket holds ten days' budget; a checkpoint that does not fit waits for the excess to
  // drain.
  const double over =
      record_.flash_debt_bytes() + static_cast<double>(size_bytes) - kAtOnceDays * bytes_per_day;
  return over > 0 ? absl::Seconds(over / rate) : absl::ZeroDuration();
}

}  // namespace wattle::agent
