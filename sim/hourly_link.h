// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A link whose rate changes every hour, in a cycle. A value.
#ifndef WATTLE_SIM_HOURLY_LINK_H_
#define WATTLE_SIM_HOURLY_LINK_H_

#include <cstdint>
#include <vector>

namespace wattle::sim {

class HourlyLink {
 public:
  // A piece of a transfer: within one hour, and at most a minute, so that the end of a transfer is
  // noticed after a while, as on a real link.
  struct Piece {
    int64_t bytes = 0;  // 0 in an hour without a rate
    double seconds = 0.0;
  };

  // begins_seconds: begin of the first hour, whose rate also applies before. REQUIRES: not empty.
  HourlyLink(std::vector<double> bytes_per_second, double begins_seconds);

  // The next piece of a transfer with `left_bytes` to go. REQUIRES: left_bytes > 0.
  [[nodiscard]] Piece NextPiece(int64_t left_bytes, double now_seconds) const;

 private:
  std::vector<double> bytes_per_second_;
  double begins_seconds_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_HOURLY_LINK_H_
