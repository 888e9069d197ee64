// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shared parts of the pages for a browser: head and style, escaped text, and a drawing over time
// with its hours, bars and charge. A page is one file that needs no network and no script. Pure.
#ifndef WATTLE_CLI_PAGE_H_
#define WATTLE_CLI_PAGE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace wattle::cli {

// title: plain text. style: CSS rules of this page in addition to the shared ones.
[[nodiscard]] std::string PageHead(absl::string_view title, absl::string_view style = "");
[[nodiscard]] std::string PageEnd();
// Any text as text for a page: no markup, no control characters, no broken UTF-8.
[[nodiscard]] std::string Escaped(absl::string_view text);

// A bar of a drawing. The texts are plain.
struct DrawnBar {
  std::string css;  // its classes
  double begin_seconds = 0.0;
  double end_seconds = 0.0;
  std::string label;  // written in the bar if it fits
  std::string title;  // shown under the pointer
};

// A drawing over time, in its own units: a lane of bars at the top, the page's content below it,
// and the hours at the bottom.
class Drawing {
 public:
  static constexpr double kWidth = 1000;
  static constexpr double kLane = 26;
  static constexpr double kCharge = 70;  // height of a pack's charge
  static constexpr double kHours = 16;

  // Formats the time of a grid line.
  using TimeLabel = std::string (*)(double at_seconds);
  // Times are seconds since any midnight.
  Drawing(double begin_seconds, double length_seconds, TimeLabel label)
      : begin_seconds_(begin_seconds), length_seconds_(length_seconds), label_(label) {}

  [[nodiscard]] double X(double at_seconds) const;
  // The height of a share between two heights.
  [[nodiscard]] static double Y(double ratio, double top, double height);
  // A whole drawing. height: without the hours. content: drawn over the grid lines.
  [[nodiscard]] std::string Svg(absl::string_view name, double height,
                                absl::string_view content) const;
  [[nodiscard]] std::string Bar(const DrawnBar& bar) const;
  // A text that is readable over lines, at the left or right edge.
  [[nodiscard]] static std::string ScaleText(double y, absl::string_view text, bool at_end = false);
  // "100 %" and "0 %" beside the charge, which begins at `top`.
  [[nodiscard]] static std::string ChargeScale(double top);

 private:
  [[nodiscard]] std::string Lines(double height) const;

  const double begin_seconds_;
  const double length_seconds_;
  const TimeLabel label_;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PAGE_H_
