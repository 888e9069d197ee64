// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/learning_watch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "proto/contended_run.h"
#include "proto/job_kind.h"
#include "proto/state_names.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::sim {
namespace {

constexpr double kDaySeconds = 86400.0;
// The default of the policies' exploration_ratio, and the highest idle draw of a drawn board.
constexpr double kExplorationRatio = 0.02;
constexpr Watts kIdleMax(4.2);
// The least deviation of one run's logarithm that a prediction may state
// (docs/design/prediction.md).
constexpr double kRepeatDeviation = 0.04;
constexpr double kProbeSeconds = 30.0;
constexpr double kWideRatio = 3.0;
constexpr double kTolerance = 1e-6;
// A row with fewer runs holds all of them.
constexpr int kRunsKept = 20;

int64_t DayOf(double unix_seconds) {
  return static_cast<int64_t>(std::floor(unix_seconds / kDaySeconds));
}

// All models have one shape, so two runs of one workload have the same method and batch.
std::string WorkloadOf(const v1::JobSpec& spec) {
  return absl::StrCat(KindOf(spec).name, ", batch ", IntegerIn(spec, "batch_size"));
}

std::string InMode(const std::string& workload, const std::string& mode) {
  return absl::StrCat(workload, " in ", mode);
}

// Gross joules of a probe before its first steps are known.
Joules StakeOf(const v1::Prediction& prediction) {
  const double before_seconds = prediction.fetch_seconds() + prediction.start_seconds();
  return Joules(prediction.fetch_energy_joules() + prediction.start_energy_joules() +
                prediction.idle_power_watts() * before_seconds +
                prediction.mean_power_watts() *
                    std::min(kProbeSeconds, prediction.run_seconds().mean()));
}

bool IsWide(const v1::Prediction& prediction) {
  const v1::Interval& seconds = prediction.run_seconds();
  return seconds.mean() > 0.0 && std::pow(seconds.high() / seconds.mean(), 2) > kWideRatio;
}

}  // namespace

std::string LearningWatch::OnEvent(const v1::Event& event) {
  const int64_t day = DayOf(event.at_unix_seconds());
  switch (event.event_case()) {
    case v1::Event::kDeviceRegistered: {
      const v1::DeviceInfo& info = event.device_registered().info();
      boards_[info.device_id()] = {info.device_class(), info.emulated()};
      return "";
    }
    case v1::Event::kPolicyApplied:
      if (event.policy_applied().policy().has_exploration_ratio()) {
        ratios_[event.policy_applied().policy().name()] =
            event.policy_applied().policy().exploration_ratio();
      }
      return "";
    case v1::Event::kPolicyDeleted:
      ratios_.erase(event.policy_deleted().name());
      return "";
    case v1::Event::kJobSubmitted:
      specs_[event.job_submitted().job_id()] = event.job_submitted().spec();
      return "";
    case v1::Event::kAttemptPlaced:
      return OnPlaced(event.attempt_placed(), day);
    case v1::Event::kAttemptReleased:
      if (const auto found = attempts_.find(event.attempt_released().attempt_id());
          found != attempts_.end()) {
        found->second.released = event.attempt_released().for_job_id().empty();
      }
      return "";
    case v1::Event::kJobArchived:  // Attempts in the history no longer count.
      for (const v1::Attempt& attempt : event.job_archived().job().attempts()) {
        attempts_.erase(attempt.attempt_id());
      }
      specs_.erase(event.job_archived().job().job_id());
      return "";
    case v1::Event::kAttemptStateChanged:
      return OnAttempt(event.attempt_state_changed(), day);
    case v1::Event::kIdentityRevoked: {
      const std::string& device = event.identity_revoked().id();
      of_device_.erase(of_device_.lower_bound({device, ""}),
                       of_device_.lower_bound({device + '\0', ""}));
      means_.clear();  // Rows are rebuilt.
      rows_remain_ = true;
      return "";
    }
    case v1::Event::kProfileUpdated:
      if (std::exchange(rows_remain_, false)) {
        return "";  // A row of another board, which this receipt did not teach.
      }
      return OnRows(event.profile_updated(), event.sequence());
    default:
      return "";
  }
}

std::string LearningWatch::OnPlaced(const v1::AttemptPlaced& placed, int64_t day) {
  const v1::JobSpec& spec = specs_[placed.job_id()];
  Attempt attempt;
  attempt.job_id = placed.job_id();
  attempt.device_id = placed.device_id();
  attempt.prediction = placed.prediction();
  attempt.wide = IsWide(placed.prediction());
  attempt.computed_on = placed.computed_on();
  const v1::JobSpec run =
      placed.has_profile_point() ? ProfileRunOf(spec, placed.profile_point()) : spec;
  attempt.workload = WorkloadOf(run);
  // The output of another job may have another form, which the simulated runner does not report.
  std::string breach = ReferenceIn(run, kModelInput) == "tiny"
                           ? CheckProvenance(attempt, placed.power_mode())
                           : std::string();
  if (breach.empty()) {
    breach = CheckBudget(placed, day);
  }
  attempts_[placed.attempt_id()] = std::move(attempt);
  const bool probe = placed.placement().best_size() > 0 && placed.placement().best(0).probe();
  probes_ += probe ? 1 : 0;
  return breach.empty() ? "" : absl::StrCat(placed.attempt_id(), " was placed: ", breach);
}

std::string LearningWatch::CheckProvenance(const Attempt& attempt, const std::string& mode) const {
  const v1::Prediction& prediction = attempt.prediction;
  const auto board = boards_.find(attempt.device_id);
  if (board == boards_.end()) {
    return "";
  }
  const v1::Provenance level = prediction.provenance();
  const bool of_device = of_device_.contains({attempt.device_id, attempt.workload});
  const auto is_known = [&](const std::string& workload) {
    const auto taught = of_device_.find({attempt.device_id, workload});
    return taught != of_device_.end() && taught->second <= attempt.computed_on;
  };
  const bool of_class =
      of_class_.contains({board->second.device_class, board->second.emulated, attempt.workload});
  if (!taught_by_unknown_ && ((level == v1::PROVENANCE_MEASURED_DEVICE && !of_device) ||
                              (level == v1::PROVENANCE_MEASURED_CLASS && !of_class))) {
    return absl::StrCat("its prediction is \"", prediction.provenance_note(),
                        "\", and no receipt of such a board taught it");
  }
  // Rows from before a change apply only if there are no others.
  const bool in_mode =
      is_known(InMode(attempt.workload, mode)) && !changes_.contains(attempt.device_id);
  if ((in_mode && level != v1::PROVENANCE_MEASURED_DEVICE) ||
      (is_known(attempt.workload) &&
       (level == v1::PROVENANCE_PUBLISHED || level == v1::PROVENANCE_DATASHEET ||
        level == v1::PROVENANCE_TRANSFERRED || level == v1::PROVENANCE_OTHER_MODEL ||
        level == v1::PROVENANCE_MEASURED_RATES))) {
    return absl::StrCat("its prediction is \"", prediction.provenance_note(),
                        "\", though the device has measured the workload");
  }
  if (level == v1::PROVENANCE_MEASURED_DEVICE &&
      prediction.time_deviation() < kRepeatDeviation * (1.0 - kTolerance)) {
    return absl::StrCat("its prediction states a deviation of ", prediction.time_deviation(),
                        ", less than one run has");
  }
  return "";
}

// Upper bound of the device's exploration in the day: its idle draw of a whole day counts in
// addition to the work.
Joules LearningWatch::Share(const std::string& device_id, int64_t day) const {
  Joules worked;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.device_id == device_id && attempt.ended && attempt.day == day - 1) {
      worked += attempt.booked;
    }
  }
  double ratio = ratios_.empty() ? kExplorationRatio : 1.0;
  for (const auto& [name, of_policy] : ratios_) {
    ratio = std::min(ratio, of_policy);
  }
  return ratio * (worked + kIdleMax * absl::Seconds(kDaySeconds));
}

Joules LearningWatch::Explored(const std::string& device_id, int64_t day) const {
  Joules explored;
  for (const auto& [id, attempt] : attempts_) {
    const auto spec = specs_.find(attempt.job_id);
    if (attempt.device_id != device_id || !attempt.ended || attempt.day != day ||
        spec == specs_.end()) {
      continue;
    }
    const bool profile = KindOf(spec->second).wraps_workload;
    if (profile ? spec->second.energy_budget_wh() <= 0.0
                : attempt.wide && (!attempt.kept || attempt.released)) {
      explored += attempt.booked;
    }
  }
  return explored;
}

std::string LearningWatch::CheckBudget(const v1::AttemptPlaced& placed, int64_t day) const {
  const auto spec = specs_.find(placed.job_id());
  if (spec == specs_.end()) {
    return "";
  }
  const bool profile = KindOf(spec->second).wraps_workload;
  const Joules budget = FromWattHours(spec->second.energy_budget_wh());
  if (profile && budget > Joules(0)) {
    Joules spent;
    for (const auto& [id, attempt] : attempts_) {
      spent += attempt.job_id == placed.job_id() ? attempt.booked : Joules(0);
    }
    const Joules next(placed.prediction().run_energy_joules().mean());
    return (spent + next).value() <= budget.value() * (1.0 + kTolerance)
               ? ""
               : absl::StrCat("its job drew ", spent.value(), " J, its run takes ", next.value(),
                              " J, its budget is ", budget.value(), " J");
  }
  const bool probe = placed.placement().best_size() > 0 && placed.placement().best(0).probe();
  if (!profile && !probe) {
    return "";
  }
  const Joules explored = Explored(placed.device_id(), day);
  const Joules next = profile ? Joules(placed.prediction().run_energy_joules().mean())
                              : StakeOf(placed.prediction());
  const Joules share = Share(placed.device_id(), day);
  return explored + next <= share
             ? ""
             : absl::StrCat("exploring drew ", explored.value(), " J of ", placed.device_id(),
                            " today, this takes ", next.value(), " J, and the share is at most ",
                            share.value(), " J");
}

std::string LearningWatch::OnAttempt(const v1::AttemptStateChanged& changed, int64_t day) {
  if (changed.state() == v1::ATTEMPT_STATE_FINISHED) {
    rows_remain_ = false;  // The revocation left no rows; the next ones are from this receipt.
    newest_ = changed.receipt();
  }
  const auto found = attempts_.find(changed.attempt_id());
  if (found == attempts_.end() || !IsTerminal(changed.state())) {
    return "";
  }
  Attempt& attempt = found->second;
  const v1::Receipt& receipt = changed.receipt();
  attempt.day = attempt.ended ? attempt.day : day;
  attempt.ended = true;
  attempt.booked = Joules(receipt.total().gross_energy_joules());
  attempt.kept = changed.state() == v1::ATTEMPT_STATE_FINISHED || receipt.has_probed_run_seconds();
  if (changed.state() != v1::ATTEMPT_STATE_FINISHED) {
    return "";
  }
  const auto spec = specs_.find(attempt.job_id);
  profile_runs_ += spec != specs_.end() && KindOf(spec->second).wraps_workload ? 1 : 0;
  if (attempt.prediction.run_seconds().mean() > 0.0 &&
      receipt.predicted().SerializeAsString() != attempt.prediction.SerializeAsString()) {
    return absl::StrCat(changed.attempt_id(),
                        ": its receipt is scored against another prediction than that with which "
                        "it was placed");
  }
  return "";
}

// Checks that the row learned the receipt's values.
std::string LearningWatch::CheckLearned(const v1::ProfileRow& row, int64_t sequence) {
  const double learned = row.runs().rbegin()->seconds_per_unit();
  // The seconds of a contended run are not learned.
  const double told = IsContended(newest_) ? 0.0 : newest_.run().seconds() / newest_.work().units();
  // Prompt tokens count partly.
  const bool weighted = row.unit() == v1::WORK_UNIT_GENERATED_TOKEN;
  if (newest_.device_id() != row.device_id() ||
      (!weighted && std::abs(learned - told) > kTolerance * told)) {
    return absl::StrCat("a row of ", row.device_id(), " learned ", learned,
                        " s for a unit, the receipt says ", told);
  }
  const auto attempt = attempts_.find(newest_.attempt_id());
  const auto board = boards_.find(row.device_id());
  if (attempt == attempts_.end() || board == boards_.end()) {
    taught_by_unknown_ = true;
    return "";
  }
  of_device_.emplace(std::pair(row.device_id(), attempt->second.workload), sequence);
  of_device_.emplace(std::pair(row.device_id(), InMode(attempt->second.workload, row.power_mode())),
                     sequence);
  if (!IsContended(newest_)) {
    of_class_.insert(
        {board->second.device_class, board->second.emulated, attempt->second.workload});
  }
  return "";
}

// Checks that a run beside other programs did not move the row, unless it created the row.
std::string LearningWatch::CheckUnmoved(const v1::ProfileRow& row) {
  const std::pair after(row.seconds_per_unit().mean(), row.energy_joules_per_unit().mean());
  const auto [known, is_new] = means_.emplace(scheduler::ProfileKey(row), after);
  const std::pair before = std::exchange(known->second, after);
  return is_new || !IsContended(newest_) || before == after
             ? ""
             : absl::StrCat(newest_.attempt_id(), " moved a row of ", row.device_id(), " from ",
                            before.first, " s to ", after.first,
                            " s for a unit, though other programs kept the board busy for ",
                            newest_.contended_seconds(), " of its ", newest_.run().seconds(), " s");
}

// Checks that the row's mean covers only runs since its device changed.
std::string LearningWatch::CheckChange(const v1::ProfileRow& row) {
  const v1::DeviceChange& change = row.change();
  if (!row.has_change() || !change.measured_since() || row.runs_size() >= kRunsKept) {
    return "";
  }
  double low = 0.0;
  double high = 0.0;
  double before = 0.0;
  for (const v1::RunObservation& run : row.runs()) {
    if (run.at_unix_seconds() < before) {
      return "";  // A clock stepped back, so the runs are not in the order of their times.
    }
    before = run.at_unix_seconds();
    if (run.at_unix_seconds() >= change.at_unix_seconds() && run.seconds_per_unit() > 0.0) {
      low = high == 0.0 ? run.seconds_per_unit() : std::min(low, run.seconds_per_unit());
      high = std::max(high, run.seconds_per_unit());
    }
  }
  const double mean = row.seconds_per_unit().mean();
  return high == 0.0 || (mean >= low * (1.0 - kTolerance) && mean <= high * (1.0 + kTolerance))
             ? ""
             : absl::StrCat("the mean of a row of ", row.device_id(), " is ", mean,
                            " s, and its runs since the device changed took ", low, " to ", high);
}

std::string LearningWatch::OnRows(const v1::ProfileUpdated& updated, int64_t sequence) {
  for (const v1::ProfileRow& row : updated.rows()) {
    if (row.source() != v1::PROFILE_SOURCE_MEASURED || row.device_id().empty() ||
        row.runs_size() == 0) {
      continue;
    }
    if (row.has_change() &&
        std::exchange(changes_[row.device_id()], row.change().at_unix_seconds()) !=
            row.change().at_unix_seconds()) {
      ++device_changes_;
    }
    // The receipt taught the first row; the others only changed with it.
    std::string breach = CheckUnmoved(row);
    if (breach.empty() && &row == &updated.rows(0)) {
      breach = CheckLearned(row, sequence);
    }
    if (breach.empty()) {
      breach = CheckChange(row);
    }
    if (!breach.empty()) {
      return breach;
    }
  }
  return "";
}

}  // namespace wattle::sim
