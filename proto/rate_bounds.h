// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Bounds of a processor's rates. Rates in a unit that is off by 1,000 must be rejected. Pure;
// thread-safe.
#ifndef WATTLE_PROTO_RATE_BOUNDS_H_
#define WATTLE_PROTO_RATE_BOUNDS_H_

#include <cstdint>
#include <string>

#include "wattle/v1/device.pb.h"

namespace wattle {

// Upper bound of the memory that a process's use of a GPU takes from the board or the card.
inline constexpr int64_t kAcceleratorUseBytesMax = int64_t{8} << 30;

// Upper bounds for every board of a class. 0: unknown.
struct RatePeaks {
  double memory_bytes_per_second = 0;
  double operations_per_second = 0;  // In the number format with the most operations.
};

// The first impossible number, as one line: "memory_bytes_per_second 1.7e+13 is outside 1e+08 to
// 8e+12". Empty: all rates are possible. A rate of 0 was not measured; a message without any
// measured rate is refused.
[[nodiscard]] std::string RateProblem(const v1::MeasuredRates& rates, const RatePeaks& peaks = {});

}  // namespace wattle

#endif  // WATTLE_PROTO_RATE_BOUNDS_H_
