// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which rates of a processor a board can have. Rates with a unit that is off by 1,000 must teach
// nothing. Pure; thread-safe.
#ifndef WATTLE_PROTO_RATE_BOUNDS_H_
#define WATTLE_PROTO_RATE_BOUNDS_H_

#include <cstdint>
#include <string>

#include "wattle/v1/device.pb.h"

namespace wattle {

// What a process's use of a GPU takes of the board's memory, or of the card's, is less.
inline constexpr int64_t kAcceleratorUseBytesMax = int64_t{8} << 30;

// What no board of a class exceeds. 0: not known.
struct RatePeaks {
  double memory_bytes_per_second = 0;
  double operations_per_second = 0;  // In the format in which the board has most of them.
};

// The first number that is none, as one line: "memory_bytes_per_second 1.7e+13 is outside 1e+08 to
// 8e+12". Empty: a board can have them. A rate of 0 was not measured; rates of which none was
// measured are refused.
[[nodiscard]] std::string RateProblem(const v1::MeasuredRates& rates, const RatePeaks& peaks = {});

}  // namespace wattle

#endif  // WATTLE_PROTO_RATE_BOUNDS_H_
