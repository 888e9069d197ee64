// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/job_view.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "proto/kind_name.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

constexpr char kChosenMark[] = "*";

double ScaleOf(const v1::Prediction& prediction) {
  return prediction.time_scale() == 0.0 ? 1.0 : prediction.time_scale();
}

std::string ChargeWords(const v1::Candidate& candidate) {
  if (!candidate.has_battery()) {
    return "";
  }
  const std::string now = FormatPercent(Fraction(candidate.state_of_charge_ratio()));
  const std::string start = FormatPercent(Fraction(candidate.start_state_of_charge_ratio()));
  const bool changes = candidate.start_in_seconds() > 0.0 && start != now;
  return absl::StrCat(now, changes ? absl::StrCat(", at the start ", start) : "", " → ",
                      FormatPercent(Fraction(candidate.state_of_charge_after_ratio())));
}

// "in 1 h 10 min (90 %: 50 min 00 s to 1 h 25 min)".
std::string InWords(double seconds, double low_seconds, double high_seconds) {
  const auto elapsed = [](double of) { return FormatElapsed(absl::Seconds(of)); };
  return absl::StrCat("in ", elapsed(seconds),
                      low_seconds < high_seconds ? absl::StrCat(" (90 %: ", elapsed(low_seconds),
                                                                " to ", elapsed(high_seconds), ")")
                                                 : "");
}

// ", ends in 2 h 10 min (90 %: 1 h 40 min to 2 h 35 min)"; empty if its span is unknown.
std::string EndWords(const v1::Candidate& candidate) {
  return candidate.finish_high_in_seconds() > 0.0
             ? absl::StrCat(", ends ", InWords(candidate.finish_in_seconds(),
                                               candidate.finish_low_in_seconds(),
                                               candidate.finish_high_in_seconds()))
             : "";
}

std::string Verdict(const v1::Candidate& candidate) {
  if (candidate.feasible()) {
    const std::string warnings =
        candidate.warnings().empty()
            ? ""
            : absl::StrCat("; warning: ", absl::StrJoin(candidate.warnings(), "; "));
    return candidate.start_in_seconds() > 0.0
               ? absl::StrCat(
                     "feasible, free ",
                     InWords(candidate.start_in_seconds(), candidate.start_low_in_seconds(),
                             candidate.start_high_in_seconds()),
                     candidate.waits_for().empty() ? ""
                                                   : absl::StrCat(" (", candidate.waits_for(), ")"),
                     EndWords(candidate), warnings)
               : absl::StrCat("feasible", EndWords(candidate), warnings);
  }
  return absl::StrCat(candidate.permanent() ? "never: " : "not now: ", candidate.reason());
}

std::string NetWords(const v1::Prediction& prediction) {
  const std::string energy = FormatEnergy(Joules(prediction.net_energy_joules()));
  return prediction.idle_known() ? energy : absl::StrCat(energy, " (idle unknown)");
}

std::string SpanWords(double seconds, double energy_joules) {
  if (seconds == 0.0 && energy_joules == 0.0) {
    return "";
  }
  return absl::StrCat(FormatSeconds(seconds), " s, ", FormatEnergy(Joules(energy_joules)));
}

std::string IntervalWords(const v1::Prediction& prediction) {
  const std::string seconds = FormatSeconds(prediction.run_seconds());
  const std::string energy = FormatEnergyRange(prediction.run_energy_joules());
  return absl::StrCat(seconds, seconds.empty() || energy.empty() ? "" : ", ", energy);
}

std::string Mark(const v1::Candidate& candidate, const v1::PlanResponse& plan) {
  const bool chosen =
      !plan.chosen_device_id().empty() && candidate.device_id() == plan.chosen_device_id();
  return chosen ? kChosenMark : " ";
}

Emphasis EmphasisOf(const v1::Candidate& candidate, const v1::PlanResponse& plan) {
  return Mark(candidate, plan) == kChosenMark ? Emphasis::kStrong : Emphasis::kNone;
}

Table RunTable(const v1::PlanResponse& plan) {
  Table table({{""},
               {"device"},
               {"class"},
               {"device s", Align::kRight},
               {"wall", Align::kRight},
               {"mean W", Align::kRight},
               {"energy", Align::kRight},
               {"net", Align::kRight},
               {"charge"},
               {"feasible", Align::kLeft, true}});
  for (const v1::Candidate& candidate : plan.candidates()) {
    const v1::Prediction& prediction = candidate.prediction();
    std::vector<std::string> cells = {
        Mark(candidate, plan), candidate.device_name(),
        absl::StrCat(DeviceClassWord(candidate.device_class(), candidate.emulated()),
                     candidate.on_cpu() ? ", CPU" : "")};
    if (candidate.has_prediction()) {
      const double seconds = prediction.run_seconds().mean();
      cells.insert(
          cells.end(),
          {FormatSeconds(seconds), FormatElapsed(absl::Seconds(seconds * ScaleOf(prediction))),
           FormatPower(Watts(prediction.mean_power_watts())),
           FormatEnergy(Joules(prediction.run_energy_joules().mean())), NetWords(prediction)});
    } else {
      cells.insert(cells.end(), 5, "");
    }
    cells.push_back(ChargeWords(candidate));
    cells.push_back(Verdict(candidate));
    table.AddRow(std::move(cells), EmphasisOf(candidate, plan));
  }
  return table;
}

std::string ProvenanceWord(v1::Provenance provenance) {
  v1::Prediction without_note;
  without_note.set_provenance(provenance);
  return ProvenanceWords(without_note);
}

bool OffersTwoProcessors(const v1::Candidate& candidate) {
  return std::any_of(
      candidate.other_power_modes().begin(), candidate.other_power_modes().end(),
      [&](const v1::PowerModeChoice& other) { return other.on_cpu() != candidate.on_cpu(); });
}

// "15W"; for a device that offers two processors "15W, GPU".
std::string WayWords(const std::string& power_mode, bool two_processors, bool on_cpu) {
  if (!two_processors) {
    return power_mode;
  }
  return absl::StrCat(power_mode, power_mode.empty() ? "" : ", ", on_cpu ? "CPU" : "GPU");
}

// The ways to run on devices that have several, power modes and processors: first the plan's
// choice, then the rejected ways. Empty if no device has a choice.
Table WaysTable(const v1::PlanResponse& plan) {
  Table table({{""},
               {"device"},
               {"way"},
               {"device s", Align::kRight},
               {"energy", Align::kRight},
               {"marginal", Align::kRight},
               {"from"},
               {"", Align::kLeft, true}});
  for (const v1::Candidate& candidate : plan.candidates()) {
    if (candidate.other_power_modes().empty()) {
      continue;
    }
    const v1::Prediction& prediction = candidate.prediction();
    const bool two = OffersTwoProcessors(candidate);
    table.AddRow({Mark(candidate, plan), candidate.device_name(),
                  WayWords(candidate.power_mode(), two, candidate.on_cpu()),
                  FormatSeconds(prediction.run_seconds().mean()),
                  FormatEnergy(Joules(prediction.run_energy_joules().mean())),
                  FormatEnergy(Joules(candidate.marginal_energy_joules())),
                  ProvenanceWord(prediction.provenance()),
                  candidate.sets_power_mode()       ? "the worker sets it for the job"
                  : !candidate.power_mode().empty() ? "the device is in it"
                                                    : ""},
                 EmphasisOf(candidate, plan));
    for (const v1::PowerModeChoice& other : candidate.other_power_modes()) {
      table.AddRow(
          {"", "", WayWords(other.power_mode(), two, other.on_cpu()),
           FormatSeconds(other.run_seconds()), FormatEnergy(Joules(other.run_energy_joules())),
           FormatEnergy(Joules(other.marginal_energy_joules())), ProvenanceWord(other.provenance()),
           other.feasible() ? "" : absl::StrCat("not: ", other.reason())});
    }
  }
  return table;
}

Table BesideTable(const v1::PlanResponse& plan) {
  Table table({{""},
               {"device"},
               {"fetch"},
               {"start"},
               {"checkpoint"},
               {"evaluate"},
               {"upload"},
               {"marginal", Align::kRight},
               {"9 in 10 between"},
               {"from", Align::kLeft, true}});
  for (const v1::Candidate& candidate : plan.candidates()) {
    if (!candidate.has_prediction()) {
      continue;
    }
    const v1::Prediction& prediction = candidate.prediction();
    table.AddRow({Mark(candidate, plan), candidate.device_name(),
                  SpanWords(prediction.fetch_seconds(), prediction.fetch_energy_joules()),
                  SpanWords(prediction.start_seconds(), prediction.start_energy_joules()),
                  SpanWords(prediction.checkpoint_seconds(), prediction.checkpoint_energy_joules()),
                  SpanWords(prediction.evaluate_seconds(), prediction.evaluate_energy_joules()),
                  SpanWords(prediction.upload_seconds(), prediction.upload_energy_joules()),
                  FormatEnergy(Joules(candidate.marginal_energy_joules())),
                  IntervalWords(prediction), ProvenanceWords(prediction)},
                 EmphasisOf(candidate, plan));
  }
  return table;
}

// For a job with a quality floor: the models that each device could run, the choice first.
Table AlternativesTable(const v1::PlanResponse& plan) {
  const bool tokens = plan.unit() != v1::WORK_UNIT_EXAMPLE;
  Table table({{""},
               {"device"},
               {"model"},
               {"form"},
               {"bits", Align::kRight},
               {"bytes", Align::kRight},
               {"perplexity", Align::kRight},
               {"KL", Align::kRight},
               {"same top", Align::kRight},
               {tokens ? "tokens/s" : "examples/s", Align::kRight},
               {tokens ? "J/token" : "J/example", Align::kRight},
               {"net", Align::kRight},
               {"offered", Align::kLeft, true}});
  for (const v1::Candidate& candidate : plan.candidates()) {
    for (const v1::ModelAlternative& one : candidate.alternatives()) {
      const bool choice = candidate.model_choice().artifact_id() == one.artifact_id();
      const v1::ModelQuality& quality = one.quality();
      const std::string parent = one.is_parent() ? "parent" : "";
      const auto measured = [&](const std::string& text) {
        return one.has_quality() ? text : parent;
      };
      table.AddRow(
          {choice ? Mark(candidate, plan) : " ", candidate.device_name(), one.model(),
           one.quantization() == "none" ? "fp32" : one.quantization(),
           one.bits_per_weight() > 0 ? absl::StrFormat("%.3g", one.bits_per_weight()) : "",
           one.stored_bytes() > 0 ? FormatBytes(one.stored_bytes()) : "",
           measured(absl::StrFormat("%+.2f %%", quality.perplexity_change_percent())),
           measured(absl::StrFormat("%.4f", quality.kl_divergence())),
           quality.has_top1_agreement_percent()
               ? absl::StrFormat("%.1f %%", quality.top1_agreement_percent())
               : parent,
           absl::StrFormat("%.4g", one.units_per_second()),
           absl::StrFormat("%.3g", one.energy_joules_per_unit()),
           absl::StrFormat("%.3g", one.net_energy_joules_per_unit()),
           !one.offered() ? absl::StrCat("no: ", one.reason())
                          : absl::StrCat(choice ? "runs" : "yes",
                                         one.speed_measured() ? "" : ", speed not measured")},
          choice ? EmphasisOf(candidate, plan) : Emphasis::kNone);
    }
  }
  return table;
}

// One line for each time scale other than 1 among the devices.
std::string ScaleNotes(const v1::PlanResponse& plan) {
  std::vector<double> scales;
  for (const v1::Candidate& candidate : plan.candidates()) {
    const double scale = ScaleOf(candidate.prediction());
    if (scale != 1.0 && std::find(scales.begin(), scales.end(), scale) == scales.end()) {
      scales.push_back(scale);
    }
  }
  std::sort(scales.begin(), scales.end());
  std::string notes;
  for (const double scale : scales) {
    absl::StrAppend(&notes, "time_scale ", FormatScale(scale), ": 1 device s takes ",
                    FormatScale(scale), " s of wall time on these emulated devices\n");
  }
  return notes;
}

// The choices of the other objectives on the same snapshot: "time would take xavier-nx now".
std::string OtherObjectives(const v1::PlanResponse& plan) {
  std::map<std::string, std::string> names;
  for (const v1::Candidate& candidate : plan.candidates()) {
    names[candidate.device_id()] = candidate.device_name();
  }
  std::vector<std::string> others;
  for (const v1::ObjectiveChoice& choice : plan.choices()) {
    if (choice.objective() != plan.objective() && !choice.device_id().empty()) {
      others.push_back(absl::StrCat(ObjectiveWord(choice.objective()), " would ",
                                    choice.wait() ? "wait for " : "take ",
                                    Printable(names[choice.device_id()])));
    }
  }
  return others.empty() ? "" : absl::StrCat("objective ", absl::StrJoin(others, ", "), "\n");
}

std::string CostWords(double cost, v1::Objective objective) {
  switch (objective) {
    case v1::OBJECTIVE_TIME:
      return FormatElapsed(absl::Seconds(cost));
    case v1::OBJECTIVE_EDP:
      return absl::StrCat(FormatEnergy(Joules(cost)), " x s");
    default:
      return FormatEnergy(Joules(cost));
  }
}

// "xavier-1 would win with batch_size 2: 1.90 Wh; with a deadline 3 h later: 2.10 Wh", one line for
// each device.
std::string WinningChanges(const v1::PlanResponse& plan, v1::Objective objective) {
  std::string lines;
  for (const v1::Candidate& candidate : plan.candidates()) {
    if (candidate.would_win_if_size() > 0) {
      absl::StrAppend(&lines, Printable(candidate.device_name()), " would win ",
                      WinningChangesWords(candidate, objective, candidate.would_win_if_size()),
                      "\n");
    }
  }
  return lines;
}

}  // namespace

std::string WinningChangesWords(const v1::Candidate& candidate, v1::Objective objective,
                                int changes_max) {
  std::vector<std::string> changes;
  for (int i = 0; i < std::min(changes_max, candidate.would_win_if_size()); ++i) {
    const v1::WinningChange& one = candidate.would_win_if(i);
    changes.push_back(
        absl::StrCat("with ", Printable(one.change()), ": ", CostWords(one.cost(), objective)));
  }
  return absl::StrJoin(changes, "; ");
}

std::string RenderPlan(const v1::JobSpec& spec, const v1::PlanResponse& plan,
                       const TextStyle& style) {
  const v1::Objective objective =
      plan.objective() == v1::OBJECTIVE_UNSPECIFIED ? spec.objective() : plan.objective();
  std::string out = absl::StrCat("plan for ", Printable(spec.name().empty() ? "job" : spec.name()),
                                 ": ", KindName(spec), ", objective ", ObjectiveWord(objective));
  if (plan.work_units() > 0.0) {
    absl::StrAppend(&out, ", ", FormatCount(plan.work_units()), " ", UnitWord(plan.unit()),
                    plan.work_units() == 1.0 ? "" : "s");
  }
  if (plan.batch_size() > 0) {
    absl::StrAppend(&out, ", batch_size ", plan.batch_size());
  }
  absl::StrAppend(&out, "\n\n");
  if (plan.candidates().empty()) {
    absl::StrAppend(&out, "no device has registered\n");
  } else {
    absl::StrAppend(&out, RunTable(plan).Render(style));
    const Table beside = BesideTable(plan);
    if (!beside.empty()) {
      absl::StrAppend(&out, "\n", beside.Render(style));
    }
    const Table alternatives = AlternativesTable(plan);
    if (!alternatives.empty()) {
      absl::StrAppend(&out, "\n", alternatives.Render(style));
    }
    const Table modes = WaysTable(plan);
    if (!modes.empty()) {
      absl::StrAppend(&out, "\n", modes.Render(style));
    }
  }
  absl::StrAppend(&out, "\n", ScaleNotes(plan));
  if (!plan.certain_failure().empty()) {
    absl::StrAppend(&out, "certain to fail: ", Printable(plan.certain_failure()), "\n");
    return out;
  }
  absl::StrAppend(&out,
                  plan.chosen_device_id().empty() ? "no device is feasible"
                  : plan.wait()                   ? "chosen (*), waiting until it is free"
                                                  : "chosen (*)",
                  plan.reason().empty() ? "" : ": ", Printable(plan.reason()), "\n",
                  OtherObjectives(plan), WinningChanges(plan, objective));
  return out;
}

}  // namespace wattle::cli
