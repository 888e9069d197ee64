// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The watts of a run that heat slows down. Its mean has slow hours in it, and it begins at full
// speed: what must bear the run counts these watts. Pure; thread-safe.
#ifndef WATTLE_POLICY_BURST_POWER_H_
#define WATTLE_POLICY_BURST_POWER_H_

#include "units/quantity.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::policy {

// Before the board is hot; the mean watts of a run that stays cool.
Watts BurstPower(const v1::Prediction& prediction);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_BURST_POWER_H_
