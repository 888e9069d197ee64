// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/fleet_view.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

std::string GroupingWord(v1::EnergyGrouping by) {
  return by == v1::ENERGY_GROUPING_UNSPECIFIED ? "job" : Word(by);
}

std::string Sources(const v1::EnergyRow& row) {
  std::set<v1::EnergySource> sources;
  for (const int source : row.sources()) {
    sources.insert(static_cast<v1::EnergySource>(source));
  }
  return EvidenceWords(sources);
}

std::string Energy(double joules) {
  return FormatEnergy(Joules(joules));
}

std::vector<std::string> Cells(const v1::EnergyRow& row, const std::string& key, bool labelled,
                               bool ledger) {
  std::vector<std::string> cells = {key};
  if (labelled) {
    cells.push_back(row.label());
  }
  cells.push_back(Energy(row.gross_energy_joules()));
  cells.push_back(row.net_known() ? Energy(row.net_energy_joules()) : "");
  cells.push_back(row.missing_energy_joules() > 0.0 ? Energy(row.missing_energy_joules()) : "");
  if (ledger) {
    cells.push_back(row.has_ledger() ? Energy(row.idle_energy_joules()) : "");
    cells.push_back(row.has_ledger() ? Energy(row.overhead_energy_joules()) : "");
  }
  cells.push_back(Sources(row));
  cells.push_back(absl::StrCat(row.attempts()));
  return cells;
}

std::string CsvField(const std::string& text) {
  // A text that begins like a formula gets a quote in front, because a spreadsheet would run it.
  const bool formula = !text.empty() && std::string("=+-@").find(text[0]) != std::string::npos;
  const std::string safe = formula ? absl::StrCat("'", text) : text;
  return safe.find_first_of(",\"\r\n") == std::string::npos
             ? safe
             : absl::StrCat("\"", absl::StrReplaceAll(safe, {{"\"", "\"\""}}), "\"");
}

std::string CsvNumber(double value, bool known = true) {
  return known ? absl::StrFormat("%.3f", value) : "";
}

}  // namespace

std::string RenderEnergy(const v1::EnergyReport& report, v1::EnergyGrouping by,
                         const TextStyle& style) {
  if (report.rows().empty()) {
    return "no joules on record in this time\n";
  }
  const std::string word = GroupingWord(by);
  const bool labelled = word == "job" || word == "device";
  const bool ledger = report.total().has_ledger();
  std::vector<Column> columns = {{word}};
  if (labelled) {
    columns.push_back({"name", Align::kLeft, true});
  }
  columns.insert(columns.end(), {{"gross", Align::kRight},
                                 {"net", Align::kRight},
                                 {"missing at most", Align::kRight, false, true}});
  if (ledger) {
    columns.push_back({"idle", Align::kRight});
    columns.push_back({"overhead", Align::kRight, false, true});
  }
  columns.push_back({"source"});
  columns.push_back({"attempts", Align::kRight, false, true});
  Table table(columns);
  std::vector<std::string> keys;
  for (const v1::EnergyRow& row : report.rows()) {
    keys.push_back(row.key());
  }
  const size_t id_digits = UniqueDigits(keys);
  for (const v1::EnergyRow& row : report.rows()) {
    const std::string key = word == "device"    ? row.key().substr(0, id_digits)
                            : row.key().empty() ? "(none)"
                                                : row.key();
    table.AddRow(Cells(row, key, labelled, ledger));
  }
  table.AddRow(Cells(report.total(), "total", labelled, ledger), Emphasis::kStrong);
  std::string out = table.Render(style);
  absl::StrAppend(&out, "\ngross and net are of attempts",
                  ledger ? "; idle and overhead are the devices' own" : "", "\n");
  return out;
}

std::string EnergyCsv(const v1::EnergyReport& report, v1::EnergyGrouping by) {
  std::string out = absl::StrCat(
      GroupingWord(by),
      ",name,gross_energy_joules,net_energy_joules,missing_energy_joules,idle_energy_joules,"
      "overhead_energy_joules,sources,attempts,device_seconds\r\n");
  for (const v1::EnergyRow& row : report.rows()) {
    absl::StrAppend(
        &out,
        absl::StrJoin(
            {CsvField(row.key()), CsvField(row.label()), CsvNumber(row.gross_energy_joules()),
             CsvNumber(row.net_energy_joules(), row.net_known()),
             CsvNumber(row.missing_energy_joules()),
             CsvNumber(row.idle_energy_joules(), row.has_ledger()),
             CsvNumber(row.overhead_energy_joules(), row.has_ledger()), CsvField(Sources(row)),
             absl::StrCat(row.attempts()), CsvNumber(row.seconds())},
            ","),
        "\r\n");
  }
  return out;
}

}  // namespace wattle::cli
