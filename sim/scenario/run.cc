// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/run.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/memory/estimate_memory.h"
#include "proto/peak_memory.h"
#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/machine.h"
#include "sim/options.h"
#include "sim/plan_judge.h"
#include "sim/random.h"
#include "sim/scenario/drawn_boards.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/recorder.h"
#include "sim/scenario/schedule_faults.h"
#include "sim/scenario/schedule_forecasts.h"
#include "sim/scenario/submissions.h"
#include "sim/scenario/true_rates.h"
#include "sim/true_pack.h"

namespace wattle::sim {
namespace {

constexpr FigureRow kFigureRows[] = {
    {Figure::kDone, "jobs_done", "done", 0},
    {Figure::kMissed, "deadlines_missed", "missed", 0},
    {Figure::kFailed, "jobs_failed", "failed", 0},
    {Figure::kOpen, "jobs_open", "open", 0},
    {Figure::kWaitMeanHours, "wait_mean_hours", "wait h", 2},
    {Figure::kWaitP90Hours, "wait_p90_hours", "wait p90 h", 2},
    {Figure::kWorkWattHours, "work_watt_hours", "work Wh", 1},
    {Figure::kFleetWattHours, "fleet_watt_hours", "fleet Wh", 1},
    {Figure::kLostSunWattHours, "lost_sun_watt_hours", "lost sun Wh", 1},
    {Figure::kReserveBreaches, "reserve_breaches", "breaches", 0},
    {Figure::kGuardStops, "guard_stops", "guard stops", 0},
    {Figure::kRests, "rests", "rests", 0},
    {Figure::kWholeRuns, "whole_runs", "whole runs", 0},
    {Figure::kOutages, "empty_packs", "empty packs", 0},
    {Figure::kIdleHours, "idle_hours", "idle h", 1},
    {Figure::kPlanBreaches, "plan_breaches", "bad plans", 0},
};
static_assert(std::size(kFigureRows) == kFigures, "every figure has its row");

constexpr double kPushSeconds = 1.0;
constexpr double kPolicySeconds = 2.0;
constexpr double kWaitPercentile = 0.9;
constexpr double kIntervalLow = 0.05;
constexpr double kIntervalHigh = 0.95;
// The air is warmest three hours after noon.
constexpr double kWarmestHour = 15.0;

// The periods are longer than a real fleet's if that changes no decision, so that a week costs
// seconds. A guard rejects readings older than 30 s, and a gap of two minutes between readings
// yields no data about the sun.
Options OptionsFor(const Scenario& scenario, uint64_t seed) {
  Options options;
  options.seed = seed;
  options.devices = scenario.boards();
  options.jobs = 0;
  options.step_seconds = 20.0;
  options.heartbeat_seconds = 60.0;
  options.sample_seconds = 10.0;
  options.ledger_seconds = 900.0;
  options.idle_save_seconds = 300.0;
  options.day_seconds = kSecondsOfDay;
  options.tick_seconds = 10.0;
  options.plan_seconds = 300.0;
  options.outage_seconds_max = 60.0;
  options.delay_seconds_max = 0.05;
  options.loss = 0.0;
  options.duplication = 0.0;
  options.attempt_failure = 0.0;
  return options;
}

double SpanOf(const Scenario& scenario) {
  return kBeginSeconds + scenario.duration_seconds;
}

// The value at the share of the sorted values, interpolated between two of them.
double Quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - std::floor(place));
}

// A plan needs the memory of each waiting job. The jobs of a group differ only by name, and their
// model and data never change.
core::MemoryEstimator RememberMemory() {
  return
      [known = std::make_shared<std::map<std::string, PeakMemory>>()](
          const v1::JobSpec& spec, const v1::ModelShape& shape, const scheduler::DataMemory& data) {
        v1::JobSpec nameless = spec;
        nameless.clear_name();
        const auto [entry, is_new] = known->try_emplace(nameless.SerializeAsString());
        if (is_new) {
          entry->second = EstimateJobMemory(spec, shape, data);
        }
        return entry->second;
      };
}

class ScenarioRun {
 public:
  ScenarioRun(const Scenario& scenario, const std::string& policy, uint64_t seed)
      : scenario_(scenario),
        seed_(seed),
        options_(OptionsFor(scenario, seed)),
        random_(seed),
        rates_(scenario, seed),
        fleet_({options_, random_, loop_, counts_},
               {.compute = Judged(MakePlanner(policy)), .estimate_memory = RememberMemory()},
               [](const std::string& /*id*/) {}) {}

  absl::StatusOr<RunFigures> Run(const Stopped& stopped, Recording* recording) {
    fleet_.Start(Machines());
    Push();
    ScheduleJobs();
    ScheduleFaults(scenario_, seed_, loop_, fleet_);
    ScheduleForecasts(scenario_, seed_, loop_, fleet_);
    ScheduleUpdates();
    ScheduleAir();
    const auto over = [&] {
      if (stopped && ended_.ok() && stopped()) {
        ended_ = absl::CancelledError("interrupted; the scenario was not run to its end");
      }
      return !ended_.ok() || !fleet_.invariants().breach().empty();
    };
    loop_.RunUntil(kBeginSeconds, over);
    std::vector<Meter> begin;
    for (const std::unique_ptr<Worker>& worker : fleet_.workers()) {
      begin.push_back(MeterOf(*worker));
    }
    const Counts before = counts_;
    std::optional<Recorder> recorder;
    if (recording != nullptr) {
      recorder.emplace(scenario_, seed_, fleet_, kBeginSeconds);
    }
    // The loop stands still between two actions while the recorder works.
    double at = kBeginSeconds;
    while (recorder && at < SpanOf(scenario_)) {
      loop_.RunUntil(at, over);
      recorder->Sample(at);
      at += recorder->step_seconds();
    }
    loop_.RunUntil(SpanOf(scenario_), over);
    WATTLE_RETURN_IF_ERROR(ended_);
    fleet_.invariants().CheckState(fleet_.coordinator().durable());
    if (const std::string& breach = fleet_.invariants().breach(); !breach.empty()) {
      return absl::InternalError(absl::StrCat("seed ", seed_, ", after ", loop_.now_seconds(),
                                              " s: an invariant broke: ", breach,
                                              "; report it with the scenario and the seed"));
    }
    RunFigures figures;
    AddBoards(begin, figures);
    AddJobs(figures);
    const auto since = [&](int64_t Counts::*count) {
      return static_cast<double>(counts_.*count - before.*count);
    };
    Set(Figure::kGuardStops, since(&Counts::guard_stops), figures);
    Set(Figure::kRests, since(&Counts::rests), figures);
    Set(Figure::kWholeRuns, since(&Counts::whole_runs), figures);
    Set(Figure::kPlanBreaches, static_cast<double>(plan_breaches_), figures);
    figures.plan_breach = plan_breach_;
    figures.fingerprint = fleet_.invariants().chain();
    figures.steps = loop_.steps();
    if (recorder) {
      *recording = std::move(*recorder).Finish(groups_, SpanOf(scenario_));
      recording->seed = seed_;
    }
    return figures;
  }

 private:
  Planner Judged(Planner planner) {
    return [this, planner = std::move(planner)](const scheduler::Snapshot& snapshot) {
      core::PlanComputed plan = planner(snapshot);
      if (std::optional<std::string> broken = plan_judge_.Judge(snapshot, plan)) {
        ++plan_breaches_;
        plan_breach_ = plan_breach_.empty() ? *std::move(broken) : plan_breach_;
      }
      return plan;
    };
  }

  struct Meter {
    Joules energy;
    Joules work;
    Joules lost_sun;
    double powered_seconds = 0.0;
    double working_seconds = 0.0;
  };
  static Meter MeterOf(Worker& worker) {
    worker.AdvanceBoard();
    const Board& board = worker.board();
    return {.energy = board.energy(),
            .work = board.work_energy(),
            .lost_sun = board.lost_sun(),
            .powered_seconds = board.powered_seconds(),
            .working_seconds = board.working_seconds()};
  }
  static void Set(Figure figure, double value, RunFigures& figures) {
    figures.values[static_cast<size_t>(figure)] = value;
  }

  std::vector<Machine> Machines() {
    std::vector<Machine> machines;
    std::map<std::string, std::shared_ptr<SharedPack>> packs;
    for (const BoardGroup& group : scenario_.fleet) {
      const std::string pack = SharedPackOf(scenario_, group);
      for (int number = 1; number <= group.count; ++number) {
        Machine machine;
        machine.board = BoardOf(scenario_, group, seed_);
        if (!pack.empty()) {
          machine.board.shared_pack = SharedPackFor(machine.board, packs[pack]);
        }
        machine.board.speed = SpeedOf(scenario_, static_cast<int>(machines.size()), seed_);
        machine.info = InfoOf(group, number);
        if (!group.link_by_hour.empty()) {
          machine.link.emplace(group.link_by_hour, kBeginSeconds);
        }
        machine.workload = [this, info = machine.info, idle = machine.board.idle,
                            board = static_cast<int>(machines.size())](const v1::JobSpec& spec) {
          absl::StatusOr<Workload> workload = rates_.WorkloadOf(spec, board, info, idle);
          WATTLE_CHECK(workload.ok(), "CheckScenario looked at every job");
          workload->step_seconds *= rates_.OfRun(spec, board);
          return *workload;
        };
        machine.artifact_bytes = [this](const std::string& id) { return BytesOf(id); };
        machines.push_back(std::move(machine));
      }
    }
    return machines;
  }

  // The first board of a pack creates it.
  static std::shared_ptr<SharedPack> SharedPackFor(const BoardSettings& board,
                                                   std::shared_ptr<SharedPack>& pack) {
    if (pack == nullptr) {
      pack = std::make_shared<SharedPack>();
      pack->pack = {.capacity = board.battery, .charge = *board.battery * board.charge.value()};
    }
    return pack;
  }

  [[nodiscard]] int64_t BytesOf(const std::string& artifact_id) const {
    const auto found =
        std::find_if(scenario_.artifacts.begin(), scenario_.artifacts.end(),
                     [&](const auto& artifact) { return artifact.artifact_id() == artifact_id; });
    return found == scenario_.artifacts.end() ? 0 : found->size_bytes();
  }

  // place: the command's place in the file, for the error.
  void Post(core::Command command, const std::string& place = "") {
    fleet_.coordinator().Post(std::move(command), [this, place](const event_loop::Answer& answer) {
      if (!answer.status.ok() && ended_.ok()) {
        ended_ = absl::InvalidArgumentError(absl::StrCat(place, answer.status.message()));
      }
    });
  }

  void Push() {
    loop_.At(kPushSeconds, [this] {
      for (const v1::ArtifactInfo& artifact : scenario_.artifacts) {
        Post(core::CommitArtifact{artifact});
      }
    });
    loop_.At(kPolicySeconds, [this] {
      for (const BoardGroup& group : scenario_.fleet) {
        if (group.policy) {
          Post(core::ApplyPolicy{*group.policy});
        }
      }
      for (const v1::Policy& policy : scenario_.fleet_policies) {
        Post(core::ApplyPolicy{policy});
      }
      if (!scenario_.profiles.rows().empty()) {
        Post(core::ImportProfiles{scenario_.profiles, kProfilesName});
      }
    });
  }

  void ScheduleJobs() {
    for (const Submission& job : SubmissionsOf(scenario_, seed_)) {
      const JobGroup& group = scenario_.jobs[job.group];
      groups_[job.spec.name()] = group.spec.name();
      loop_.At(kBeginSeconds + job.at_seconds, [this, spec = job.spec, &place = group.place] {
        Post(core::SubmitJob{.spec = spec, .idempotency_key = spec.name()}, place);
      });
    }
  }

  void ScheduleUpdates() {
    for (const std::unique_ptr<Worker>& worker : fleet_.workers()) {
      const double at_seconds = worker->board().settings().speed.software_at_seconds;
      if (std::isfinite(at_seconds)) {
        loop_.At(at_seconds, [&worker = *worker] {
          worker.Stop(ProcessStop::kCrash);
          worker.Start();
        });
      }
    }
  }

  void ScheduleAir() {
    const auto swings = [](const std::unique_ptr<Worker>& worker) {
      return worker->board().settings().heat.air_swing_kelvin > 0.0;
    };
    const bool any = std::any_of(fleet_.workers().begin(), fleet_.workers().end(), swings);
    for (int hours = 0; any && hours * kSecondsOfHour < SpanOf(scenario_); ++hours) {
      const double hour = hours - kBeginSeconds / kSecondsOfHour;
      const double warm =
          std::cos(2.0 * M_PI * (hour - kWarmestHour) / static_cast<double>(kHoursOfDay));
      loop_.At(hours * kSecondsOfHour, [this, warm] {
        for (const std::unique_ptr<Worker>& worker : fleet_.workers()) {
          const TrueHeat& heat = worker->board().settings().heat;
          worker->AdvanceBoard();
          worker->board().SetAmbient(heat.air + Celsius(heat.air_swing_kelvin * warm));
        }
      });
    }
  }

  void AddBoards(const std::vector<Meter>& begin, RunFigures& figures) {
    Joules energy;
    Joules work;
    Joules lost_sun;
    double idle_seconds = 0.0;
    int64_t breaches = 0;
    for (size_t i = 0; i < begin.size(); ++i) {
      Worker& worker = *fleet_.workers()[i];
      const Meter end = MeterOf(worker);
      energy += end.energy - begin[i].energy;
      work += end.work - begin[i].work;
      lost_sun += end.lost_sun - begin[i].lost_sun;
      idle_seconds += (end.powered_seconds - begin[i].powered_seconds) -
                      (end.working_seconds - begin[i].working_seconds);
      breaches += worker.board().reserve_breaches();
    }
    Set(Figure::kWorkWattHours, ToWattHours(work), figures);
    Set(Figure::kFleetWattHours, ToWattHours(energy), figures);
    Set(Figure::kLostSunWattHours, ToWattHours(lost_sun), figures);
    Set(Figure::kIdleHours, idle_seconds / kSecondsOfHour, figures);
    Set(Figure::kReserveBreaches, static_cast<double>(breaches), figures);
    Set(Figure::kOutages, static_cast<double>(counts_.empty_batteries), figures);
  }

  void AddJobs(RunFigures& figures) {
    const double end = absl::ToDoubleSeconds(TrueTime(loop_.now_seconds()) - absl::UnixEpoch());
    int64_t done = 0;
    int64_t missed = 0;
    int64_t failed = 0;
    int64_t open = 0;
    std::vector<double> waits;
    std::map<std::string, std::string> failures;
    std::map<std::pair<std::string, std::string>, ClassRuns> runs;
    for (const auto& [number, record] : fleet_.coordinator().durable().jobs) {
      const v1::Job& job = record.job();
      const JobOutcome outcome = OutcomeOf(job, end);
      done += outcome.done ? 1 : 0;
      missed += outcome.missed ? 1 : 0;
      failed += outcome.failed ? 1 : 0;
      open += outcome.open ? 1 : 0;
      waits.push_back(WaitOf(job, outcome.ended_unix_seconds) / kSecondsOfHour);
      if (job.state() == v1::JOB_STATE_FAILED) {
        failures.emplace(groups_.at(job.spec().name()), job.reason());
      }
      AddRun(job, runs, figures.coverage);
    }
    Set(Figure::kDone, static_cast<double>(done), figures);
    Set(Figure::kMissed, static_cast<double>(missed), figures);
    Set(Figure::kFailed, static_cast<double>(failed), figures);
    Set(Figure::kOpen, static_cast<double>(open), figures);
    if (!waits.empty()) {
      double sum = 0.0;
      for (const double wait : waits) {
        sum += wait;
      }
      std::sort(waits.begin(), waits.end());
      Set(Figure::kWaitMeanHours, sum / static_cast<double>(waits.size()), figures);
      Set(Figure::kWaitP90Hours, Quantile(waits, kWaitPercentile), figures);
    }
    for (auto& [key, one] : runs) {
      figures.class_runs.push_back(std::move(one));
    }
    for (const auto& [group, reason] : failures) {
      figures.failures.push_back({group, reason});
    }
  }

  // Until the job first ran; for a job that never ran, until it or the scenario ended.
  static double WaitOf(const v1::Job& job, double ended) {
    for (const v1::Attempt& attempt : job.attempts()) {
      if (attempt.started_unix_seconds() > 0.0) {
        return std::max(0.0, attempt.started_unix_seconds() - job.submitted_unix_seconds());
      }
    }
    return std::max(0.0, ended - job.submitted_unix_seconds());
  }

  void AddRun(const v1::Job& job, std::map<std::pair<std::string, std::string>, ClassRuns>& runs,
              Coverage& coverage) {
    if (job.state() != v1::JOB_STATE_SUCCEEDED || job.attempts_size() != 1 ||
        job.attempts(0).receipt().restarts() > 0) {
      return;
    }
    const v1::Receipt& receipt = job.attempts(0).receipt();
    const std::string& group = groups_.at(job.spec().name());
    ClassRuns& one = runs[{receipt.device_class(), group}];
    one.device_class = receipt.device_class();
    one.job = group;
    ++one.runs;
    const auto share = 1.0 / static_cast<double>(one.runs);
    const v1::EnergyMeasurement& run = receipt.run();
    one.seconds += (run.seconds() - one.seconds) * share;
    one.watts += (run.mean_power_watts() - one.watts) * share;
    one.watt_hours += (ToWattHours(Joules(run.gross_energy_joules())) - one.watt_hours) * share;
    AddCoverage(job.attempts(0), coverage);
  }

  void AddCoverage(const v1::Attempt& attempt, Coverage& coverage) {
    const v1::Interval& predicted = attempt.prediction().run_seconds();
    const double seconds = attempt.receipt().run().seconds();
    if (predicted.mean() <= 0.0 || seconds <= 0.0) {
      return;
    }
    const double error = std::abs(std::log(seconds / predicted.mean()));
    const bool inside = predicted.low() <= seconds && seconds <= predicted.high();
    ++coverage.runs;
    coverage.inside += inside ? 1 : 0;
    coverage.log_error += error;
    for (const std::unique_ptr<Worker>& worker : fleet_.workers()) {
      const double begun =
          attempt.started_unix_seconds() - absl::ToDoubleSeconds(TrueTime(0.0) - absl::UnixEpoch());
      if (worker->device_id() == attempt.device_id() &&
          begun >= ChangesAt(worker->board().settings().speed)) {
        ++coverage.runs_after_change;
        coverage.inside_after_change += inside ? 1 : 0;
        coverage.log_error_after_change += error;
      }
    }
  }

  const Scenario& scenario_;
  const uint64_t seed_;
  const Options options_;
  Random random_;
  EventLoop loop_;
  Counts counts_;
  const TrueRates rates_;
  PlanJudge plan_judge_;
  int64_t plan_breaches_ = 0;
  std::string plan_breach_;
  Fleet fleet_;
  std::map<std::string, std::string> groups_;  // by the job's name
  absl::Status ended_;                         // the first reason to end too early
};

void AddClassRuns(const std::vector<ClassRuns>& more,
                  std::map<std::pair<std::string, std::string>, ClassRuns>& sum) {
  for (const ClassRuns& one : more) {
    ClassRuns& all = sum[{one.device_class, one.job}];
    all.device_class = one.device_class;
    all.job = one.job;
    all.runs += one.runs;
    const double share = static_cast<double>(one.runs) / static_cast<double>(all.runs);
    all.seconds += (one.seconds - all.seconds) * share;
    all.watts += (one.watts - all.watts) * share;
    all.watt_hours += (one.watt_hours - all.watt_hours) * share;
  }
}

absl::StatusOr<PolicyResult> RunPolicy(const Scenario& scenario, const std::string& policy,
                                       const Stopped& stopped, Recorded recorded) {
  PolicyResult result;
  result.policy = policy;
  std::array<std::vector<double>, kFigures> values;
  std::map<std::pair<std::string, std::string>, ClassRuns> class_runs;
  std::map<std::string, std::string> failures;
  for (int i = 0; i < scenario.seeds; ++i) {
    Recording* const recording =
        i == 0 && recorded == Recorded::kFirstSeed ? &result.recording.emplace() : nullptr;
    const uint64_t seed = scenario.first_seed + static_cast<uint64_t>(i);
    if (stopped && stopped()) {
      return absl::CancelledError("interrupted; the scenario was not run to its end");
    }
    WATTLE_ASSIGN_OR_RETURN(const RunFigures figures,
                            RunScenario(scenario, policy, seed, stopped, recording));
    for (size_t figure = 0; figure < kFigures; ++figure) {
      values[figure].push_back(figures.values[figure]);
    }
    AddClassRuns(figures.class_runs, class_runs);
    result.coverage.Add(figures.coverage);
    if (result.plan_breach.empty() && !figures.plan_breach.empty()) {
      result.plan_breach = absl::StrCat("seed ", seed, ": ", figures.plan_breach);
    }
    for (const Failure& failure : figures.failures) {
      failures.emplace(failure.job, failure.reason);
    }
  }
  for (size_t figure = 0; figure < kFigures; ++figure) {
    result.figures[figure] = SpreadOf(std::move(values[figure]));
  }
  for (auto& [key, one] : class_runs) {
    result.class_runs.push_back(std::move(one));
  }
  for (const auto& [group, reason] : failures) {
    result.failures.push_back({group, reason});
  }
  return result;
}

}  // namespace

absl::Span<const FigureRow> FigureRows() {
  return kFigureRows;
}

Spread SpreadOf(std::vector<double> values) {
  WATTLE_CHECK(!values.empty(), "a spread has values");
  std::sort(values.begin(), values.end());
  return {Quantile(values, 0.5), Quantile(values, kIntervalLow), Quantile(values, kIntervalHigh)};
}

absl::Status CheckScenario(const Scenario& scenario) {
  const TrueRates rates(scenario, scenario.first_seed);
  for (const BoardGroup& group : scenario.fleet) {
    if (group.policy) {
      WATTLE_RETURN_IF_ERROR(core::ValidatePolicy(*group.policy));
    }
    for (const JobGroup& jobs : scenario.jobs) {
      WATTLE_RETURN_IF_ERROR(WithContext(absl::StrCat("job ", jobs.spec.name()),
                                         core::ValidateSpec(jobs.spec, /*files_needed=*/true)));
      WATTLE_RETURN_IF_ERROR(WithContext(
          absl::StrCat("job ", jobs.spec.name()),
          rates.WorkloadOf(jobs.spec, 0, InfoOf(group, 1), group.board_class.idle).status()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RunFigures> RunScenario(const Scenario& scenario, const std::string& policy,
                                       uint64_t seed, const Stopped& stopped,
                                       Recording* recording) {
  return ScenarioRun(scenario, policy, seed).Run(stopped, recording);
}

absl::StatusOr<std::vector<PolicyResult>> RunPolicies(const Scenario& scenario,
                                                      const Stopped& stopped, Recorded recorded) {
  WATTLE_RETURN_IF_ERROR(CheckScenario(scenario));
  std::vector<PolicyResult> results;
  for (const std::string& policy : scenario.policies) {
    WATTLE_ASSIGN_OR_RETURN(PolicyResult result, RunPolicy(scenario, policy, stopped, recorded));
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace wattle::sim
