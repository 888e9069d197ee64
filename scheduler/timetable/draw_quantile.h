// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The draw of work is a forecast like the sun: each path has its own quantile of the draw. Pure
// data.
#ifndef WATTLE_SCHEDULER_TIMETABLE_DRAW_QUANTILE_H_
#define WATTLE_SCHEDULER_TIMETABLE_DRAW_QUANTILE_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace wattle::timetable {

// The quantiles 1/128, 3/128 ... 127/128 of a normal variable in thousandths, in an order unrelated
// to their size: path p has the one of p x 37 + 11 modulo 64.
inline constexpr std::array<int64_t, 64> kDrawQuantiles = {
    -917, 699,  -424, 1366, -20,   -1473, 381,  -750, 858,  -298, 1762,  98,    -1189,
    511,  -602, 1043, -177, -2418, 217,   -978, 650,  -467, 1273, -59,   -1601, 339,
    -803, 803,  -339, 1601, 59,    -1273, 467,  -650, 978,  -217, 2418,  177,   -1043,
    602,  -511, 1189, -98,  -1762, 298,   -858, 750,  -381, 1473, 20,    -1366, 424,
    -699, 917,  -257, 1987, 138,   -1113, 556,  -556, 1113, -138, -1987, 257,
};

// The offset of the draw from its mean in a path, in thousandths of its deviation.
inline int64_t DrawQuantileOf(size_t path) {
  return kDrawQuantiles[path % kDrawQuantiles.size()];
}

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_DRAW_QUANTILE_H_
