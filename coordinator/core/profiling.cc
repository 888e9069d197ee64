// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/profiling.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "base/fault_point.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/exploration.h"
#include "proto/job_kind.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profile_run/choose_point.h"
#include "scheduler/profiles/processor.h"
#include "units/format.h"

namespace wattle::core {
namespace {

using scheduler::PointForecast;
using scheduler::PointWords;

constexpr int kBatchSizesMax = 8;
constexpr int kBatchSizeMax = 1024;
// A run shorter than the refresh of a sensor yields no watts.
constexpr double kRunSecondsMin = 1;
constexpr double kGainPercentMin = 0.1;
constexpr char kDeviceLabel[] = "device=";
// A run that takes less than this share of the wanted seconds was cut too short by a first, crude
// prediction. Its row gives the number of steps that the point needs, and the point runs once more
// if that is at least twice the steps.
constexpr double kShortRun = 0.25;
constexpr int64_t kStepsOfRepeat = 2;

// The device's name or id in the job's label; empty if it names none or several.
std::string NamedDevice(const v1::JobSpec& spec) {
  std::string found;
  for (const std::string& label : spec.required_labels()) {
    absl::string_view name = label;
    if (!absl::ConsumePrefix(&name, kDeviceLabel)) {
      continue;
    }
    if (!found.empty()) {
      return "";
    }
    found = std::string(name);
  }
  return found;
}

// Mode and batch, which distinguish the points of a job.
using PointKey = std::pair<std::string, int>;
PointKey KeyOf(const v1::ProfilePoint& point) {
  return {point.power_mode(), point.batch_size()};
}

// Outcomes of the job's runs. A run that was stopped or replaced has no outcome and is repeated.
struct Runs {
  int finished = 0;
  std::set<PointKey> tried;
  std::vector<std::string> failures;  // "MODE_20W, batch 8 (out of memory)"
  // The latest run, if it was short and the only one of its point; null otherwise.
  const v1::Attempt* short_run = nullptr;
  [[nodiscard]] int ended() const { return finished + static_cast<int>(failures.size()); }
};

double WantedSeconds(const v1::JobSpec& spec) {
  return spec.profile().run_seconds() > 0 ? spec.profile().run_seconds()
                                          : scheduler::kProfileRunSeconds;
}

Runs RunsOf(const v1::Job& job) {
  Runs runs;
  for (const v1::Attempt& attempt : job.attempts()) {
    if (!attempt.has_profile_point()) {
      continue;
    }
    if (attempt.state() == v1::ATTEMPT_STATE_FINISHED) {
      ++runs.finished;
      const bool is_short =
          attempt.receipt().run().seconds() < kShortRun * WantedSeconds(job.spec()) &&
          !runs.tried.contains(KeyOf(attempt.profile_point()));
      runs.short_run = is_short ? &attempt : nullptr;
    } else if (attempt.state() == v1::ATTEMPT_STATE_FAILED &&
               IsFailureOfPoint(attempt.receipt().failure_class())) {
      runs.failures.push_back(
          absl::StrCat(PointWords(attempt.profile_point()), " (", attempt.reason(), ")"));
    } else {
      continue;
    }
    runs.tried.insert(KeyOf(attempt.profile_point()));
  }
  return runs;
}

// The longer run that should replace the short one; null if none would be longer.
const PointForecast* RepeatOf(const Runs& runs, const std::vector<PointForecast>& points) {
  if (runs.short_run == nullptr) {
    return nullptr;
  }
  const v1::ProfilePoint& made = runs.short_run->profile_point();
  const auto found = std::find_if(points.begin(), points.end(), [&](const PointForecast& each) {
    return KeyOf(each.point) == KeyOf(made) && each.point.steps() >= kStepsOfRepeat * made.steps();
  });
  return found == points.end() ? nullptr : &*found;
}

int RunsMax(const v1::JobSpec& spec) {
  return spec.profile().runs_max() > 0 ? spec.profile().runs_max() : scheduler::kProfileRunsMax;
}

struct Candidates {
  std::vector<PointForecast> points;
  std::vector<size_t> open;        // Neither measured nor tried, and within memory.
  std::vector<int> batches_large;  // Batches beyond memory.
};

scheduler::ProfileQuestion QuestionOf(const ProfileAsk& ask) {
  const bool on_cpu = ask.job.spec().accelerator() == v1::ACCELERATOR_CPU;
  v1::Device device = ask.device;
  *device.mutable_info() = scheduler::ProcessorOf(ask.device.info(), on_cpu);
  return {.table = ask.state.profiles,
          .device = std::move(device),
          .spec = ask.job.spec(),
          .inputs = ask.inputs,
          .now = ask.now};
}

absl::StatusOr<Candidates> CandidatesOf(const ProfileAsk& ask, const Runs& runs) {
  Candidates candidates;
  WATTLE_ASSIGN_OR_RETURN(candidates.points, scheduler::ForecastPoints(QuestionOf(ask)));
  std::set<int> fitting;
  std::set<int> large;
  for (size_t i = 0; i < candidates.points.size(); ++i) {
    const PointForecast& forecast = candidates.points[i];
    const int batch = forecast.point.batch_size();
    if (forecast.measured || runs.tried.contains(KeyOf(forecast.point)) || large.contains(batch)) {
      continue;
    }
    if (ask.fits && !fitting.contains(batch) && !ask.fits(forecast.point)) {
      large.insert(batch);
      continue;
    }
    fitting.insert(batch);
    candidates.open.push_back(i);
  }
  candidates.batches_large.assign(large.begin(), large.end());
  return candidates;
}

scheduler::PointChoice ChoiceOf(const ProfileAsk& ask, const Candidates& candidates,
                                const PointForecast* repeat) {
  const std::vector<PointForecast>& points = candidates.points;
  if (repeat != nullptr) {
    return {.next = static_cast<size_t>(repeat - points.data())};
  }
  if (ask.choose) {
    return scheduler::ChoosePoint(QuestionOf(ask), points, candidates.open);
  }
  return {.next = *std::min_element(
              candidates.open.begin(), candidates.open.end(),
              [&](size_t a, size_t b) { return points[a].demand < points[b].demand; })};
}

std::string CountOf(int64_t count, absl::string_view noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

scheduler::ProfileEnd EndBecause(const Runs& runs, const Candidates& candidates, std::string why,
                                 bool complete) {
  std::vector<std::string> parts = {absl::StrCat("measured in ", CountOf(runs.finished, "run")),
                                    std::move(why)};
  if (!runs.failures.empty()) {
    parts.push_back(
        absl::StrCat("failed and not tried again: ", absl::StrJoin(runs.failures, ", ")));
  }
  if (!candidates.batches_large.empty()) {
    parts.push_back(absl::StrCat("too large for its memory: batch ",
                                 absl::StrJoin(candidates.batches_large, ", ")));
  }
  return {.measured = runs.finished > 0 || (complete && runs.failures.empty()),
          .why = absl::StrJoin(parts, "; ")};
}

// Why the run would draw more than the job or the device may; empty: it would not.
std::string OverBudget(const ProfileAsk& ask, const PointForecast& run) {
  if (WATTLE_FAULT_POINT("profile budget")) {
    return "";
  }
  const Joules budget = FromWattHours(ask.job.spec().energy_budget_wh());
  const std::string next = absl::StrCat("the next run, ", PointWords(run.point), ", would draw ",
                                        FormatEnergy(run.demand), " more");
  if (budget.value() > 0) {
    const Joules spent = SpentEnergy(ask.job);
    return spent + run.demand <= budget
               ? ""
               : absl::StrCat(next, ", after ", FormatEnergy(spent), " of its energy budget of ",
                              FormatEnergy(budget));
  }
  const Joules left = ExplorationOf(ask.state, ask.device, ask.now).left;
  return run.demand <= left
             ? ""
             : absl::StrCat(next, ", and exploring may draw ", FormatEnergy(left), " more of ",
                            ask.device.info().name(),
                            " today, by the exploration_ratio of its joules of a day; submit again "
                            "with an energy_budget_wh to decide otherwise");
}

}  // namespace

bool IsProfile(const v1::JobSpec& spec) {
  return KindOf(spec).wraps_workload;
}

absl::Status CheckProfile(const v1::JobSpec& spec, bool files_needed) {
  const v1::ProfileSpec& profile = spec.profile();
  const v1::JobSpec workload = WorkloadOf(spec);
  if (KindOf(workload).shorten == nullptr) {
    return absl::InvalidArgumentError(
        "profile: no workload; write a section finetune, generate or evaluate in it");
  }
  if (NamedDevice(spec).empty()) {
    return absl::InvalidArgumentError(
        "required_labels: a profile job measures one device; name it once, as [device=NAME]");
  }
  if (profile.batch_sizes_size() > kBatchSizesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("profile.batch_sizes: ", profile.batch_sizes_size(), " entries: want at most ",
                     kBatchSizesMax));
  }
  for (const int batch : profile.batch_sizes()) {
    if (batch < 1 || batch > kBatchSizeMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("profile.batch_sizes: ", batch, ": want 1 to ", kBatchSizeMax));
    }
  }
  if (profile.run_seconds() > 0 && profile.run_seconds() < kRunSecondsMin) {
    return absl::InvalidArgumentError(absl::StrCat("profile.run_seconds: ", profile.run_seconds(),
                                                   ": want at least ", kRunSecondsMin,
                                                   ", or leave it out"));
  }
  if (profile.gain_percent_min() > 0 && profile.gain_percent_min() < kGainPercentMin) {
    return absl::InvalidArgumentError(
        absl::StrCat("profile.gain_percent_min: ", profile.gain_percent_min(), ": want at least ",
                     kGainPercentMin, ", or leave it out"));
  }
  const absl::Status valid = ValidateSpec(workload, files_needed);
  return valid.ok() ? valid
                    : absl::Status(valid.code(), absl::StrCat("profile: ", valid.message()));
}

std::optional<DeviceId> ProfiledDevice(const State& state, const Observations& observations,
                                       const v1::Job& job) {
  if (const v1::Attempt* const live = LiveAttempt(job); live != nullptr) {
    return DeviceId(live->device_id());
  }
  const std::string name = NamedDevice(job.spec());
  std::optional<DeviceId> best;
  std::pair<bool, double> best_rank;
  for (const auto& [id, record] : state.devices) {
    if (record.removed() || (record.info().name() != name && id.value() != name)) {
      continue;
    }
    const auto seen = observations.devices.find(id);
    const std::pair rank = {seen != observations.devices.end() && seen->second.connected,
                            record.registered_unix_seconds()};
    if (!best.has_value() || rank > best_rank) {
      best = id;
      best_rank = rank;
    }
  }
  return best;
}

absl::StatusOr<ProfileStep> NextProfileStep(const ProfileAsk& ask) {
  const Runs runs = RunsOf(ask.job);
  WATTLE_ASSIGN_OR_RETURN(const Candidates candidates, CandidatesOf(ask, runs));
  const auto end = [&](std::string why, bool complete = false) {
    return ProfileStep{.end = EndBecause(runs, candidates, std::move(why), complete)};
  };
  const PointForecast* const repeat = RepeatOf(runs, candidates.points);
  if (candidates.open.empty() && repeat == nullptr) {
    return end(
        absl::StrCat("none of its ",
                     CountOf(static_cast<int64_t>(candidates.points.size()), "point"), " is left"),
        /*complete=*/true);
  }
  if (runs.ended() >= RunsMax(ask.job.spec())) {
    return end(absl::StrCat("its runs_max of ", RunsMax(ask.job.spec()), " is reached"));
  }
  const scheduler::PointChoice choice = ChoiceOf(ask, candidates, repeat);
  if (!choice.next.has_value()) {
    return end(absl::StrFormat("the next run would narrow what is known by %.2g %%, too little",
                               choice.gain_percent),
               /*complete=*/true);
  }
  const PointForecast& chosen = candidates.points[*choice.next];
  if (std::string over = OverBudget(ask, chosen); !over.empty()) {
    return end(std::move(over));
  }
  ProfileStep step{.point = chosen.point, .demand = chosen.demand};
  step.point->set_gain_percent(choice.gain_percent);
  return step;
}

absl::StatusOr<std::string> RunsToCome(const ProfileAsk& ask) {
  const Runs runs = RunsOf(ask.job);
  WATTLE_ASSIGN_OR_RETURN(const Candidates candidates, CandidatesOf(ask, runs));
  const Joules budget = FromWattHours(ask.job.spec().energy_budget_wh());
  Joules drawn = SpentEnergy(ask.job);
  const Joules spent = drawn;
  double seconds = 0;
  int count = 0;
  for (const size_t i : candidates.open) {
    const PointForecast& run = candidates.points[i];
    if (runs.ended() + count >= RunsMax(ask.job.spec()) ||
        (budget.value() > 0 && drawn + run.demand > budget)) {
      continue;
    }
    ++count;
    drawn += run.demand;
    seconds += scheduler::TotalSeconds(run.prediction, run.prediction.run_seconds().mean());
  }
  if (count == 0) {
    return "";
  }
  return absl::StrCat("one run for each of ", CountOf(count, "point"), " takes together about ",
                      FormatElapsed(absl::Seconds(seconds)), " of device time and ",
                      FormatEnergy(drawn - spent));
}

bool IsFailureOfPoint(v1::FailureClass failure_class) {
  return failure_class == v1::FAILURE_CLASS_DEVICE || failure_class == v1::FAILURE_CLASS_JOB ||
         failure_class == v1::FAILURE_CLASS_POWER;
}

std::string OutcomeOfRun(const v1::Attempt& attempt, const v1::Receipt& receipt, bool taught) {
  const std::string point = PointWords(attempt.profile_point());
  if (!taught) {
    return absl::StrCat(point,
                        " ran and taught nothing: it was restarted, its sensor had gaps, the host "
                        "was too slow, or other programs kept the board busy; it is not tried "
                        "again");
  }
  return receipt.power_mode() == attempt.profile_point().power_mode()
             ? absl::StrCat(point, " is measured; the next run is chosen")
             : absl::StrCat(point, " ran in the mode ", receipt.power_mode(),
                            ", because its own could not be set; it is not tried again");
}

std::string OutcomeOfFailedRun(const v1::Attempt& attempt, const std::string& message) {
  return absl::StrCat(PointWords(attempt.profile_point()),
                      " failed and is not tried again: ", message);
}

}  // namespace wattle::core
