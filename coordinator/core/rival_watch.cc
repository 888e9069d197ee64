// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/rival_watch.h"

#include <algorithm>

namespace wattle::core {
namespace {

// One hearing may be the rest of what a dead process sent.
constexpr int kHearingsOfALife = 2;

}  // namespace

void RivalWatch::Heard(Monotonic now) {
  for (auto& [process_id, rival] : rivals_) {
    if (now - rival.latest >= apart_) {
      rival.latest = now;
      ++rival.hearings;
    }
  }
}

bool RivalWatch::IsDoubledBy(const std::string& process_id, Monotonic now) {
  const auto known = rivals_.find(process_id);
  if (known != rivals_.end()) {
    return known->second.hearings >= kHearingsOfALife;
  }
  if (rivals_.size() >= kRivalsMax) {
    rivals_.erase(std::min_element(
        rivals_.begin(), rivals_.end(),
        [](const auto& a, const auto& b) { return a.second.latest < b.second.latest; }));
  }
  rivals_.emplace(process_id, Rival{.latest = now});
  return false;
}

}  // namespace wattle::core
