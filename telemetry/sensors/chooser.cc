// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/chooser.h"

#include <algorithm>

namespace wattle::telemetry {
namespace {

constexpr int kPatienceCadences = 3;
constexpr absl::Duration kPatienceMin = absl::Seconds(10);

}  // namespace

size_t Chooser::Add(int rank, absl::Duration cadence) {
  Entry entry;
  entry.rank = rank;
  entry.patience = std::max(kPatienceCadences * cadence, kPatienceMin);
  entries_.push_back(entry);
  return entries_.size() - 1;
}

void Chooser::OnReading(size_t source, Monotonic at) {
  Entry& entry = entries_[source];
  if (!entry.latest || at - *entry.latest > entry.patience) {
    entry.answers_since = at;
  }
  entry.latest = std::max(entry.latest.value_or(at), at);
}

bool Chooser::Answers(size_t source, Monotonic now) const {
  const Entry& entry = entries_[source];
  return entry.latest && now - *entry.latest <= entry.patience;
}

std::optional<size_t> Chooser::Choose(Monotonic now) {
  if (chosen_ && !Answers(*chosen_, now)) {
    chosen_.reset();
  }
  if (!chosen_ && !ever_chosen_at_) {
    ever_chosen_at_ = now;
  }
  // Right after the start, and when the chosen source is gone, no source has to hold.
  const bool hold = chosen_.has_value() && now - *ever_chosen_at_ > kHold;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const bool better = !chosen_ || entries_[i].rank < entries_[*chosen_].rank;
    const bool held = now - entries_[i].answers_since >= kHold;
    if (Answers(i, now) && better && (held || !hold)) {
      chosen_ = i;
    }
  }
  return chosen_;
}

}  // namespace wattle::telemetry
