// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Writes the sentences.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "scheduler/place/explain_internal.h"
#include "scheduler/place/place.h"
#include "scheduler/place/probe_value_internal.h"
#include "scheduler/place/rule.h"
#include "scheduler/place/selector.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

constexpr size_t kBestMax = 5;

std::string NameOf(const v1::Candidate& candidate) {
  return candidate.device_name().empty() ? candidate.device_id() : candidate.device_name();
}

std::map<std::string, int> CountRefusals(const Considered& considered) {
  std::map<std::string, int> counts;
  for (const v1::Candidate* candidate : considered.candidates) {
    if (!candidate->feasible()) {
      ++counts[candidate->refused_by()];
    }
  }
  return counts;
}

std::string WhyNone(const Considered& considered) {
  if (considered.candidates.empty()) {
    return "no device has registered; start a wattle-worker";
  }
  const v1::Candidate& nearest = *NearestToFeasible(considered.candidates);
  // A refusal that may pass is nearer than a permanent one: if the nearest refusal is permanent,
  // all are.
  const size_t others = considered.candidates.size() - 1;
  return absl::StrCat(
      nearest.permanent() ? "no device of this fleet can run it; " : "no device can take it now; ",
      others > 0 ? "the nearest is " : "", NameOf(nearest), ": ", nearest.reason(),
      others > 0 ? absl::StrCat("; 'wattle plan' tells of the other ", others) : "");
}

// How many rules the candidate passes before the rule that refuses it.
size_t RulesPassed(const v1::Candidate& candidate) {
  const absl::Span<const Rule> rules = Rules();
  const auto refusing = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) {
    return rule.name == candidate.refused_by();
  });
  return static_cast<size_t>(refusing - rules.begin());
}

// The cheapest feasible candidate besides the choice. If the choice is the cheapest and must wait,
// the cheapest candidate that is free.
const v1::Candidate* RunnerUp(const Considered& considered) {
  const bool free_only =
      !considered.arranged && considered.candidates.front()->start_in_seconds() > 0;
  for (size_t i = 1; i < static_cast<size_t>(considered.feasible); ++i) {
    if (considered.candidates[i]->probe() != considered.candidates.front()->probe()) {
      return nullptr;  // It comes behind whatever it costs.
    }
    if (!free_only || considered.candidates[i]->start_in_seconds() <= 0) {
      return considered.candidates[i];
    }
  }
  return nullptr;
}

// A cost without the price of waiting, which is no joule.
double AmountOf(const v1::Candidate& candidate, const ObjectiveRow& objective) {
  return objective.waiting_costs_extra ? objective.amount(candidate, /*waited_seconds=*/0)
                                       : candidate.cost();
}

std::string Compare(const Considered& considered, const v1::Candidate& other,
                    const ObjectiveRow& objective) {
  const v1::Candidate& chosen = *considered.candidates.front();
  const double amount = AmountOf(other, objective);
  const double saved = amount - AmountOf(chosen, objective);
  const double percent = amount > 0 ? 100 * std::abs(saved) / amount : 0;
  // The whole plan decides, not the two candidates' costs.
  if (considered.arranged && saved <= 0) {
    return absl::StrFormat("%s would take %s less (%.1f %%), %s", NameOf(other),
                           objective.format(-saved), percent,
                           considered.stays ? "too little to move a start of the next hour"
                                            : "and serves other jobs of the queue better");
  }
  if (saved < 0) {  // The price of waiting decides.
    return absl::StrFormat(
        "%s would take %s less (%.1f %%), and start %s later", NameOf(other),
        objective.format(-saved), percent,
        FormatElapsed(absl::Seconds(other.start_in_seconds() - chosen.start_in_seconds())));
  }
  return absl::StrFormat("saves %s (%.0f %%) against %s", objective.format(saved), percent,
                         NameOf(other));
}

// What a probe draws and what it tells.
std::string ProbeWords(const v1::Candidate& probe, const v1::ProbeValue& value) {
  const v1::Interval& seconds = probe.prediction().run_seconds();
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

// Why the job tries a device that is expected to cost more than its best one.
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
  const auto rank = [](const v1::Candidate* candidate) {
    return std::make_tuple(candidate->feasible(), !candidate->permanent(), RulesPassed(*candidate));
  };
  const auto nearest = std::max_element(
      candidates.begin(), candidates.end(),
      [&](const v1::Candidate* a, const v1::Candidate* b) { return rank(a) < rank(b); });
  return nearest == candidates.end() ? nullptr : *nearest;
}

std::optional<v1::ProbeValue> ValueOfProbe(const Considered& considered) {
  const v1::Candidate* const chosen = Chosen(considered);
  if (chosen == nullptr || !chosen->probe()) {
    return considered.trial;
  }
  return ValueToDeadlines(*chosen, considered.deadline_in_seconds, considered.jobs_alike);
}

std::string ReasonOf(const Considered& considered, const ObjectiveRow& objective) {
  const v1::Candidate* const chosen = Chosen(considered);
  if (chosen == nullptr) {
    return WhyNone(considered);
  }
  const v1::Candidate* const other = RunnerUp(considered);
  std::string reason =
      absl::StrCat(NameOf(*chosen), ": ", objective.format(AmountOf(*chosen, objective)),
                   objective.objective == v1::OBJECTIVE_TIME ? " until done" : "");
  if (chosen->on_cpu()) {
    absl::StrAppend(&reason, " on its CPU");
  }
  if (chosen->sets_power_mode()) {
    absl::StrAppend(&reason, " in power mode ", chosen->power_mode(), ", which the worker sets");
  }
  const bool waits = chosen->start_in_seconds() > 0;
  if (waits) {
    absl::StrAppend(
        &reason, "; waits ", FormatElapsed(absl::Seconds(chosen->start_in_seconds())),
        chosen->refused_by().empty() ? " until it is free" : " for its earliest start",
        chosen->waits_for().empty() ? "" : absl::StrCat(" (", chosen->waits_for(), ")"));
  }
  if (considered.trial.has_value()) {
    absl::StrAppend(&reason, TrialWords(*considered.trial));
  } else if (other != nullptr) {
    absl::StrAppend(&reason, waits ? ", " : "; ", Compare(considered, *other, objective),
                    waits && other->start_in_seconds() <= 0 ? ", which is free" : "");
  } else if (considered.feasible == 1) {
    absl::StrAppend(&reason, "; the only feasible device");
  }
  if (chosen->probe()) {
    absl::StrAppend(&reason, ProbeWords(*chosen, *ValueOfProbe(considered)));
  }
  if (chosen->has_model_choice()) {
    absl::StrAppend(&reason, "; ", chosen->model_choice().reason());
  }
  if (chosen->prediction().heat_stretch_ratio() > 0) {
    absl::StrAppend(&reason, absl::StrFormat("; its heat makes the run %.1f times as long",
                                             chosen->prediction().heat_stretch_ratio()));
  }
  if (objective.objective != v1::OBJECTIVE_TIME && !chosen->prediction().idle_known()) {
    absl::StrAppend(&reason, "; gross joules, as its idle watts are not known");
  }
  return reason;
}

v1::Placement PlacementOf(const Considered& considered, const ObjectiveRow& objective) {
  v1::Placement placement;
  placement.set_objective(objective.objective);
  if (const v1::Candidate* const chosen = Chosen(considered); chosen != nullptr) {
    placement.set_device_id(chosen->device_id());
    placement.set_wait(chosen->start_in_seconds() > 0);
  }
  const size_t shown = considered.feasible > 0 ? static_cast<size_t>(considered.feasible)
                                               : considered.candidates.size();
  for (size_t i = 0; i < std::min(shown, kBestMax); ++i) {
    v1::Candidate& best = *placement.add_best() = *considered.candidates[i];
    if (const auto value = ValueOfProbe(considered); i == 0 && value.has_value()) {
      *best.mutable_probe_value() = *value;
    }
    if (i > 0) {  // Bounded: the alternatives of the first candidate are enough.
      best.clear_alternatives();
      best.clear_other_power_modes();
    }
  }
  for (const auto& [name, devices] : CountRefusals(considered)) {
    v1::RefusalCount* const count = placement.add_refusals();
    count->set_refused_by(name);
    count->set_devices(devices);
  }
  placement.set_reason(ReasonOf(considered, objective));
  return placement;
}

bool NeverFeasible(const Considered& considered) {
  return !considered.candidates.empty() &&
         std::all_of(considered.candidates.begin(), considered.candidates.end(),
                     [](const v1::Candidate* candidate) {
                       return !candidate->feasible() && candidate->permanent();
                     });
}

}  // namespace wattle::scheduler
