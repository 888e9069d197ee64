// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-simulate: runs simulated worlds, seed after seed, and prints the first breach of an
// invariant with one line that runs that world again. See `./dev sim-test` and
// docs/design/simulation.md.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>

#include "sim/options.h"
#include "tests/simulation/fault_points.h"
#include "tests/simulation/world.h"

namespace wattle::sim {
namespace {

constexpr double kYearSeconds = 365.25 * 86400.0;
constexpr const char* kDense = "dense";
constexpr const char* kSlow = "slow";
constexpr const char* kBoth = "both";  // one world in ten is slow
constexpr const char* kSparse = "sparse";

struct Settings {
  uint64_t first = 1;
  int seeds = 100;
  int stride = 1;
  std::string pace = kBoth;
  std::string mutant;
  double seconds_max = 0.0;  // real time of this machine; 0: no limit
  std::string json;
  bool go_on = false;
  bool liveness = false;
  bool trace = false;
};

struct Sum {
  int64_t worlds = 0;
  int64_t violations = 0;
  uint64_t found_after = 0;  // number of seeds until a mutant was found
  double device_seconds = 0.0;
  double seconds = 0.0;
  int64_t steps = 0;
  Counts counts;
};

std::string Replay(uint64_t seed, const std::string& pace, bool liveness,
                   const std::string& mutant) {
  return absl::StrCat("./dev sim-test --seed ", seed, " --pace ", pace,
                      liveness ? " --liveness" : "",
                      mutant.empty() ? "" : absl::StrCat(" --mutant \"", mutant, "\""));
}

// Returns true if an invariant broke.
bool RunOne(const Settings& settings, uint64_t seed, const std::string& pace, Sum& sum) {
  Options options =
      pace == kSparse ? DrawSparseOptions(seed) : DrawOptions(seed, /*slow=*/pace == kSlow);
  AddMutant(settings.mutant, options);
  options.trace = settings.trace;
  options.liveness |= settings.liveness;
  const Outcome outcome = RunWorld(options);
  ++sum.worlds;
  sum.device_seconds += outcome.device_seconds;
  sum.steps += outcome.steps;
  sum.counts.Add(outcome.counts);
  if (outcome.breach.empty()) {
    return false;
  }
  ++sum.violations;
  std::printf("seed %llu, %s: after %.0f s: %s\n  again: %s\n",
              static_cast<unsigned long long>(seed), pace.c_str(), outcome.virtual_seconds,
              outcome.breach.c_str(),
              Replay(seed, pace, settings.liveness, settings.mutant).c_str());
  std::fflush(stdout);
  return true;
}

void PrintSum(const Sum& sum) {
  const Counts& counts = sum.counts;
  absl::PrintF(
      "%d worlds, %.2f device-years, %d steps, %d events, %d commits (%d lost before they were "
      "durable), %d broken streams, %d repeated reports, %d leases ended, %d results adopted, %d "
      "late receipts, %d runs resumed, %d empty batteries; jobs: %d succeeded, %d failed (%d past "
      "their deadline), %d cancelled, %d archived; %d paused attempts moved, %d artifacts evicted, "
      "%d snapshots; %d probes, %d profile runs, %d changes of boards found; %d upgrades ended, %d "
      "boards went back, %d certificates renewed; %d worlds on SQLite\nfaults:",
      sum.worlds, sum.device_seconds / kYearSeconds, sum.steps, counts.events, counts.commits,
      counts.lost_batches, counts.broken_streams, counts.duplicates, counts.expired_leases,
      counts.adopted, counts.late_receipts, counts.resumed, counts.empty_batteries,
      counts.succeeded_jobs, counts.failed_jobs, counts.past_deadline, counts.cancelled_jobs,
      counts.archived, counts.moved, counts.evicted, counts.snapshots, counts.probes,
      counts.profile_runs, counts.device_changes, counts.upgrades, counts.went_back, counts.renewed,
      counts.sqlite_worlds);
  for (size_t i = 0; i < kFaults; ++i) {
    absl::PrintF("%s %s %d", i == 0 ? "" : ",", FaultName(static_cast<Fault>(i)), counts.faults[i]);
  }
  absl::PrintF("\n%d violations\n", sum.violations);
}

int WriteJson(const std::string& path, const Sum& sum) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) {
    std::fprintf(stderr, "wattle-simulate: %s: cannot be written\n", path.c_str());
    return 1;
  }
  absl::FPrintF(file,
                "{\"worlds\": %d, \"device_years\": %.6f, \"seconds\": %.3f, \"violations\": %d, "
                "\"found_after_seeds\": %d}\n",
                sum.worlds, sum.device_seconds / kYearSeconds, sum.seconds, sum.violations,
                sum.found_after);
  std::fclose(file);
  return 0;
}

int Simulate(const Settings& settings) {
  const auto start = std::chrono::steady_clock::now();
  Sum sum;
  bool broken = false;
  for (int i = 0; i < settings.seeds && (!broken || settings.go_on); ++i) {
    const uint64_t seed =
        settings.first + static_cast<uint64_t>(i) * static_cast<uint64_t>(settings.stride);
    const std::string pace = settings.pace != kBoth ? settings.pace
                             : seed % 10 == 0       ? kSlow
                                                    : kDense;
    const bool found = RunOne(settings, seed, pace, sum);
    if (found && !broken) {
      sum.found_after = static_cast<uint64_t>(i) + 1;
    }
    broken = broken || found;
    sum.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (settings.seconds_max > 0.0 && sum.seconds > settings.seconds_max) {
      break;
    }
  }
  PrintSum(sum);
  if (!settings.json.empty() && WriteJson(settings.json, sum) != 0) {
    return 2;
  }
  return sum.violations > 0 ? 1 : 0;
}

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Runs simulated worlds of coordinator and workers and checks their invariants.");
  app.add_option("--first", settings.first, "the first seed");
  app.add_option("--seeds", settings.seeds, "how many seeds");
  app.add_option("--stride", settings.stride, "from one seed to the next");
  app.add_option("--pace", settings.pace,
                 "dense (an hour in steps of a second), slow (weeks), both, sparse (a month of "
                 "thousands of boards)")
      ->check(CLI::IsMember({kDense, kSlow, kBoth, kSparse}));
  app.add_option("--mutant", settings.mutant, "the bug that is put into the code; --mutants lists");
  app.add_option("--seconds", settings.seconds_max, "begin no world after so long; 0: no limit");
  app.add_option("--json", settings.json, "write the figures there");
  app.add_flag("--go-on", settings.go_on, "do not stop at the first breach");
  app.add_flag("--liveness", settings.liveness,
               "after the faults some boards are dead, and the others must finish in time");
  app.add_flag("--trace", settings.trace, "print every durable event and the workers' notes");
  bool list = false;
  app.add_flag("--mutants", list, "list the mutants and end");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const MutantRow& mutant : Mutants()) {
      std::printf("%s\n", mutant.name);
    }
    return 0;
  }
  return Simulate(settings);
}

}  // namespace
}  // namespace wattle::sim

int main(int argc, char** argv) {
  return wattle::sim::Main(argc, argv);
}
