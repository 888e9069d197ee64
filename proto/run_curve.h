// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a run went, in at most 128 points however long it was: a point stands for the same number of
// steps as every other, and when there are too many, neighbours become one. Pure; one thread.
#ifndef WATTLE_PROTO_RUN_CURVE_H_
#define WATTLE_PROTO_RUN_CURVE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <google/protobuf/repeated_field.h>

#include "wattle/v1/job.pb.h"

namespace wattle {

class RunCurve {
 public:
  static constexpr size_t kPointsMax = 128;
  using Points = google::protobuf::RepeatedPtrField<v1::CurvePoint>;

  // Of the run since it began.
  struct Totals {
    double seconds = 0;          // device time
    double energy_joules = 0;    // measured
    double covered_seconds = 0;  // in which they were measured
  };

  RunCurve() = default;
  // Goes on from a curve that an earlier process made; totals: as of its last point.
  RunCurve(const Points& earlier, const Totals& totals);

  // A step ended. loss: of that step; 0: none. Joules that went back, because a
  // sensor was stuck, are left out, and so is what is not a finite number.
  void AddStep(int64_t step, double loss, const Totals& totals);
  // Measured after the latest step, or before the first.
  void AddHeldoutLoss(double loss);

  [[nodiscard]] bool empty() const { return points_.empty() && open_.steps == 0; }
  // Ascending in time; the last one stands for the steps since the one before.
  [[nodiscard]] Points ToProto() const;

 private:
  struct Point {
    double seconds = 0;  // at the end
    int64_t step = 0;    // the last one
    int64_t steps = 0;   // how many
    double loss_sum = 0;
    int64_t losses = 0;
    double heldout_loss = 0;
    double energy_joules = 0;
    double covered_seconds = 0;
  };
  static Point Join(const Point& a, const Point& b);
  static v1::CurvePoint ToProto(const Point& point);
  void Close();

  std::vector<Point> points_;
  Point open_;
  Totals last_;
  int64_t steps_per_point_ = 1;
};

}  // namespace wattle

#endif  // WATTLE_PROTO_RUN_CURVE_H_
