// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Queries the regression over power modes and batches (scheduler/predict/mode_regression.h) line by
// line, for bench/predict_measured.py, which plays measured boards and judges the answers. All data
// of a board come from these lines:
//
//   reset
//       forgets all lines
//   cell CLOCK CORES BATCH LENGTH UNITS JOULES
//       a cell to predict, and the cost of measuring it
//   saw BOARD CLOCK CORES BATCH LENGTH UNITS SECONDS WATTS
//       a measured run
//   ask BOARD
//       answers "LN_SECONDS DEVIATION LN_WATTS DEVIATION" for each cell, then one line with the
//       number of the cell to measure next, -1 if all are measured
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "scheduler/predict/mode_regression.h"

namespace {

using wattle::scheduler::ModeCell;
using wattle::scheduler::ModeEstimate;
using wattle::scheduler::ModeObservation;
using wattle::scheduler::ModeRegression;

std::istream& operator>>(std::istream& in, ModeCell& cell) {
  return in >> cell.clock_mhz >> cell.cores >> cell.batch >> cell.length >> cell.units;
}

struct Told {
  std::vector<ModeCell> cells;
  std::vector<double> probe_joules;
  std::vector<ModeObservation> observations;
};

bool Answer(const Told& told, const std::string& board) {
  const absl::StatusOr<ModeRegression> regression =
      ModeRegression::Learn(told.observations, board, told.cells);
  if (!regression.ok()) {
    std::fprintf(stderr, "wattle-predict-modes: %s\n",
                 std::string(regression.status().message()).c_str());
    return false;
  }
  for (const ModeEstimate& estimate : regression->estimates()) {
    std::printf("%.17g %.17g %.17g %.17g\n", estimate.log_seconds, estimate.log_seconds_deviation,
                estimate.log_watts, estimate.log_watts_deviation);
  }
  const auto next = regression->NextToMeasure(told.probe_joules);
  std::printf("%d\n", next.has_value() ? static_cast<int>(*next) : -1);
  std::fflush(stdout);
  return true;
}

}  // namespace

int main() {
  Told told;
  std::string word;
  while (std::cin >> word) {
    if (word == "reset") {
      told = Told();
    } else if (word == "cell") {
      std::cin >> told.cells.emplace_back() >> told.probe_joules.emplace_back();
    } else if (word == "saw") {
      ModeObservation& seen = told.observations.emplace_back();
      std::cin >> seen.board >> seen.cell >> seen.seconds >> seen.watts;
    } else {
      std::string board;
      if (word != "ask" || !(std::cin >> board) || !Answer(told, board)) {
        return 1;
      }
    }
  }
  return 0;
}
