// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "cli/table.h"

namespace wattle::cli {
namespace {

constexpr char kHeadBegin[] = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
)";
constexpr char kSharedStyle[] =
    R"(:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --line: #d5dbe1; --charge: #e0a020; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14181d; --line: #39424c; --charge: #e8b64a; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 11px; fill: var(--ink); }
svg .scale { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.grid { stroke: var(--line); }
.charge { fill: none; stroke: var(--charge); stroke-width: 2; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
)";

// Candidate distances of the grid lines; the first that needs at most kGridLinesMax lines is used.
constexpr std::array<int, 9> kGridHours = {1, 3, 6, 12, 24, 48, 7 * 24, 14 * 24, 31 * 24};
constexpr int kGridLinesMax = 12;
constexpr double kHourSeconds = 3600.0;
// Width of a label's character.
constexpr double kCharacter = 9.0;
constexpr double kTimeLabel = 40.0;

}  // namespace

std::string PageHead(absl::string_view title, absl::string_view style) {
  return absl::StrCat(kHeadBegin, "<title>", Escaped(title), "</title>\n<style>\n", kSharedStyle,
                      style, "</style>\n</head>\n<body>\n");
}

std::string PageEnd() {
  return "</body>\n</html>\n";
}

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(
      Printable(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

double Drawing::X(double at_seconds) const {
  return kWidth * std::clamp((at_seconds - begin_seconds_) / length_seconds_, 0.0, 1.0);
}

double Drawing::Y(double ratio, double top, double height) {
  return top + height * (1 - std::clamp(ratio, 0.0, 1.0));
}

std::string Drawing::Svg(absl::string_view name, double height, absl::string_view content) const {
  return absl::StrCat("<svg viewBox=\"0 0 ", kWidth, " ", height + kHours,
                      "\" role=\"img\" aria-label=\"", Escaped(name), "\">\n", Lines(height),
                      content, "</svg>\n");
}

std::string Drawing::Lines(double height) const {
  const double hours = length_seconds_ / kHourSeconds;
  // The finest interval that keeps the labels apart; the coarsest one for longer times.
  const auto every = std::find_if(kGridHours.begin(), kGridHours.end() - 1,
                                  [hours](int each) { return hours / each <= kGridLinesMax; });
  const double step = *every * kHourSeconds;
  std::string lines;
  const auto first = static_cast<int64_t>(std::ceil(begin_seconds_ / step));
  const auto end = static_cast<int64_t>(std::ceil((begin_seconds_ + length_seconds_) / step));
  for (int64_t line = first; line < end; ++line) {
    const double at = static_cast<double>(line) * step;
    const double x = X(at);
    absl::StrAppendFormat(
        &lines, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%g\"/>", x, x, height);
    // A label at the right edge would be cut off.
    if (x < kWidth - kTimeLabel) {
      absl::StrAppendFormat(&lines, "<text x=\"%.1f\" y=\"%g\">%s</text>", x + 2,
                            height + kHours - 4, label_(at));
    }
    lines += '\n';
  }
  return lines;
}

std::string Drawing::Bar(const DrawnBar& bar) const {
  const double begin = X(bar.begin_seconds);
  const double width = std::max(1.0, X(bar.end_seconds) - begin);
  std::string drawn = absl::StrFormat(
      "<rect class=\"%s\" x=\"%.1f\" y=\"3\" width=\"%.1f\" height=\"%g\" rx=\"2\">"
      "<title>%s</title></rect>",
      bar.css, begin, width, kLane - 6, Escaped(bar.title));
  // A wider label would run into the next bar; the title under the pointer still names the job.
  if (width > kCharacter * static_cast<double>(bar.label.size())) {
    absl::StrAppendFormat(&drawn, "<text x=\"%.1f\" y=\"%g\">%s</text>", begin + 4, kLane - 9,
                          Escaped(bar.label));
  }
  return drawn + "\n";
}

std::string Drawing::ScaleText(double y, absl::string_view text, bool at_end) {
  return absl::StrFormat("<text class=\"scale\" x=\"%g\" y=\"%.1f\"%s>%s</text>\n",
                         at_end ? kWidth - 2 : 2, y, at_end ? " text-anchor=\"end\"" : "",
                         Escaped(text));
}

std::string Drawing::ChargeScale(double top) {
  return absl::StrCat(ScaleText(top + 10, "100 %"), ScaleText(top + kCharge - 2, "0 %"));
}

}  // namespace wattle::cli
