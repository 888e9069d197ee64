// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Draws a line over time as text. A character holds two by four braille dots, or one asterisk if
// the terminal has no UTF-8. Pure; thread-safe.
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
  std::string title;              // shown above the chart; never shortened
  std::vector<ChartPoint> line;   // ascending in x; drawn from each point to the next
  std::vector<ChartPoint> marks;  // each drawn as "o", over the line
  bool from_zero = false;         // the y axis begins at 0, not at the least value
  std::string x_unit;             // "s"
};

// Renders eight rows of at most 100 columns, and never more than the style has. Points that are not
// finite are left out. Returns "" if no point is left.
std::string RenderChart(const Chart& chart, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_CHART_H_
