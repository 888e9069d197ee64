// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Runs a scenario: the real core, event loop, scheduler and agents on the simulated boards, with
// the invariants of the simulation checked after every event. Equal scenario, policy and seed give
// equal figures on every machine. Pure.
#ifndef WATTLE_SIM_SCENARIO_RUN_H_
#define WATTLE_SIM_SCENARIO_RUN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "sim/scenario/recording.h"
#include "sim/scenario/scenario.h"

namespace wattle::sim {

enum class Figure {
  kDone,
  kMissed,
  kFailed,
  kOpen,
  kWaitMeanHours,
  kWaitP90Hours,
  kWorkWattHours,
  kFleetWattHours,
  kLostSunWattHours,
  kReserveBreaches,
  kGuardStops,
  kRests,
  kWholeRuns,
  kOutages,
  kIdleHours,
  kPlanBreaches,
  kCount,
};
inline constexpr size_t kFigures = static_cast<size_t>(Figure::kCount);

struct FigureRow {
  Figure figure;
  const char* key;   // in JSON
  const char* head;  // head of its column
  int decimals;
};
absl::Span<const FigureRow> FigureRows();

// Undisturbed runs of one group's jobs on one class of boards, by their receipts: the run itself,
// without fetch, start and upload.
struct ClassRuns {
  std::string device_class;
  std::string job;
  int64_t runs = 0;
  double seconds = 0.0;  // mean
  double watts = 0.0;
  double watt_hours = 0.0;
};

// Why a job of the group failed: the reason of the first failed one.
struct Failure {
  std::string job;
  std::string reason;
};

// Undisturbed runs against the predictions with which they were placed.
struct Coverage {
  int64_t runs = 0;
  int64_t inside = 0;      // seconds within the 90 % interval
  double log_error = 0.0;  // sum of |ln(seconds / predicted mean)|
  // Those runs that began after their board's step or its new software.
  int64_t runs_after_change = 0;
  int64_t inside_after_change = 0;
  double log_error_after_change = 0.0;

  void Add(const Coverage& other) {
    runs += other.runs;
    inside += other.inside;
    log_error += other.log_error;
    runs_after_change += other.runs_after_change;
    inside_after_change += other.inside_after_change;
    log_error_after_change += other.log_error_after_change;
  }
};

struct RunFigures {
  std::array<double, kFigures> values{};
  Coverage coverage;
  std::vector<Failure> failures;      // one for each group, by name
  std::vector<ClassRuns> class_runs;  // by class and job
  std::string plan_breach;            // first of kPlanBreaches: the rule and its numbers
  uint64_t fingerprint = 0;           // of all durable events
  int64_t steps = 0;                  // actions of the event loop

  [[nodiscard]] double operator[](Figure figure) const {
    return values[static_cast<size_t>(figure)];
  }
};

// Polled during a run; true ends it.
using Stopped = std::function<bool()>;
// recording: filled for the drawings, unless it is null; the figures are the same either way.
// Errors: kInvalidArgument if the coordinator refuses a job or a policy of the scenario; kInternal
// if an invariant broke, with the content of a report; kCancelled by `stopped`.
absl::StatusOr<RunFigures> RunScenario(const Scenario& scenario, const std::string& policy,
                                       uint64_t seed, const Stopped& stopped = nullptr,
                                       Recording* recording = nullptr);

// Checks that every job of the scenario has an amount of work on every class of boards, and that
// the coordinator accepts every policy. Errors: kInvalidArgument.
absl::Status CheckScenario(const Scenario& scenario);

// The truth in a run of this seed, for comparison with a clairvoyant planner.
struct JobTruth {
  std::string job;       // the entry of jobs
  double seconds = 0.0;  // of the run itself, without fetch, start, checkpoints and upload
  Watts power{};         // gross
};
struct BoardTruth {
  std::string board;
  std::vector<JobTruth> jobs;  // in the scenario's order
};
struct GroupTruth {
  std::string group;
  std::optional<Joules> pack;  // absent: mains
  // Name of the boards' shared pack, whose capacity, charge and sun these are; equal in all groups
  // that name it. "": each board has its own pack.
  std::string shared_pack{};
  Fraction charge{};  // a quarter of an hour before hour 0
  Fraction reserve{};
  Watts idle{};               // of a board
  std::vector<double> sun{};  // watts of a board's panel, by hour; empty: none
  std::vector<BoardTruth> boards;
};
// In the fleet's order. REQUIRES: CheckScenario accepted the scenario.
std::vector<GroupTruth> TruthOf(const Scenario& scenario, uint64_t seed);

// The median over seeds, and the ends of the interval that contains nine of ten seeds.
struct Spread {
  double median = 0.0;
  double low = 0.0;
  double high = 0.0;
};
// REQUIRES: `values` is not empty.
Spread SpreadOf(std::vector<double> values);

struct PolicyResult {
  std::string policy;
  std::array<Spread, kFigures> figures{};
  std::vector<ClassRuns> class_runs;  // means over the seeds
  Coverage coverage;                  // of all seeds
  std::vector<Failure> failures;      // of the first seed in which the group has one
  std::string plan_breach;  // RunFigures::plan_breach of the first seed with one, with the seed.
  std::optional<Recording> recording;
};

// Only the first seed can be recorded, because a recording takes a fleet's memory.
enum class Recorded { kNothing, kFirstSeed };

// Runs all policies of the scenario, each on all seeds. stopped: see RunScenario. Errors: those of
// CheckScenario and RunScenario.
absl::StatusOr<std::vector<PolicyResult>> RunPolicies(const Scenario& scenario,
                                                      const Stopped& stopped = nullptr,
                                                      Recorded recorded = Recorded::kNothing);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_RUN_H_
