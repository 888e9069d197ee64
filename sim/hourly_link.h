// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A link whose rate changes from hour to hour. The hours repeat. A value.
#ifndef WATTLE_SIM_HOURLY_LINK_H_
#define WATTLE_SIM_HOURLY_LINK_H_

#include <cstdint>
#include <vector>

namespace wattle::sim {

class HourlyLink {
 public:
  // Of a transfer: within one hour, and within a minute, so that what ends a transfer meets it
  // after a while as on a real link.
  struct Piece {
    int64_t bytes = 0;  // 0 in an hour of no rate
    double seconds = 0.0;
  };

  // begins_seconds: of the first hour, whose rate counts before it too. REQUIRES: there is an hour.
  HourlyLink(std::vector<double> bytes_per_second, double begins_seconds);

  // What crosses next of a transfer that has so many bytes left. REQUIRES: left_bytes > 0.
  [[nodiscard]] Piece NextPiece(int64_t left_bytes, double now_seconds) const;

 private:
  std::vector<double> bytes_per_second_;
  double begins_seconds_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_HOURLY_LINK_H_
