// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predicts time and watts of one workload from the numbers of its cell: clocks, cores, batch,
// length. A few measured cells of a board and the measurements of other boards give an estimate
// with its deviation for every other cell of the board, and the cell to measure next. Formulas:
// docs/design/prediction.md, "Modes by numbers". Pure, deterministic; thread-compatible.
#ifndef WATTLE_SCHEDULER_PREDICT_MODE_REGRESSION_H_
#define WATTLE_SCHEDULER_PREDICT_MODE_REGRESSION_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "scheduler/predict/gaussian_process.h"

namespace wattle::scheduler {

// A number without influence is 0 in every cell.
struct ModeCell {
  double clock_mhz = 0;  // Clock of the computing processor.
  double cores = 0;
  double memory_mhz = 0;
  double batch = 0;
  double length = 0;  // Tokens of a prompt or an example.
  double units = 0;   // Units of work in the run, such as generated tokens.
};

struct ModeObservation {
  std::string board;  // The owner of a level: a board, or a board with one quantization.
  ModeCell cell;
  double seconds = 0;
  double watts = 0;  // 0: no sensor.
};

// Estimates of the logarithms. The deviations are those of one run, noise included.
struct ModeEstimate {
  double log_seconds = 0;
  double log_seconds_deviation = 0;
  double log_watts = 0;  // Meaningless if has_watts is false: no observation has watts.
  double log_watts_deviation = 0;
  bool has_watts = false;
};

class ModeRegression {
 public:
  // board: the board to predict; it needs no observation of its own if others have some. cells:
  // that board's cells. At most some 200 observations of other boards are used, evenly spaced.
  // Errors: kInvalidArgument names an observation or cell whose numbers are not finite and
  // positive, a number that only some cells have, or reports that there are no observations.
  static absl::StatusOr<ModeRegression> Learn(absl::Span<const ModeObservation> observations,
                                              const std::string& board,
                                              const std::vector<ModeCell>& cells);

  // One for each cell, in their order.
  [[nodiscard]] const std::vector<ModeEstimate>& estimates() const { return estimates_; }

  // The cell without an observation of the board whose run would lower the variances of the
  // logarithms of seconds and watts, summed over all cells, by the largest amount for each joule.
  // nullopt if all are measured. probe_joules: the positive cost of measuring each cell, in the
  // order of the cells.
  [[nodiscard]] std::optional<size_t> NextToMeasure(absl::Span<const double> probe_joules) const;

 private:
  ModeRegression() = default;

  std::vector<ModeEstimate> estimates_;
  std::vector<bool> measured_;
  std::vector<double> reductions_;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_MODE_REGRESSION_H_
