// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/sim_view.h"

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/table.h"
#include <nlohmann/json.hpp>

#include "units/format.h"

namespace wattle::cli {
namespace {

// "12", or "12 (10-14)" if the seeds differ.
std::string SpreadText(const sim::Spread& spread, int decimals) {
  const auto text = [decimals](double value) { return absl::StrFormat("%.*f", decimals, value); };
  const std::string median = text(spread.median);
  const std::string low = text(spread.low);
  const std::string high = text(spread.high);
  return low == high ? median : absl::StrCat(median, " (", low, "-", high, ")");
}

std::string RunsTable(const std::vector<sim::PolicyResult>& results, const TextStyle& style) {
  Table table({{"policy"},
               {"class"},
               {"job"},
               {"runs", Align::kRight},
               {"seconds", Align::kRight},
               {"W", Align::kRight},
               {"Wh", Align::kRight}});
  for (const sim::PolicyResult& result : results) {
    for (const sim::ClassRuns& one : result.class_runs) {
      table.AddRow({result.policy, one.device_class, one.job, absl::StrCat(one.runs),
                    absl::StrFormat("%.0f", one.seconds), absl::StrFormat("%.2f", one.watts),
                    absl::StrFormat("%.2f", one.watt_hours)});
    }
  }
  return table.empty() ? "" : absl::StrCat("\n", table.Render(style));
}

// One line for each reason, with the policies in which it occurred.
std::string FailureLines(const std::vector<sim::PolicyResult>& results) {
  std::map<std::string, std::vector<std::string>> policies;
  for (const sim::PolicyResult& result : results) {
    for (const sim::Failure& failure : result.failures) {
      policies[absl::StrCat(failure.job, ": ", failure.reason)].push_back(result.policy);
    }
  }
  std::string lines;
  for (const auto& [reason, names] : policies) {
    absl::StrAppend(&lines, lines.empty() ? "\nmissed or failed, for example:\n" : "", "  ",
                    Printable(reason), " (", absl::StrJoin(names, ", "), ")\n");
  }
  return lines;
}

// The coverage of the predictions' intervals, one line for each policy.
std::string CoverageLines(const std::vector<sim::PolicyResult>& results) {
  std::string lines;
  for (const sim::PolicyResult& result : results) {
    const sim::Coverage& of = result.coverage;
    if (of.runs == 0) {
      continue;
    }
    const auto words = [](int64_t inside, int64_t runs, double log_error) {
      const auto count = static_cast<double>(runs);
      return absl::StrFormat("%.1f %% of %d, off by %.1f %% on average",
                             100.0 * static_cast<double>(inside) / count, runs,
                             100.0 * std::expm1(log_error / count));
    };
    absl::StrAppend(&lines,
                    lines.empty() ? "\nruns within the 90 % interval of their time: " : "; ",
                    result.policy, " ", words(of.inside, of.runs, of.log_error));
    if (of.runs_after_change > 0) {
      absl::StrAppend(
          &lines, ", and after their board's change ",
          words(of.inside_after_change, of.runs_after_change, of.log_error_after_change));
    }
  }
  return lines.empty() ? "" : absl::StrCat(lines, "\n");
}

std::string BreachLines(const std::vector<sim::PolicyResult>& results) {
  std::string lines;
  for (const sim::PolicyResult& result : results) {
    if (!result.plan_breach.empty()) {
      absl::StrAppend(&lines, "\na plan of ", result.policy, " breaks a rule, ", result.plan_breach,
                      "\n");
    }
  }
  return lines;
}

}  // namespace

std::string SimHeadLine(const sim::Scenario& scenario) {
  const std::string seeds =
      scenario.seeds == 1
          ? absl::StrCat("seed ", scenario.first_seed)
          : absl::StrCat("seeds ", scenario.first_seed, " to ",
                         scenario.first_seed + static_cast<uint64_t>(scenario.seeds) - 1,
                         "; median (90 % of the seeds)");
  return absl::StrCat(Printable(scenario.name), ": ", scenario.boards(),
                      scenario.boards() == 1 ? " board, " : " boards, ",
                      FormatElapsed(absl::Seconds(scenario.duration_seconds)), ", ", seeds);
}

std::vector<std::string> FigureCells(const sim::PolicyResult& result) {
  std::vector<std::string> cells;
  for (const sim::FigureRow& row : sim::FigureRows()) {
    cells.push_back(SpreadText(result.figures[static_cast<size_t>(row.figure)], row.decimals));
  }
  return cells;
}

std::string RenderSim(const sim::Scenario& scenario, const std::vector<sim::PolicyResult>& results,
                      bool with_runs, const TextStyle& style) {
  std::vector<Column> columns = {{"policy"}};
  for (const sim::FigureRow& row : sim::FigureRows()) {
    columns.push_back({row.head, Align::kRight});
  }
  Table table(std::move(columns));
  for (const sim::PolicyResult& result : results) {
    std::vector<std::string> cells = FigureCells(result);
    cells.insert(cells.begin(), result.policy);
    table.AddRow(std::move(cells));
  }
  return absl::StrCat(SimHeadLine(scenario), "\n", Printable(scenario.sun_clock),
                      scenario.sun_clock.empty() ? "\n" : "\n\n", table.Render(style),
                      CoverageLines(results), BreachLines(results),
                      with_runs ? RunsTable(results, style) : "", FailureLines(results));
}

namespace {

nlohmann::ordered_json TruthJson(const sim::GroupTruth& group) {
  nlohmann::ordered_json json;
  json["group"] = group.group;
  if (group.pack) {
    json["pack_watt_hours"] = ToWattHours(*group.pack);
    if (!group.shared_pack.empty()) {
      json["shared_pack"] = group.shared_pack;
    }
    json["charge_ratio"] = group.charge.value();
    json["reserve_ratio"] = group.reserve.value();
  }
  json["idle_watts"] = group.idle.value();
  json["sun_watts"] = group.sun;
  json["boards"] = nlohmann::ordered_json::array();
  for (const sim::BoardTruth& board : group.boards) {
    nlohmann::ordered_json jobs = nlohmann::ordered_json::array();
    for (const sim::JobTruth& job : board.jobs) {
      jobs.push_back(
          {{"job", job.job}, {"seconds", job.seconds}, {"power_watts", job.power.value()}});
    }
    json["boards"].push_back({{"board", board.board}, {"jobs", std::move(jobs)}});
  }
  return json;
}

}  // namespace

std::string SimJson(const sim::Scenario& scenario, const std::vector<sim::PolicyResult>& results) {
  nlohmann::ordered_json document;
  document["scenario"] = Printable(scenario.name);
  if (!scenario.sun_clock.empty()) {
    document["sun_clock"] = Printable(scenario.sun_clock);
  }
  document["boards"] = scenario.boards();
  document["duration_seconds"] = scenario.duration_seconds;
  document["first_seed"] = scenario.first_seed;
  document["seeds"] = scenario.seeds;
  document["policies"] = nlohmann::ordered_json::array();
  for (const sim::PolicyResult& result : results) {
    nlohmann::ordered_json policy;
    policy["policy"] = result.policy;
    for (const sim::FigureRow& row : sim::FigureRows()) {
      const sim::Spread& spread = result.figures[static_cast<size_t>(row.figure)];
      policy[row.key] = {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
    }
    policy["intervals"] = {{"runs", result.coverage.runs},
                           {"inside", result.coverage.inside},
                           {"log_error", result.coverage.log_error},
                           {"runs_after_change", result.coverage.runs_after_change},
                           {"inside_after_change", result.coverage.inside_after_change},
                           {"log_error_after_change", result.coverage.log_error_after_change}};
    if (!result.plan_breach.empty()) {
      policy["plan_breach"] = result.plan_breach;
    }
    policy["class_runs"] = nlohmann::ordered_json::array();
    for (const sim::ClassRuns& one : result.class_runs) {
      policy["class_runs"].push_back({{"device_class", one.device_class},
                                      {"job", one.job},
                                      {"runs", one.runs},
                                      {"seconds", one.seconds},
                                      {"power_watts", one.watts},
                                      {"energy_watt_hours", one.watt_hours}});
    }
    policy["failures"] = nlohmann::ordered_json::array();
    for (const sim::Failure& failure : result.failures) {
      policy["failures"].push_back({{"job", failure.job}, {"reason", failure.reason}});
    }
    document["policies"].push_back(std::move(policy));
  }
  document["truth_of_first_seed"] = nlohmann::ordered_json::array();
  for (const sim::GroupTruth& group : sim::TruthOf(scenario, scenario.first_seed)) {
    document["truth_of_first_seed"].push_back(TruthJson(group));
  }
  return absl::StrCat(document.dump(1), "\n");
}

}  // namespace wattle::cli
