// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Labels that count only if the fleet's operators gave them. A plan keeps them under separate
// names, beside the labels that a worker reports itself.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_GIVEN_LABEL_H_
#define WATTLE_SCHEDULER_PLACE_RULES_GIVEN_LABEL_H_

namespace wattle::scheduler {

// Prefix of such a label's key in a plan's job and device.
inline constexpr char kGivenLabel[] = "given:";

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_GIVEN_LABEL_H_
