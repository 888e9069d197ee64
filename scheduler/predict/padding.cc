// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// E[max of B draws] is the integral of Q(u) d(u^B), because the largest of B uniform numbers has
// the distribution u^B. Q, the quantile function, is a chain of straight lines, so each piece has a
// closed form.
#include "scheduler/predict/padding.h"

#include <algorithm>
#include <cmath>

namespace wattle::scheduler {
namespace {

struct Point {
  double share;  // u
  double value;  // Q(u)
};

// Integral of the line from `a` to `b` against d(u^draws).
double Piece(Point a, Point b, double draws) {
  if (b.share <= a.share) {
    return 0;
  }
  const double slope = (b.value - a.value) / (b.share - a.share);
  const double intercept = a.value - slope * a.share;
  // Integrals of 1 and of u against d(u^draws).
  const double mass = std::pow(b.share, draws) - std::pow(a.share, draws);
  const double moment =
      (draws / (draws + 1)) * (std::pow(b.share, draws + 1) - std::pow(a.share, draws + 1));
  return intercept * mass + slope * moment;
}

// The point where the line from `a` to `b` reaches `limit`. REQUIRES: a.value < limit < b.value.
Point Crossing(Point a, Point b, double limit) {
  const double part = (limit - a.value) / (b.value - a.value);
  return {a.share + part * (b.share - a.share), limit};
}

}  // namespace

double ExpectedMaximum(absl::Span<const double> quantiles, double draws, double limit) {
  if (quantiles.size() == 1) {
    return std::min(quantiles[0], limit);
  }
  const auto pieces = static_cast<double>(quantiles.size() - 1);
  double expected = 0;
  for (size_t i = 0; i + 1 < quantiles.size(); ++i) {
    const Point a{static_cast<double>(i) / pieces, std::min(quantiles[i], limit)};
    const Point b{static_cast<double>(i + 1) / pieces, quantiles[i + 1]};
    // A piece that crosses the limit is split there, because Q cut at the limit has a bend.
    if (a.value < limit && b.value > limit) {
      const Point cut = Crossing(a, b, limit);
      expected += Piece(a, cut, draws) + Piece(cut, {b.share, limit}, draws);
    } else {
      expected += Piece(a, {b.share, std::min(b.value, limit)}, draws);
    }
  }
  return expected;
}

double ShareAbove(absl::Span<const double> quantiles, double limit) {
  if (quantiles.size() == 1) {
    return quantiles[0] > limit ? 1 : 0;
  }
  const auto pieces = static_cast<double>(quantiles.size() - 1);
  if (quantiles.front() > limit) {
    return 1;
  }
  for (size_t i = 0; i + 1 < quantiles.size(); ++i) {
    if (quantiles[i + 1] > limit) {
      const Point cut = Crossing({static_cast<double>(i) / pieces, quantiles[i]},
                                 {static_cast<double>(i + 1) / pieces, quantiles[i + 1]}, limit);
      return 1 - cut.share;
    }
  }
  return 0;
}

}  // namespace wattle::scheduler
