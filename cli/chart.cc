// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/chart.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "cli/table.h"

namespace wattle::cli {
namespace {

constexpr size_t kRows = 8;
constexpr size_t kColumnsMax = 100;
constexpr size_t kColumnsMin = 30;
// The dots of a braille character: U+2800 and a bit for each of two columns and four rows.
constexpr size_t kDotsAcross = 2;
constexpr size_t kDotsDown = 4;
constexpr unsigned kBraille[kDotsDown][kDotsAcross] = {
    {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};

struct Range {
  double low = 0;
  double high = 1;

  // Index of the cell for `value` among `count` cells.
  [[nodiscard]] size_t Place(double value, size_t count) const {
    const double share = std::clamp((value - low) / (high - low), 0.0, 1.0);
    return static_cast<size_t>(std::lround(share * static_cast<double>(count - 1)));
  }
};

Range RangeOf(const std::vector<double>& values, bool from_zero) {
  Range range;
  range.low = *std::min_element(values.begin(), values.end());
  range.high = *std::max_element(values.begin(), values.end());
  if (from_zero) {
    range.low = std::min(range.low, 0.0);
  }
  if (range.high <= range.low) {  // all values are equal: center the line
    const double around = std::max(std::abs(range.low) * 0.1, 1e-6);
    range.low -= around;
    range.high += around;
  }
  return range;
}

std::string Utf8Braille(unsigned dots) {
  const unsigned code = 0x2800U + dots;  // three bytes: E2 A0..A3 80..BF
  return {static_cast<char>(0xE0U | (code >> 12U)),
          static_cast<char>(0x80U | ((code >> 6U) & 0x3FU)),
          static_cast<char>(0x80U | (code & 0x3FU))};
}

// A raster of dots for lines and marks; a block of dots becomes one character.
class Canvas {
 public:
  Canvas(size_t columns, bool unicode)
      : columns_(columns),
        across_(unicode ? kDotsAcross : 1),
        down_(unicode ? kDotsDown : 1),
        dots_(width() * height(), false),
        marks_(columns * kRows, false) {}

  [[nodiscard]] size_t width() const { return columns_ * across_; }
  [[nodiscard]] size_t height() const { return kRows * down_; }

  void Dot(size_t x, size_t y) { dots_[(height() - 1 - y) * width() + x] = true; }
  void Mark(size_t x, size_t y) {
    marks_[(height() - 1 - y) / down_ * columns_ + x / across_] = true;
  }
  // Draws a line between two dots without a gap: one dot for each unit of the longer axis (the DDA
  // algorithm).
  void Line(size_t x0, size_t y0, size_t x1, size_t y1) {
    const double dx = static_cast<double>(x1) - static_cast<double>(x0);
    const double dy = static_cast<double>(y1) - static_cast<double>(y0);
    // One step for each dot of the longer axis, so the shorter axis never skips a dot.
    const auto steps = static_cast<size_t>(std::max({std::abs(dx), std::abs(dy), 1.0}));
    for (size_t i = 0; i <= steps; ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(steps);
      Dot(static_cast<size_t>(std::lround(static_cast<double>(x0) + dx * share)),
          static_cast<size_t>(std::lround(static_cast<double>(y0) + dy * share)));
    }
  }

  // One row of characters, without trailing blanks.
  [[nodiscard]] std::string Row(size_t row) const {
    std::string out;
    size_t used = 0;
    for (size_t column = 0; column < columns_; ++column) {
      const unsigned dots = DotsOf(row, column);
      // A mark hides the line's dots in its cell, because a character shows only one of them.
      if (marks_[row * columns_ + column]) {
        out += 'o';
      } else if (dots == 0) {
        out += ' ';
        continue;
      } else {
        out += down_ == 1 ? std::string("*") : Utf8Braille(dots);
      }
      used = out.size();
    }
    out.resize(used);
    return out;
  }

 private:
  [[nodiscard]] unsigned DotsOf(size_t row, size_t column) const {
    unsigned dots = 0;
    for (size_t y = 0; y < down_; ++y) {
      for (size_t x = 0; x < across_; ++x) {
        if (dots_[(row * down_ + y) * width() + column * across_ + x]) {
          dots |= kBraille[y][x];
        }
      }
    }
    return dots;
  }

  const size_t columns_;
  const size_t across_;
  const size_t down_;
  std::vector<bool> dots_;
  std::vector<bool> marks_;
};

std::vector<ChartPoint> Finite(const std::vector<ChartPoint>& points) {
  std::vector<ChartPoint> finite;
  for (const ChartPoint& point : points) {
    if (std::isfinite(point.x) && std::isfinite(point.y)) {
      finite.push_back(point);
    }
  }
  return finite;
}

}  // namespace

std::string RenderChart(const Chart& chart, const TextStyle& style) {
  const std::vector<ChartPoint> line = Finite(chart.line);
  const std::vector<ChartPoint> marks = Finite(chart.marks);
  std::vector<double> xs;
  std::vector<double> ys;
  for (const auto* points : {&line, &marks}) {
    for (const ChartPoint& point : *points) {
      xs.push_back(point.x);
      ys.push_back(point.y);
    }
  }
  if (xs.empty()) {
    return "";
  }
  // The x axis starts at 0, so that a curve of late samples does not look like a whole run.
  const Range x_range = RangeOf(xs, /*from_zero=*/true);
  const Range y_range = RangeOf(ys, chart.from_zero);
  const std::string top = absl::StrFormat("%.3g", y_range.high);
  const std::string bottom = absl::StrFormat("%.3g", y_range.low);
  const size_t label = std::max(top.size(), bottom.size());
  const size_t limit = style.width_columns > 0 ? static_cast<size_t>(style.width_columns) : 80;
  // Four columns are the frame: two of indent, a blank and the axis.
  const size_t columns = std::clamp(limit, kColumnsMin, kColumnsMax) - label - 4;
  Canvas canvas(columns, style.unicode);
  for (size_t i = 0; i < line.size(); ++i) {
    // The first point has no predecessor; a line from itself draws its dot.
    const ChartPoint& from = line[i == 0 ? 0 : i - 1];
    canvas.Line(x_range.Place(from.x, canvas.width()), y_range.Place(from.y, canvas.height()),
                x_range.Place(line[i].x, canvas.width()),
                y_range.Place(line[i].y, canvas.height()));
  }
  for (const ChartPoint& mark : marks) {
    canvas.Mark(x_range.Place(mark.x, canvas.width()), y_range.Place(mark.y, canvas.height()));
  }

  std::string out = absl::StrCat(Printable(chart.title), "\n");
  for (size_t row = 0; row < kRows; ++row) {
    const std::string text = row == 0 ? top : row == kRows - 1 ? bottom : "";
    const std::string cells = canvas.Row(row);
    absl::StrAppend(&out, "  ", std::string(label - text.size(), ' '), text, " |", cells, "\n");
  }
  const std::string first = absl::StrFormat("%.4g", x_range.low);
  const std::string last = absl::StrFormat("%.4g %s", x_range.high, chart.x_unit);
  const size_t gap =
      columns > first.size() + last.size() ? columns - first.size() - last.size() : 1;
  absl::StrAppend(&out, std::string(label + 3, ' '), "+", std::string(columns, '-'), "\n",
                  std::string(label + 4, ' '), first, std::string(gap, ' '), last, "\n");
  return out;
}

}  // namespace wattle::cli
