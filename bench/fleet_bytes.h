// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fleet of scheduler/fleet_plan as bytes, so that ./dev bench place can plan it in a fresh
// process. Every number takes eight bytes in this machine's byte order.
#ifndef WATTLE_BENCH_FLEET_BYTES_H_
#define WATTLE_BENCH_FLEET_BYTES_H_

#include <string>

#include "scheduler/fleet_plan/fleet.h"

namespace wattle::bench {

std::string ToBytes(const fleet_plan::Fleet& fleet);
// bytes: from ToBytes, unchanged.
fleet_plan::Fleet FromBytes(const std::string& bytes);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_FLEET_BYTES_H_
