// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a receipt records that its run continued in a lower power mode than that of its placement,
// for some or all of its time. Pure; thread-safe.
#ifndef WATTLE_PROTO_LOWERED_MODE_H_
#define WATTLE_PROTO_LOWERED_MODE_H_

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/job.pb.h"

namespace wattle {

inline constexpr absl::string_view kLoweredFrom = ", lowered from ";

// "10W, lowered from 30W", for Receipt.power_mode.
inline std::string LoweredMode(absl::string_view lower, absl::string_view placed) {
  return absl::StrCat(lower, kLoweredFrom, placed);
}

// Whether the run's mode was lowered; such a run updates the row of neither mode.
inline bool IsOfLoweredMode(const v1::Receipt& receipt) {
  return absl::StrContains(receipt.power_mode(), kLoweredFrom);
}

}  // namespace wattle

#endif  // WATTLE_PROTO_LOWERED_MODE_H_
