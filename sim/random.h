// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seeded random numbers that are equal on every machine (SplitMix64: Steele, Lea, Flood, OOPSLA
// 2014), unlike the distributions of the standard library. A value; not thread-safe.
#ifndef WATTLE_SIM_RANDOM_H_
#define WATTLE_SIM_RANDOM_H_

#include <cstdint>

namespace wattle::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // In [0, 1).
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  double Between(double low, double high) { return low + (high - low) * Fraction(); }
  // In [0, bound). REQUIRES: bound > 0.
  int Below(int bound) { return static_cast<int>(Next() % static_cast<uint64_t>(bound)); }
  bool Chance(double probability) { return Fraction() < probability; }

 private:
  uint64_t state_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_RANDOM_H_
