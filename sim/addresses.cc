// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/addresses.h"

#include "absl/strings/str_cat.h"

namespace wattle::sim {

void Addresses::Move(double stranger_until_seconds) {
  strangers_until_seconds_[coordinator_] = stranger_until_seconds;
  coordinator_ = absl::StrCat("farm-", ++moves_, ":7410");
}

bool Addresses::IsStranger(const std::string& address, double now_seconds) const {
  const auto found = strangers_until_seconds_.find(address);
  return found != strangers_until_seconds_.end() && now_seconds < found->second;
}

v1::CoordinatorMessage Addresses::Answer(bool by_stranger) const {
  v1::CoordinatorMessage answer;
  if (by_stranger) {
    answer.mutable_welcome()->set_lineage_id("another farm's");
    answer.mutable_welcome()->set_opening_id("another farm's first");
    answer.mutable_welcome()->set_epoch(1);
  } else {
    answer.mutable_closing()->set_moved_to(coordinator_);
  }
  return answer;
}

}  // namespace wattle::sim
