// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle sim: simulates a fleet. Runs a scenario in virtual time, and calls a coordinator only to
// fetch its fleet for the scenario.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/session.h"
#include "cli/sim_page.h"
#include "cli/sim_view.h"
#include "cli/text_file.h"
#include <CLI/App.hpp>

#include "base/file.h"
#include "base/status_macros.h"
#include "sim/scenario/fleet_scenario.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"

namespace wattle::cli {
namespace {

constexpr int64_t kScenarioBytesMax = 8 << 20;  // with a fleet of 1000 boards and all their rows
constexpr int64_t kTableBytesMax = 64 << 20;    // a sun of many years, a long trace

struct SimFlags {
  std::string file;
  std::optional<std::string> policy;
  std::optional<std::string> seeds;
  std::optional<std::string> seed;
  sim::Changes changes;
  std::string json;
  std::string html;
  bool runs = false;
  bool from_fleet = false;
  std::string write;
};

// A flag is equivalent to --set of its field.
sim::Changes ChangesOf(const SimFlags& flags) {
  sim::Changes changes = flags.changes;
  const auto add = [&changes](const char* field, const std::optional<std::string>& value) {
    if (value.has_value()) {
      changes.set.push_back(absl::StrCat(field, "=", *value));
    }
  };
  add("policy", flags.policy);
  add("seeds", flags.seeds);
  add("seed", flags.seed);
  return changes;
}

// Runs the scenario and prints the result.
absl::StatusOr<ExitCode> Answer(Session& session, const SimFlags& flags,
                                const sim::Scenario& scenario) {
  const bool json_alone = session.json() || flags.json == kStandardOutput;
  const auto results = sim::RunPolicies(
      scenario, [&session] { return session.environment().interrupt->raised(); },
      flags.html.empty() ? sim::Recorded::kNothing : sim::Recorded::kFirstSeed);
  const std::string file = flags.file.empty() ? "fleet" : flags.file;
  WATTLE_RETURN_IF_ERROR(absl::StartsWith(results.status().message(), absl::StrCat(file, ":"))
                             ? results.status()  // includes the line
                             : WithContext(file, results.status()));
  const std::string json = SimJson(scenario, *results);
  // The answer comes first: a file that cannot be written must not waste minutes of simulation.
  const bool page_alone = flags.html == kStandardOutput;
  session.PrintText(json_alone   ? json
                    : page_alone ? SimPage(scenario, *results)
                                 : RenderSim(scenario, *results, flags.runs, session.style()));
  if (!flags.json.empty() && flags.json != kStandardOutput) {
    WATTLE_RETURN_IF_ERROR(WriteTextFile("--json", flags.json, json));
  }
  if (!flags.html.empty() && !page_alone) {
    WATTLE_RETURN_IF_ERROR(WriteTextFile("--html", flags.html, SimPage(scenario, *results)));
  }
  return ExitCode::kOk;
}

// The fleet, from the coordinator's lists.
absl::StatusOr<sim::FleetTold> AskCoordinator(Session& session) {
  Client& client = session.client();
  sim::FleetTold told;
  WATTLE_ASSIGN_OR_RETURN(const v1::ListDevicesResponse devices,
                          client.Call(&DeviceStub::ListDevices));
  told.devices.assign(devices.devices().begin(), devices.devices().end());
  WATTLE_ASSIGN_OR_RETURN(const v1::ListPoliciesResponse policies,
                          client.Call(&PolicyStub::ListPolicies));
  told.policies.assign(policies.policies().begin(), policies.policies().end());
  WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse profiles,
                          client.Call(&ProfileStub::ListProfiles, ""));
  told.rows.assign(profiles.rows().begin(), profiles.rows().end());
  for (const v1::ArtifactKind kind : {v1::ARTIFACT_KIND_MODEL, v1::ARTIFACT_KIND_DATASET}) {
    WATTLE_ASSIGN_OR_RETURN(const v1::ListArtifactsResponse artifacts, client.ListArtifacts(kind));
    told.artifacts.insert(told.artifacts.end(), artifacts.artifacts().begin(),
                          artifacts.artifacts().end());
  }
  return told;
}

// The text of the scenario, with the coordinator's fleet if requested.
absl::StatusOr<std::string> ScenarioText(Session& session, const SimFlags& flags) {
  std::string text;
  if (!flags.file.empty()) {
    auto file = ReadWholeFile(flags.file, kScenarioBytesMax);
    WATTLE_RETURN_IF_ERROR(AsBadInput(file.status()));
    text = *std::move(file);
  }
  if (!flags.from_fleet) {
    return text;
  }
  WATTLE_ASSIGN_OR_RETURN(const sim::FleetTold told, AskCoordinator(session));
  WATTLE_ASSIGN_OR_RETURN(sim::FleetScenario fleet,
                          sim::ScenarioOfFleet(told, text, flags.file, ChangesOf(flags).set));
  session.PrintRemark(
      absl::StrCat("assumed, because the coordinator does not tell: ", fleet.assumed));
  return std::move(fleet.text);
}

// A written scenario finds the tables that it names in its own folder.
absl::Status CheckWritten(const SimFlags& flags, const std::vector<std::string>& tables) {
  const auto folder = [](const std::string& file) {
    return std::filesystem::absolute(file).lexically_normal().parent_path();
  };
  for (const std::string& table : tables) {
    if (!flags.write.empty() && !std::filesystem::path(table).is_absolute() &&
        folder(flags.write) != folder(flags.file)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--write ", flags.write, ": ", flags.file, " names ", table,
                       " in its own folder; write the scenario into that folder"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFlags(const SimFlags& flags) {
  if (!flags.write.empty() && flags.write == flags.file) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--write ", flags.write, ": the file that is read; write the scenario to another one"));
  }
  if (flags.file.empty() && !flags.from_fleet) {
    return absl::InvalidArgumentError(
        "sim takes a scenario file, or --from-fleet for the coordinator's own fleet");
  }
  if (!flags.write.empty() && !flags.from_fleet) {
    return absl::InvalidArgumentError("--write writes the scenario of --from-fleet; give both");
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Simulate(Session& session, const SimFlags& flags) {
  const bool json_alone = session.json() || flags.json == kStandardOutput;
  WATTLE_RETURN_IF_ERROR(CheckOneOutput("--html", flags.html, json_alone));
  WATTLE_RETURN_IF_ERROR(CheckFlags(flags));
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ScenarioText(session, flags));
  const std::filesystem::path folder = std::filesystem::path(flags.file).parent_path();
  std::vector<std::string> tables;
  const auto scenario = sim::ParseScenario(
      text, flags.file.empty() ? "fleet" : flags.file, ChangesOf(flags),
      [&folder, &tables](const std::string& name) -> absl::StatusOr<std::string> {
        tables.push_back(name);
        auto table = ReadWholeFile((folder / name).string(), kTableBytesMax);
        WATTLE_RETURN_IF_ERROR(AsBadInput(table.status()));
        return table;
      });
  WATTLE_RETURN_IF_ERROR(AsBadInput(scenario.status()));
  WATTLE_RETURN_IF_ERROR(CheckWritten(flags, tables));
  if (!flags.write.empty()) {
    WATTLE_RETURN_IF_ERROR(WriteTextFile("--write", flags.write, text));
  }
  return Answer(session, flags, *scenario);
}

}  // namespace

void AddSimCommand(CLI::App* app, CommandSlot* slot) {
  CLI::App* leaf =
      AddLeaf(app, "sim",
              "Simulate a fleet that a scenario describes: the real coordinator and agents on "
              "boards, sun and work in virtual time. Compares policies and answers what if. Asks "
              "no coordinator, unless --from-fleet takes the boards from it.",
              "  wattle sim deploy/scenarios/two-jetsons.yaml --runs\n"
              "  wattle sim deploy/scenarios/mast.yaml --policy ours,fastest\n"
              "  wattle sim deploy/scenarios/mast.yaml --set reserve=0.4 --add raspberry-pi-5=2\n"
              "  wattle sim deploy/scenarios/deadlines.yaml --seeds 50 --json figures.json\n"
              "  wattle sim deploy/scenarios/mast.yaml --html mast.html\n"
              "  wattle sim work.yaml --from-fleet --write fleet.yaml\n");
  const auto flags = std::make_shared<SimFlags>();
  leaf->add_option("FILE", flags->file, "Scenario file; with --from-fleet without its fleet");
  leaf->add_flag("--from-fleet", flags->from_fleet,
                 "Take boards, policies, measured rows, models and data sets from the coordinator, "
                 "and the rest (work, sun, cuts, rates, seeds) from FILE");
  leaf->add_option("--write", flags->write,
                   "With --from-fleet: also write the whole scenario to this file, to keep and to "
                   "edit; --set and --add change this run alone")
      ->type_name("FILE");
  leaf->add_option("--policy", flags->policy,
                   "Instead of the file's: ours, fastest, fewest_joules, round_robin, edf, heft, "
                   "lsa, greedy, without_improver, without_moves and without_heat; several with "
                   "commas")
      ->type_name("NAMES");
  leaf->add_option("--seeds", flags->seeds, "How many seeds; default the file's, else 10")
      ->type_name("N");
  leaf->add_option("--seed", flags->seed, "The first seed; default the file's, else 1")
      ->type_name("S");
  leaf->add_option("--set", flags->changes.set,
                   "What if: a field of each board group with a pack (reserve=0.4), of one group "
                   "(mast.count=3), of a section (sun.spread=0.3) or of the file (duration=2d); "
                   "repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  leaf->add_option("--add", flags->changes.add,
                   "What if: more boards of a class, on mains; repeatable")
      ->type_name("CLASS=COUNT")
      ->allow_extra_args(false)
      ->take_all();
  leaf->add_option(
          "--json", flags->json,
          "Also write all figures to this file; - writes them alone to the standard output")
      ->type_name("FILE");
  leaf->add_option("--html", flags->html,
                   "Also write a page that needs no network to this file: the figures, and of each "
                   "policy's first seed the attempts, charge and sun of each board over time; - "
                   "writes the page alone to the standard output")
      ->type_name("FILE");
  leaf->add_flag("--runs", flags->runs, "Also show what the jobs took on each class of boards");
  slot->Bind(leaf, [flags](Session& session) { return Simulate(session, *flags); });
}

}  // namespace wattle::cli
