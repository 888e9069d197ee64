// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Labels that count only where the fleet's operators gave them. A plan has them under names of
// their own, beside the labels that a worker tells of itself.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_GIVEN_LABEL_H_
#define WATTLE_SCHEDULER_PLACE_RULES_GIVEN_LABEL_H_

namespace wattle::scheduler {

// Before the key of such a label in a plan's job and device.
inline constexpr char kGivenLabel[] = "given:";

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_GIVEN_LABEL_H_
