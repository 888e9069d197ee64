// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Writes the sentences.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "scheduler/place/explain/explain_internal.h"
#include "scheduler/place/place.h"
#include "scheduler/place/probe_value_internal.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

constexpr size_t kBestMax = 5;

using OtherModes = FleetView::OtherModes;

const std::string& NameOf(const v1::DeviceInfo& device) {
  return device.name().empty() ? device.device_id() : device.name();
}

// Number of devices that each rule refuses, by its name.
std::map<absl::string_view, int> CountRefusals(const EvaluatedDevices& evaluated) {
  std::map<absl::string_view, int> counts;
  for (const Option* option : evaluated.options) {
    if (!option->feasible()) {
      ++counts[Rules()[option->verdict.rule].name];
    }
  }
  return counts;
}

// Nearness of a device to taking a job; larger is nearer.
using Nearness = std::tuple<bool, bool, size_t>;

Nearness NearnessOf(const Option& option) {
  return {option.feasible(), !option.verdict.permanent(), option.verdict.rule};
}

// Number of rules that the candidate passes before the one that refuses it.
size_t RulesPassed(const v1::Candidate& candidate) {
  const absl::Span<const Rule> rules = Rules();
  const auto refusing = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) {
    return rule.name == candidate.refused_by();
  });
  return static_cast<size_t>(refusing - rules.begin());
}

// The cheapest feasible option besides the choice. If the choice is the cheapest and must wait, the
// cheapest option on a free device.
const Option* RunnerUp(const EvaluatedDevices& evaluated) {
  const Option& chosen = *evaluated.options.front();
  const bool free_only = !evaluated.arranged && chosen.run.start_in_seconds > 0;
  for (size_t i = 1; i < static_cast<size_t>(evaluated.feasible); ++i) {
    const Option& other = *evaluated.options[i];
    if (other.probe != chosen.probe) {
      return nullptr;  // A probe ranks lower at any cost.
    }
    if (!free_only || other.run.start_in_seconds <= 0) {
      return &other;
    }
  }
  return nullptr;
}

// A cost without the price of waiting, which is not measured in joules.
double AmountOf(const Option& option, const ObjectiveRow& objective) {
  return objective.waiting_costs_extra ? objective.amount(option.run, /*waited_seconds=*/0)
                                       : option.cost;
}

// other_name: name of the other option's device.
std::string Compare(const EvaluatedDevices& evaluated, const Option& other,
                    absl::string_view other_name, const ObjectiveRow& objective) {
  const Option& chosen = *evaluated.options.front();
  const double amount = AmountOf(other, objective);
  const double saved = amount - AmountOf(chosen, objective);
  const double percent = amount > 0 ? 100 * std::abs(saved) / amount : 0;
  // Here the cost of the whole plan decides, not that of the two options.
  if (evaluated.arranged && saved <= 0) {
    return absl::StrFormat("%s would take %s less (%.1f %%), %s", other_name,
                           objective.format(-saved), percent,
                           evaluated.stays ? "too little to move a start of the next hour"
                                           : "and serves other jobs of the queue better");
  }
  if (saved < 0 && chosen.tight) {
    return absl::StrFormat("%s would take %s less (%.1f %%), and end later", other_name,
                           objective.format(-saved), percent);
  }
  if (saved < 0) {  // Here the price of waiting decides.
    return absl::StrFormat(
        "%s would take %s less (%.1f %%), and start %s later", other_name, objective.format(-saved),
        percent,
        FormatElapsed(absl::Seconds(other.run.start_in_seconds - chosen.run.start_in_seconds)));
  }
  return absl::StrFormat("saves %s (%.0f %%) against %s", objective.format(saved), percent,
                         other_name);
}

// Energy and value of a probe, in words.
std::string ProbeWords(const Option& probe, const v1::ProbeValue& value) {
  const v1::Interval& seconds = probe.prediction->run_seconds();
  std::string words = absl::StrFormat(
      "; probe: %.0f s and %s tell how long it takes, by now %s to %s", value.seconds(),
      FormatEnergy(Joules(value.energy_joules())), FormatElapsed(absl::Seconds(seconds.low())),
      FormatElapsed(absl::Seconds(seconds.high())));
  if (value.value_per_joule() > 0) {
    absl::StrAppend(&words, ", and each joule is expected to save ",
                    FormatEnergy(Joules(value.value_per_joule())), " of ",
                    value.jobs() > 1 ? absl::StrCat(value.jobs(), " runs that miss their deadlines")
                                     : "a run that misses its deadline");
  }
  return words;
}

// Words for a run that is in time only by its mean.
std::string LateWords(const Option& chosen, double deadline_in_seconds) {
  const double late = chosen.finish_in_seconds_upper - deadline_in_seconds;
  return deadline_in_seconds > 0 && late > 0
             ? absl::StrCat("; may end ", FormatElapsed(absl::Seconds(late)),
                            " after its deadline, and no device is sure to be in time")
             : "";
}

// Words for a trial of a device that is expected to cost more than the job's best one.
std::string TrialWords(const v1::ProbeValue& trial) {
  return absl::StrFormat(
      "; tried here for %d other job%s like it: %.0f s and %s tell what they would take, which is "
      "expected to save them %s, at %s more for this job",
      trial.jobs(), trial.jobs() == 1 ? "" : "s", trial.seconds(),
      FormatEnergy(Joules(trial.energy_joules())), FormatEnergy(Joules(trial.loss_avoided())),
      FormatEnergy(Joules(trial.cost_of_trying())));
}

}  // namespace

const v1::Candidate* NearestToFeasible(absl::Span<const v1::Candidate* const> candidates) {
  const auto nearness = [](const v1::Candidate* candidate) {
    return Nearness(candidate->feasible(), !candidate->permanent(), RulesPassed(*candidate));
  };
  const auto nearest = std::max_element(
      candidates.begin(), candidates.end(),
      [&](const v1::Candidate* a, const v1::Candidate* b) { return nearness(a) < nearness(b); });
  return nearest == candidates.end() ? nullptr : *nearest;
}

std::optional<v1::ProbeValue> ValueOfProbe(const EvaluatedDevices& evaluated) {
  const Option* const chosen = Chosen(evaluated);
  if (chosen == nullptr || !chosen->probe) {
    return evaluated.trial;
  }
  return ValueToDeadlines(*chosen, evaluated.deadline_in_seconds, evaluated.jobs_alike);
}

std::string WhyNone(const FleetView& fleet, const JobView& job, const EvaluatedDevices& evaluated) {
  if (evaluated.options.empty()) {
    return "no device has registered; start a wattle-worker";
  }
  const Option& nearest = **std::max_element(
      evaluated.options.begin(), evaluated.options.end(),
      [](const Option* a, const Option* b) { return NearnessOf(*a) < NearnessOf(*b); });
  // A temporary refusal is nearer than a permanent one: if the nearest refusal is permanent, all
  // are.
  const size_t others = evaluated.options.size() - 1;
  return absl::StrCat(
      NeverFeasible(evaluated) ? "no device of this fleet can run it; "
                               : "no device can take it now; ",
      others > 0 ? "the nearest is " : "", NameOf(fleet.InfoOf(nearest)), ": ",
      fleet.CandidateOf(job, nearest, OtherModes::kLeaveOut).reason(),
      others > 0 ? absl::StrCat("; 'wattle plan' tells of the other ", others) : "",
      evaluated.planned_before > 0 && !NeverFeasible(evaluated)
          ? absl::StrCat("; ", evaluated.planned_before,
                         " jobs that wait for their time are planned before it, and a plan finds a "
                         "place for no more of them")
          : "");
}

std::string WhyChosen(const FleetView& fleet, const JobView& job, const EvaluatedDevices& evaluated,
                      const v1::Candidate& shown) {
  const ObjectiveRow& objective = ObjectiveOf(job.spec.objective());
  const Option& chosen = *evaluated.options.front();
  const Option* const other = RunnerUp(evaluated);
  std::string reason = absl::StrCat(NameOf(fleet.InfoOf(chosen)), ": ",
                                    objective.format(AmountOf(chosen, objective)),
                                    objective.objective == v1::OBJECTIVE_TIME ? " until done" : "");
  if (shown.on_cpu()) {
    absl::StrAppend(&reason, " on its CPU");
  }
  if (shown.sets_power_mode()) {
    absl::StrAppend(&reason, " in power mode ", shown.power_mode(), ", which the worker sets");
  }
  const bool waits = chosen.run.start_in_seconds > 0;
  if (waits) {
    absl::StrAppend(&reason, "; waits ", FormatElapsed(absl::Seconds(chosen.run.start_in_seconds)),
                    shown.refused_by().empty() ? " until it is free" : " for its earliest start",
                    shown.waits_for().empty() ? "" : absl::StrCat(" (", shown.waits_for(), ")"));
  }
  if (evaluated.trial.has_value()) {
    absl::StrAppend(&reason, TrialWords(*evaluated.trial));
  } else if (other != nullptr) {
    absl::StrAppend(&reason, waits ? ", " : "; ",
                    Compare(evaluated, *other, NameOf(fleet.InfoOf(*other)), objective),
                    waits && other->run.start_in_seconds <= 0 ? ", which is free" : "");
  } else if (evaluated.feasible == 1) {
    absl::StrAppend(&reason, "; the only feasible device");
  }
  if (chosen.probe) {
    absl::StrAppend(&reason, ProbeWords(chosen, *ValueOfProbe(evaluated)));
  } else {
    absl::StrAppend(&reason, LateWords(chosen, evaluated.deadline_in_seconds));
  }
  if (shown.has_model_choice()) {
    absl::StrAppend(&reason, "; ", shown.model_choice().reason());
  }
  if (shown.prediction().heat_stretch_ratio() > 0) {
    absl::StrAppend(&reason, absl::StrFormat("; its heat makes the run %.1f times as long",
                                             shown.prediction().heat_stretch_ratio()));
  }
  if (const double rests = shown.prediction().rest_seconds(); rests >= kRestToTellSeconds) {
    absl::StrAppend(&reason, "; rests at its reserve for about ",
                    FormatElapsed(absl::Seconds(rests)),
                    " of the run, until the sun has charged its battery");
  } else if (rests > 0) {
    absl::StrAppend(&reason, "; rests at its reserve on a day with less sun than others");
  }
  if (objective.objective != v1::OBJECTIVE_TIME && !shown.prediction().idle_known()) {
    absl::StrAppend(&reason, "; gross joules, as its idle watts are not known");
  }
  return reason;
}

v1::Placement PlacementOf(const FleetView& fleet, const JobView& job,
                          const EvaluatedDevices& evaluated) {
  v1::Placement placement;
  placement.set_objective(ObjectiveOf(job.spec.objective()).objective);
  const size_t shown =
      evaluated.feasible > 0 ? static_cast<size_t>(evaluated.feasible) : evaluated.options.size();
  for (size_t i = 0; i < std::min(shown, kBestMax); ++i) {
    v1::Candidate& best = *placement.add_best() = fleet.CandidateOf(
        job, *evaluated.options[i], i == 0 ? OtherModes::kShow : OtherModes::kLeaveOut);
    if (const auto value = ValueOfProbe(evaluated); i == 0 && value.has_value()) {
      *best.mutable_probe_value() = *value;
    }
    if (i > 0) {  // Bounds the message: the alternatives of the first candidate are enough.
      best.clear_alternatives();
    }
  }
  for (const auto& [name, devices] : CountRefusals(evaluated)) {
    v1::RefusalCount* const count = placement.add_refusals();
    count->set_refused_by(std::string(name));
    count->set_devices(devices);
  }
  if (Chosen(evaluated) == nullptr) {
    placement.set_reason(WhyNone(fleet, job, evaluated));
    return placement;
  }
  placement.set_device_id(placement.best(0).device_id());
  placement.set_wait(placement.best(0).start_in_seconds() > 0);
  placement.set_reason(WhyChosen(fleet, job, evaluated, placement.best(0)));
  return placement;
}

bool NeverFeasible(const EvaluatedDevices& evaluated) {
  return !evaluated.options.empty() && !evaluated.probably_in_time &&
         std::all_of(evaluated.options.begin(), evaluated.options.end(),
                     [](const Option* option) { return option->verdict.permanent(); });
}

}  // namespace wattle::scheduler
