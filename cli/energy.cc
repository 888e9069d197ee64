// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle energy: how the joules were spent, from the receipts and the devices' ledgers.
#include <memory>

#include "cli/fleet_view.h"
#include "cli/session.h"
#include "cli/since.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

struct EnergyFlags {
  v1::EnergyGrouping by = v1::ENERGY_GROUPING_JOB;
  std::string since;
};

absl::StatusOr<ExitCode> ReportEnergy(Session& session, const EnergyFlags& flags) {
  v1::ReportEnergyRequest request;
  request.set_by(flags.by);
  if (!flags.since.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const absl::Time since, ParseSince(flags.since, session.Now()));
    request.set_since_unix_seconds(UnixSeconds(since));
  }
  WATTLE_ASSIGN_OR_RETURN(const v1::EnergyReport report,
                          session.client().Call(&CoordinatorStub::ReportEnergy, request));
  if (session.csv()) {
    session.PrintText(EnergyCsv(report, flags.by));
  } else {
    session.Print(report, [&] { return RenderEnergy(report, flags.by, session.style()); });
  }
  return ExitCode::kOk;
}

}  // namespace

void AddEnergyCommand(CLI::App* app, CommandSlot* slot) {
  CLI::App* leaf =
      AddLeaf(app, "energy",
              "Show where the joules went: gross, net of idle, their source, and how many "
              "may be missing.",
              "  wattle energy --by owner --since 7d\n"
              "  wattle energy --by day\n"
              "  wattle energy --by device -o csv > energy.csv\n");
  const auto flags = std::make_shared<EnergyFlags>();
  leaf->add_option_function<std::string>(
          "--by",
          [flags](const std::string& word) {
            flags->by = word == "owner"    ? v1::ENERGY_GROUPING_OWNER
                        : word == "device" ? v1::ENERGY_GROUPING_DEVICE
                        : word == "class"  ? v1::ENERGY_GROUPING_CLASS
                        : word == "day"    ? v1::ENERGY_GROUPING_DAY
                                           : v1::ENERGY_GROUPING_JOB;
          },
          "job (default), owner, device, class (of devices) or day (UTC)")
      ->check(CLI::IsMember({"job", "owner", "device", "class", "day"}).description(""))
      ->type_name("WHAT");
  leaf->add_option("--since", flags->since,
                   "Only joules spent since then: 30m, 24h, 7d, today, 2026-11-20")
      ->type_name("WHEN");
  slot->Bind(leaf, [flags](Session& session) { return ReportEnergy(session, *flags); });
}

}  // namespace wattle::cli
