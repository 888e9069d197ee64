// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/sim_page.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/labels.h"
#include "cli/page.h"
#include "cli/sim_board_drawing.h"
#include "cli/sim_view.h"

#include "proto/state_names.h"
#include "units/format.h"

namespace wattle::cli {
namespace {

static_assert(kColours == v1::AttemptPhase_MAX, "two phases would look alike");

constexpr char kSimStyle[] =
    R"(:root { --c0: #8fb4f0; --c1: #f2b56b; --c2: #8fd0a5; --c3: #eaa0c0; --c4: #bfa8ea; --c5: #7fcfd0; --c6: #e0cf6a; --c7: #cbb39a; --c8: #f09a8a; --rest: #c9d0d8; --bad: #c62f2f; --sun: #f3d06a; }
@media (prefers-color-scheme: dark) { :root { --c0: #37598f; --c1: #8a5a20; --c2: #2f6e48; --c3: #85405f; --c4: #5b4590; --c5: #236c6e; --c6: #746516; --c7: #65523d; --c8: #8c3f33; --rest: #454e58; --bad: #ff6b6b; --sun: #7a6420; } }
h1 { font-size: 1.5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .2rem; }
h3 small, .note { font-weight: normal; opacity: .75; }
summary { cursor: pointer; margin-top: 1.6rem; }
summary h2 { display: inline; }
.scroll { overflow-x: auto; }
.figures { font-size: .87rem; }
.figures td, .figures th { text-align: right; padding-right: .6rem; }
.figures small { white-space: nowrap; }
.figures td:first-child, .figures th:first-child { text-align: left; white-space: nowrap; }
.lost td:not(:last-child), .lost th { white-space: nowrap; }
.c0 { fill: var(--c0); background: var(--c0); }
.c1 { fill: var(--c1); background: var(--c1); }
.c2 { fill: var(--c2); background: var(--c2); }
.c3 { fill: var(--c3); background: var(--c3); }
.c4 { fill: var(--c4); background: var(--c4); }
.c5 { fill: var(--c5); background: var(--c5); }
.c6 { fill: var(--c6); background: var(--c6); }
.c7 { fill: var(--c7); background: var(--c7); }
.c8 { fill: var(--c8); background: var(--c8); }
.rest { fill: var(--rest); background: var(--rest); }
.overhead { fill: var(--ink); background: var(--ink); }
rect.untold { fill: var(--paper); stroke: var(--ink); }
i.untold { outline: 1px solid var(--ink); }
.sun { fill: var(--sun); background: var(--sun); }
.cut { fill: var(--line); opacity: .45; }
.failed { stroke: var(--bad); stroke-width: 2; }
.superseded { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 3 2; }
.reserve { stroke: var(--bad); stroke-dasharray: 6 4; }
.expected { fill: none; stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 4 3; }
.told { fill: none; stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 1 3; }
i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin: 0 .35rem 0 0; vertical-align: -1px; }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
)";

std::string Elapsed(double seconds) {
  return FormatElapsed(absl::Seconds(seconds));
}

std::string Swatch(absl::string_view css, absl::string_view name) {
  return absl::StrCat("<span><i class=\"", css, "\"></i>", Escaped(name), "</span>\n");
}

std::string Legend(const sim::Scenario& scenario, const sim::Recording& recording) {
  std::string legend;
  for (size_t i = 0; i < scenario.jobs.size(); ++i) {
    legend += Swatch(ColourOf(i), scenario.jobs[i].spec.name());
  }
  const auto on_pack = [](const sim::BoardRecord& board) { return !board.pack.empty(); };
  return absl::StrCat(
      "<p class=\"legend\">", legend, "</p>\n<p class=\"note\">A red edge: the attempt failed. A ",
      "broken edge: another attempt took its place.",
      scenario.cuts.empty() ? "" : " Behind the bars, grey: the board has no link.",
      std::any_of(recording.boards.begin(), recording.boards.end(), on_pack)
          ? " Below the bars: the charge in truth; the watts of the panel, and as "
            "a broken line the "
            "watts on which the planner counts in that hour."
          : "",
      scenario.forecast_error.has_value() ? " Dotted: what the pushed forecast tells of that hour."
                                          : "",
      "</p>\n");
}

// A part of the joules of attempts and of the boards' idle time.
struct Part {
  std::string name;
  std::string css;
  Joules energy;
};

// Returns the same parts for every policy: those whose joules are in the receipts, and the rest
// from the ledgers. A ledger can be some minutes older than the last receipt.
std::vector<Part> PartsOf(const sim::EnergyRecord& energy) {
  std::vector<Part> parts = {{"idle", "rest", energy.idle},
                             {"overhead", "overhead", energy.overhead}};
  Joules told;
  for (int number = 1; number < v1::AttemptPhase_ARRAYSIZE; ++number) {
    const auto phase = static_cast<v1::AttemptPhase>(number);
    Part part = {Word(phase), ColourOf(static_cast<size_t>(number) - 1), Joules(0)};
    for (const sim::PhaseRecord& record : energy.phases) {
      part.energy += record.phase == phase ? record.energy : Joules(0);
    }
    told += part.energy;
    parts.push_back(std::move(part));
  }
  parts.push_back({"no receipt yet", "untold", std::max(Joules(0), energy.attempts - told)});
  return parts;
}

using EnergyRow = std::pair<std::string, std::vector<Part>>;  // a policy's

std::string EnergyBars(const std::vector<EnergyRow>& rows) {
  constexpr double kRow = 26;
  constexpr double kName = 110;
  constexpr double kEnd = 90;
  const auto sum = [](const std::vector<Part>& parts) {
    Joules all;
    for (const Part& part : parts) {
      all += part.energy;
    }
    return all;
  };
  Joules most(1.0);
  for (const auto& [policy, parts] : rows) {
    most = std::max(most, sum(parts));
  }
  std::string bars;
  double y = 0.0;
  for (const auto& [policy, parts] : rows) {
    absl::StrAppendFormat(&bars, "<text x=\"0\" y=\"%g\">%s</text>\n", y + 16, Escaped(policy));
    double x = kName;
    for (const Part& part : parts) {
      const double width = part.energy / most * (Drawing::kWidth - kName - kEnd);
      if (width > 0.0) {
        absl::StrAppendFormat(&bars,
                              "<rect class=\"%s\" x=\"%.1f\" y=\"%g\" width=\"%.1f\" height=\"%g\">"
                              "<title>%s, %s: %s</title></rect>\n",
                              part.css, x, y + 3, width, kRow - 6, Escaped(policy),
                              Escaped(part.name), FormatEnergy(part.energy));
      }
      x += width;
    }
    absl::StrAppendFormat(&bars, "<text x=\"%.1f\" y=\"%g\">%s</text>\n", x + 6, y + 16,
                          FormatEnergy(sum(parts)));
    y += kRow;
  }
  return absl::StrFormat(
      "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"joules\">\n%s</svg>\n", Drawing::kWidth,
      y, bars);
}

std::string EnergyTable(const std::vector<EnergyRow>& rows) {
  constexpr double kWattHoursMin = 0.05;
  const std::vector<Part>& heads = rows.front().second;
  // Parts that are 0.0 for every policy are left out.
  std::vector<size_t> shown;
  for (size_t i = 0; i < heads.size(); ++i) {
    if (std::any_of(rows.begin(), rows.end(), [i](const EnergyRow& row) {
          return ToWattHours(row.second[i].energy) >= kWattHoursMin;
        })) {
      shown.push_back(i);
    }
  }
  std::string table = "<div class=\"scroll\"><table class=\"figures\"><tr><th>Wh</th>";
  for (const size_t i : shown) {
    absl::StrAppend(&table, "<th><i class=\"", heads[i].css, "\"></i>", Escaped(heads[i].name),
                    "</th>");
  }
  table += "</tr>\n";
  for (const auto& [policy, parts] : rows) {
    absl::StrAppend(&table, "<tr><td>", Escaped(policy), "</td>");
    for (const size_t i : shown) {
      absl::StrAppendFormat(&table, "<td>%.1f</td>", ToWattHours(parts[i].energy));
    }
    table += "</tr>\n";
  }
  return table + "</table></div>\n";
}

std::string EnergySection(const std::vector<sim::PolicyResult>& results) {
  std::vector<EnergyRow> rows;
  for (const sim::PolicyResult& result : results) {
    if (result.recording) {
      rows.emplace_back(result.policy, PartsOf(result.recording->energy));
    }
  }
  return rows.empty()
             ? ""
             : absl::StrCat(
                   "<h2>Where the energy went</h2>\n", EnergyBars(rows), EnergyTable(rows),
                   "<p class=\"note\">By the boards' ledgers since they are up, a quarter of an "
                   "hour before hour 0, and by the receipts of their attempts.</p>\n");
}

std::string LostJobs(const sim::Recording& recording) {
  if (recording.lost_jobs.empty()) {
    return "<p>No job missed its deadline or failed.</p>\n";
  }
  std::string table =
      "<h3>Missed and failed jobs</h3>\n<table class=\"lost\"><tr><th>job</th><th>counts "
      "as</th><th>state</th>"
      "<th>late by</th><th>reason</th></tr>\n";
  for (const sim::LostJob& lost : recording.lost_jobs) {
    absl::StrAppend(&table, "<tr><td>", Escaped(lost.job), "</td><td>",
                    lost.missed ? "missed" : "failed", "</td><td>", Word(lost.state), "</td><td>",
                    lost.late_seconds > 0.0 ? Elapsed(lost.late_seconds) : "", "</td><td>",
                    Escaped(lost.reason), "</td></tr>\n");
  }
  return table + "</table>\n";
}

std::string Figures(const std::vector<sim::PolicyResult>& results) {
  std::string table = "<div class=\"scroll\"><table class=\"figures\"><tr><th>policy</th>";
  for (const sim::FigureRow& row : sim::FigureRows()) {
    absl::StrAppend(&table, "<th>", row.head, "</th>");
  }
  table += "</tr>\n";
  for (const sim::PolicyResult& result : results) {
    absl::StrAppend(&table, "<tr><td>", Escaped(result.policy), "</td>");
    for (const std::string& cell : FigureCells(result)) {
      const std::vector<std::string> parts = absl::StrSplit(cell, absl::MaxSplits(' ', 1));
      absl::StrAppend(&table, "<td>", parts[0],
                      parts.size() > 1 ? absl::StrCat(" <small>", parts[1], "</small>") : "",
                      "</td>");
    }
    table += "</tr>\n";
  }
  return table + "</table></div>\n";
}

}  // namespace

std::string SimPage(const sim::Scenario& scenario, const std::vector<sim::PolicyResult>& results) {
  std::string page = absl::StrCat(
      PageHead(absl::StrCat("Wattle: ", scenario.name), kSimStyle), "<h1>", Escaped(scenario.name),
      "</h1>\n<p>", Escaped(SimHeadLine(scenario)), ". ", Escaped(scenario.sun_clock),
      scenario.sun_clock.empty() ? "" : ". ", "The first table is of all seeds. All below ",
      "it shows seed ", scenario.first_seed, " alone, the first one of each policy.</p>\n",
      Figures(results), EnergySection(results));
  for (const sim::PolicyResult& result : results) {
    if (!result.recording) {
      continue;
    }
    absl::StrAppend(&page, "<details open><summary><h2>", Escaped(result.policy), ", seed ",
                    result.recording->seed, "</h2></summary>\n",
                    Legend(scenario, *result.recording));
    for (const sim::BoardRecord& board : result.recording->boards) {
      page += BoardSection(scenario, board);
    }
    absl::StrAppend(&page, LostJobs(*result.recording), "</details>\n");
  }
  return page + PageEnd();
}

}  // namespace wattle::cli
