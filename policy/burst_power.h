// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The watts of a run that heat slows down. The mean includes slow hours, while the run begins at
// full speed, so power supplies and packs must be checked against these watts. Pure; thread-safe.
#ifndef WATTLE_POLICY_BURST_POWER_H_
#define WATTLE_POLICY_BURST_POWER_H_

#include "units/quantity.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::policy {

// The watts before the board is hot; for a run that stays cool, its mean.
Watts BurstPower(const v1::Prediction& prediction);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_BURST_POWER_H_
