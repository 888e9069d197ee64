// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Makes the message of a shown option, with its sentences. The search uses option.h.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "scheduler/battery/charge.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/pack.h"

namespace wattle::scheduler {
namespace {

// Warns of a reserve that no gauge can guard.
void WarnOfReserve(const policy::Limits& limits, const DeviceView& view, v1::Candidate* candidate) {
  if (limits.reserve && limits.refuses_missing_gauge.empty() && !HasGauge(view.device)) {
    candidate->add_warnings(absl::StrCat("policy ", limits.reserve->policy,
                                         " keeps a reserve, and this device has no battery gauge: "
                                         "its reserve is not guarded"));
  }
}

// The charge at the begin and at the end of a run, as shares of the battery.
struct ChargeAround {
  double start = 0;
  double after = 0;
};

// Without sun the charge falls: by the draw of earlier runs, by the idle draw until the start, and
// by the run. gauge: the board whose gauge applies.
ChargeAround ChargeWithoutSun(const DeviceView& view, const v1::Device& gauge,
                              const DeviceLoad& load, const Option& option, absl::Time now) {
  const absl::Time start = now + absl::Seconds(option.run.start_in_seconds);
  absl::Duration idles = std::max(start - std::max(load.free_at, now), absl::ZeroDuration());
  Joules drawn = load.committed + load.promised_by_others;
  for (const Reservation& before : load.reserved) {
    if (before.begin < start) {
      drawn += before.demand;
      idles -= std::min(before.end, start) - before.begin;
    }
  }
  const double scale = view.device.info().time_scale() > 0 ? view.device.info().time_scale() : 1;
  drawn += IdlePowerOf(view.device) * (std::max(idles, absl::ZeroDuration()) / scale) +
           load.idle_of_others * (start - now);
  const absl::Duration run =
      absl::Seconds(option.run.finish_in_seconds - option.run.start_in_seconds);
  const Joules demand =
      GrossDemand(*option.prediction, Joules(option.prediction->run_energy_joules().mean())) +
      load.idle_of_others * run;
  const BatteryState battery{FromWattHours(gauge.info().battery_capacity_wh()),
                             Fraction(gauge.heartbeat().state_of_charge_ratio()), drawn};
  return {.start = ChargeAfter(battery, Joules(0)).value(),
          .after = ChargeAfter(battery, demand).value()};
}

// The median of the pack's paths; for a run that rests, at the pack's horizon at the latest.
// nullopt: another run ends after the horizon.
std::optional<ChargeAround> ChargeUnderSun(const DeviceView& view, const DeviceLoad& load,
                                           const policy::SpecSteps& steps, const Option& option,
                                           absl::Time now) {
  const std::optional<timetable::Draw> draw = DrawOf(view.device, steps, *option.prediction);
  const auto at = [now](double in_seconds) {
    return timetable::UnixSecondsUp(now + absl::Seconds(in_seconds));
  };
  const timetable::Seconds horizon = load.pack->horizon();
  const timetable::Seconds begin = at(option.run.start_in_seconds);
  if (!draw.has_value() || begin >= horizon) {
    return std::nullopt;
  }
  timetable::Demand demand{.begin = begin, .draw = *draw};
  timetable::Seconds until = std::max(demand.end(), at(option.run.finish_in_seconds));
  if (draw->pausable) {
    demand.draw.length = std::min(demand.draw.length, horizon - begin);
    until = std::min(until, horizon);
  }
  if (until > horizon) {
    return std::nullopt;
  }
  const auto capacity = static_cast<double>(load.pack->spec().capacity);
  const timetable::ChargeOfRun charge = load.pack->MedianCharge(demand, until);
  return ChargeAround{.start = static_cast<double>(charge.begin) / capacity,
                      .after = static_cast<double>(charge.end) / capacity};
}

v1::PowerModeChoice ChoiceOfMode(const v1::Candidate& candidate) {
  v1::PowerModeChoice choice;
  choice.set_power_mode(candidate.power_mode());
  choice.set_on_cpu(candidate.on_cpu());
  choice.set_feasible(candidate.feasible());
  choice.set_reason(candidate.reason());
  choice.set_run_seconds(candidate.prediction().run_seconds().mean());
  choice.set_run_energy_joules(candidate.prediction().run_energy_joules().mean());
  choice.set_marginal_energy_joules(candidate.marginal_energy_joules());
  choice.set_finish_in_seconds(candidate.finish_in_seconds());
  choice.set_provenance(candidate.prediction().provenance());
  return choice;
}

std::string NameOfRule(const Verdict& verdict) {
  return verdict.ok() ? "" : std::string(Rules()[verdict.rule].name);
}

}  // namespace

std::string FleetView::ReasonOf(const JobOnDevice& on, const Described& described,
                                const Option& option) const {
  if (option.feasible()) {
    return "";
  }
  const Rule& rule = Rules()[option.verdict.rule];
  const auto words = [&rule](DeviceEvaluation evaluated) {
    evaluated.explains = true;
    return rule.check(evaluated)->reason;
  };
  if (rule.scope != RuleScope::kLoad) {
    const std::optional<v1::Prediction> hot = HotNow(described, on.device);
    return words(DeviceEvaluationOf(on, described, hot ? *hot : *described.prediction));
  }
  const DeviceEvaluation evaluated = DeviceEvaluationOf(on, described, option);
  return IsWide(*option.prediction)
             ? AskAboutProbe(evaluated, FinishLower(on, option), &v1::Interval::mean, words)
             : words(evaluated);
}

v1::Candidate FleetView::CandidateAt(const JobOnDevice& on, const Described& described,
                                     const Option& option) const {
  const v1::DeviceInfo& info = on.view.device.info();
  const DeviceMode& mode = described.mode;
  v1::Candidate candidate;
  candidate.set_device_id(info.device_id());
  candidate.set_device_name(info.name());
  candidate.set_device_class(info.device_class());
  candidate.set_emulated(info.emulated());
  candidate.set_power_mode(mode.power_mode);
  candidate.set_on_cpu(mode.on_cpu);
  candidate.set_sets_power_mode(mode.power_mode != info.power_mode());
  candidate.mutable_alternatives()->Add(mode.alternatives.begin(), mode.alternatives.end());
  if (mode.model_choice.has_value()) {
    *candidate.mutable_model_choice() = *mode.model_choice;
  }
  WarnOfReserve(on.limits, on.view, &candidate);
  *candidate.mutable_prediction() = *option.prediction;
  candidate.set_start_in_seconds(option.run.start_in_seconds);
  candidate.set_finish_in_seconds(option.run.finish_in_seconds);
  candidate.set_marginal_energy_joules(option.run.marginal_joules);
  candidate.set_cost(option.cost);
  candidate.set_feasible(option.feasible());
  candidate.set_permanent(option.verdict.permanent());
  candidate.set_probe(option.probe);
  candidate.set_refused_by(NameOfRule(option.verdict));
  candidate.set_reason(ReasonOf(on, described, option));
  if (option.run.start_in_seconds > 0) {
    candidate.set_waits_for(on.view.waits_for);
  }
  return candidate;
}

void FleetView::AddCharge(const JobOnDevice& on, const Option& option, bool with_sun,
                          v1::Candidate& candidate) const {
  const v1::Device& gauge = GaugeDevice(snapshot_, on.view, on.load);
  const bool under_sun = on.load.pack != nullptr;
  if (!gauge.heartbeat().has_battery() || gauge.info().battery_capacity_wh() <= 0 ||
      (under_sun && !with_sun)) {
    return;
  }
  const std::optional<ChargeAround> told =
      under_sun ? ChargeUnderSun(on.view, on.load, on.steps, option, snapshot_.now) : std::nullopt;
  const ChargeAround charge =
      told.has_value() ? *told : ChargeWithoutSun(on.view, gauge, on.load, option, snapshot_.now);
  candidate.set_has_battery(true);
  candidate.set_state_of_charge_ratio(gauge.heartbeat().state_of_charge_ratio());
  candidate.set_start_state_of_charge_ratio(std::clamp(charge.start, 0.0, 1.0));
  candidate.set_state_of_charge_after_ratio(std::clamp(charge.after, 0.0, 1.0));
}

void FleetView::AddOtherModes(const JobOnDevice& on, const Modes& modes, size_t shown,
                              v1::Candidate& candidate) const {
  std::vector<v1::PowerModeChoice> others;
  for (size_t mode = 0; mode < modes.size(); ++mode) {
    if (mode != shown) {
      others.push_back(ChoiceOfMode(CandidateAt(on, modes[mode], PlaceInMode(on, modes, mode))));
    }
  }
  const auto& listed = on.view.device.info().power_modes();
  const auto place = [&listed](const v1::PowerModeChoice& choice) {
    return std::find_if(listed.begin(), listed.end(), [&choice](const v1::PowerMode& mode) {
      return mode.name() == choice.power_mode();
    });
  };
  std::stable_sort(others.begin(), others.end(),
                   [&place](const auto& a, const auto& b) { return place(a) < place(b); });
  candidate.mutable_other_power_modes()->Add(others.begin(), others.end());
}

v1::Candidate FleetView::CandidateOf(const JobView& job, const Option& of,
                                     OtherModes others) const {
  const size_t device = of.run.device;
  const Modes& modes = ModesOf(job, *latest_, device);
  if (modes.empty()) {  // The device was not evaluated.
    return {};
  }
  const Option option = WithPrediction(job, *latest_, of);
  const JobOnDevice on = On(device, job, latest_->loads[device], *latest_);
  v1::Candidate candidate = CandidateAt(on, modes[option.mode], option);
  // A plan of a queue follows no paths for jobs that start as soon as their board is free.
  const bool with_sun =
      others == OtherModes::kShow && (options_.dry_run || option.waits_for_rule.has_value());
  AddCharge(on, option, with_sun, candidate);
  if (option.waits_for_rule.has_value()) {
    const Option refused = PlaceInMode(on, modes, option.mode);
    candidate.set_refused_by(NameOfRule(refused.verdict));
    candidate.set_waits_for(ReasonOf(on, modes[option.mode], refused));
  } else if (others == OtherModes::kShow) {
    AddOtherModes(on, modes, option.mode, candidate);
  }
  return candidate;
}

}  // namespace wattle::scheduler
