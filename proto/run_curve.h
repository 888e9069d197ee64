// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The course of a run in at most 128 points, whatever its length: all points cover equally many
// steps, and when there are too many points, neighbours are merged. Pure; one thread.
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

  // Totals since the begin of the run.
  struct Totals {
    double seconds = 0;          // device time
    double energy_joules = 0;    // measured
    double covered_seconds = 0;  // time in which the joules were measured
  };

  RunCurve() = default;
  // Continues a curve of an earlier process; totals: at its last point.
  RunCurve(const Points& earlier, const Totals& totals);

  // A step ended. loss: that step's; 0: none. Leaves out joules that decreased because a sensor was
  // stuck, and numbers that are not finite.
  void AddStep(int64_t step, double loss, const Totals& totals);
  // Adds a loss measured after the latest step, or before the first.
  void AddHeldoutLoss(double loss);

  [[nodiscard]] bool empty() const { return points_.empty() && open_.steps == 0; }
  // Ascending in time; the last point covers the steps since the previous one.
  [[nodiscard]] Points ToProto() const;

 private:
  struct Point {
    double seconds = 0;  // at the end of the point
    int64_t step = 0;    // the last step of the point
    int64_t steps = 0;   // number of steps of the point
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
