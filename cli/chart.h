// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A line over time in text: braille dots, two by four in a character, or one asterisk a character
// where the terminal has no UTF-8. Pure; thread-safe.
#ifndef WATTLE_CLI_CHART_H_
#define WATTLE_CLI_CHART_H_

#include <string>
#include <vector>

#include "cli/text_style.h"

namespace wattle::cli {

struct ChartPoint {
  double x = 0;
  double y = 0;
};

struct Chart {
  std::string title;              // above the chart, in full
  std::vector<ChartPoint> line;   // ascending in x; drawn from each point to the next
  std::vector<ChartPoint> marks;  // an "o" each, over the line
  bool from_zero = false;         // the y axis begins at 0, not at the least value
  std::string x_unit;             // "s"
};

// Eight rows, at most 100 columns and never more than the style has. Empty where there is no point;
// points that are not finite are left out.
std::string RenderChart(const Chart& chart, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_CHART_H_
