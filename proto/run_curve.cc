// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/run_curve.h"

#include <algorithm>
#include <cmath>

namespace wattle {

RunCurve::RunCurve(const Points& earlier, const Totals& totals) : last_(totals) {
  double before = 0;
  int64_t step_before = 0;
  for (const v1::CurvePoint& point : earlier) {
    if (points_.size() == kPointsMax) {
      break;  // Not written by this class.
    }
    Point& kept = points_.emplace_back();
    kept.seconds = point.seconds();
    kept.step = point.step();
    kept.steps = std::max<int64_t>(1, point.step() - step_before);
    kept.losses = point.loss() != 0.0 ? kept.steps : 0;
    kept.loss_sum = point.loss() * static_cast<double>(kept.losses);
    kept.heldout_loss = point.heldout_loss();
    kept.covered_seconds = point.has_power() ? std::max(0.0, point.seconds() - before) : 0.0;
    kept.energy_joules = point.power_watts() * kept.covered_seconds;
    before = point.seconds();
    step_before = point.step();
    steps_per_point_ = std::max(steps_per_point_, kept.steps);
  }
}

void RunCurve::AddStep(int64_t step, double loss, const Totals& totals) {
  open_.step = step;
  ++open_.steps;
  open_.seconds = std::max(last_.seconds, totals.seconds);
  if (loss != 0.0 && std::isfinite(loss)) {
    open_.loss_sum += loss;
    ++open_.losses;
  }
  const double joules = totals.energy_joules - last_.energy_joules;
  const double covered = totals.covered_seconds - last_.covered_seconds;
  if (std::isfinite(joules) && joules >= 0.0 && covered > 0.0) {
    open_.energy_joules += joules;
    open_.covered_seconds += covered;
  }
  last_ = totals;
  last_.seconds = open_.seconds;
  if (open_.steps >= steps_per_point_) {
    Close();
  }
}

void RunCurve::AddHeldoutLoss(double loss) {
  if (!std::isfinite(loss)) {
    return;
  }
  if (open_.steps == 0 && !points_.empty()) {
    points_.back().heldout_loss = loss;
  } else {
    open_.heldout_loss = loss;
  }
}

void RunCurve::Close() {
  points_.push_back(open_);
  open_ = {};
  if (points_.size() < kPointsMax) {
    return;
  }
  for (size_t i = 0; i < kPointsMax / 2; ++i) {
    points_[i] = Join(points_[2 * i], points_[2 * i + 1]);
  }
  points_.resize(kPointsMax / 2);
  steps_per_point_ *= 2;
}

RunCurve::Point RunCurve::Join(const Point& a, const Point& b) {
  Point joined = b;  // Keeps b's time, step, and held-out loss, which is the later one.
  joined.steps += a.steps;
  joined.loss_sum += a.loss_sum;
  joined.losses += a.losses;
  joined.heldout_loss = b.heldout_loss != 0.0 ? b.heldout_loss : a.heldout_loss;
  joined.energy_joules += a.energy_joules;
  joined.covered_seconds += a.covered_seconds;
  return joined;
}

v1::CurvePoint RunCurve::ToProto(const Point& point) {
  v1::CurvePoint proto;
  proto.set_seconds(point.seconds);
  proto.set_step(point.step);
  proto.set_loss(point.losses > 0 ? point.loss_sum / static_cast<double>(point.losses) : 0.0);
  proto.set_heldout_loss(point.heldout_loss);
  proto.set_has_power(point.covered_seconds > 0.0);
  proto.set_power_watts(point.covered_seconds > 0.0 ? point.energy_joules / point.covered_seconds
                                                    : 0.0);
  return proto;
}

RunCurve::Points RunCurve::ToProto() const {
  Points points;
  points.Reserve(static_cast<int>(points_.size()) + 1);
  for (const Point& point : points_) {
    *points.Add() = ToProto(point);
  }
  if (open_.steps > 0) {
    *points.Add() = ToProto(open_);
  }
  return points;
}

}  // namespace wattle
