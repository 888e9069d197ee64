// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/job_view.h"
#include "cli/labels.h"
#include "cli/profile_view.h"
#include "cli/table.h"

#include "proto/contended_run.h"
#include "proto/kind_name.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

double ScaleOf(const v1::Receipt& receipt) {
  return receipt.time_scale() == 0.0 ? 1.0 : receipt.time_scale();
}

// Whether the attempt did all its work, as the prediction assumes. Otherwise the two cannot be
// compared.
bool RanToItsEnd(const v1::Attempt& attempt) {
  return attempt.state() == v1::ATTEMPT_STATE_FINISHED;
}

Table ComparisonTable(const v1::Attempt& attempt) {
  const v1::Receipt& receipt = attempt.receipt();
  const auto difference = [&](double predicted, double actual) {
    return RanToItsEnd(attempt) ? FormatDifference(predicted, actual) : "";
  };
  Table table({{"run"},
               {RanToItsEnd(attempt) ? "predicted" : "predicted of a full run", Align::kRight},
               {EvidenceWord(receipt.run().source(), receipt.emulated()), Align::kRight},
               {"difference", Align::kRight},
               {"9 in 10 between"}});
  const v1::Prediction& predicted = receipt.predicted();
  const v1::EnergyMeasurement& run = receipt.run();
  // An attempt of another version may have no prediction; the column is then empty, not zero.
  const auto guess = [&](const std::string& text) { return receipt.has_predicted() ? text : ""; };
  table.AddRow({"device s", guess(FormatSeconds(predicted.run_seconds().mean())),
                FormatSeconds(run.seconds()),
                difference(predicted.run_seconds().mean(), run.seconds()),
                FormatSeconds(predicted.run_seconds())});
  if (receipt.has_probed_run_seconds()) {
    const v1::Interval& probed = receipt.probed_run_seconds();
    table.AddRow({"  by its first steps", FormatSeconds(probed.mean()), "",
                  difference(probed.mean(), run.seconds()), FormatSeconds(probed)});
  }
  table.AddRow({"mean W", guess(FormatPower(Watts(predicted.mean_power_watts()))),
                FormatPower(Watts(run.mean_power_watts())),
                difference(predicted.mean_power_watts(), run.mean_power_watts()), ""});
  table.AddRow({"gross energy", guess(FormatEnergy(Joules(predicted.run_energy_joules().mean()))),
                FormatEnergy(Joules(run.gross_energy_joules())),
                difference(predicted.run_energy_joules().mean(), run.gross_energy_joules()),
                FormatEnergyRange(predicted.run_energy_joules())});
  if (receipt.has_probed_run_energy_joules()) {
    const v1::Interval& probed = receipt.probed_run_energy_joules();
    table.AddRow({"  by its first steps", FormatEnergy(Joules(probed.mean())), "",
                  difference(probed.mean(), run.gross_energy_joules()), FormatEnergyRange(probed)});
  }
  table.AddRow({run.idle_known() ? "net energy" : "net energy (idle unknown)",
                guess(FormatEnergy(Joules(predicted.net_energy_joules()))),
                FormatEnergy(Joules(run.net_energy_joules())),
                difference(predicted.net_energy_joules(), run.net_energy_joules()), ""});
  return table;
}

Table PhaseTable(const v1::Receipt& receipt) {
  Table table({{"phase"},
               {"predicted s", Align::kRight},
               {"device s", Align::kRight},
               {"wall", Align::kRight}});
  const v1::Prediction& predicted = receipt.predicted();
  const auto add = [&](absl::string_view name, double guess, double seconds) {
    table.AddRow({std::string(name), guess == 0.0 ? "" : FormatSeconds(guess),
                  FormatSeconds(seconds),
                  FormatElapsed(absl::Seconds(seconds * ScaleOf(receipt)))});
  };
  add("fetch", predicted.fetch_seconds(), receipt.fetch_seconds());
  add("start", predicted.start_seconds(), receipt.start_seconds());
  table.AddRow({"run", receipt.has_predicted() ? FormatSeconds(predicted.run_seconds().mean()) : "",
                FormatSeconds(receipt.run().seconds()),
                FormatElapsed(absl::Seconds(receipt.wall_seconds()))});
  add("checkpoint", predicted.checkpoint_seconds(), receipt.checkpoint_seconds());
  add("evaluate", predicted.evaluate_seconds(), receipt.evaluate_seconds());
  add("upload", predicted.upload_seconds(), receipt.upload_seconds());
  add("total",
      predicted.run_seconds().mean() + predicted.fetch_seconds() + predicted.start_seconds() +
          predicted.checkpoint_seconds() + predicted.evaluate_seconds() +
          predicted.upload_seconds(),
      receipt.total().seconds());
  if (receipt.paused_seconds() > 0) {
    add("paused", 0.0, receipt.paused_seconds());
  }
  return table;
}

std::string EnergyNotes(const v1::Receipt& receipt) {
  const v1::EnergyMeasurement& total = receipt.total();
  std::string out =
      absl::StrCat("total energy  ", FormatEnergy(Joules(total.gross_energy_joules())), " ",
                   EvidenceWord(total.source(), receipt.emulated()), ", from acceptance to result",
                   receipt.paused_seconds() > 0 ? ", without its pauses\n" : "\n");
  absl::StrAppend(&out, "source        ", EnergySourceWords(total, receipt.emulated()), "\n");
  absl::StrAppend(
      &out, "coverage      ", FormatPercent(Fraction(total.coverage_ratio())), " of the time",
      total.samples() > 0 ? absl::StrCat(", ", total.samples(), " samples") : "",
      total.missing_energy_joules() > 0.0
          ? absl::StrCat("; without samples at most ",
                         FormatEnergy(Joules(total.missing_energy_joules())), " (model)")
          : "",
      total.gross_energy_joules_high() > 0.0
          ? absl::StrCat("; gross between ", FormatEnergy(Joules(total.gross_energy_joules_low())),
                         " and ", FormatEnergy(Joules(total.gross_energy_joules_high())))
          : "",
      "\n");
  if (total.temperature_celsius_max() != 0.0) {
    absl::StrAppend(
        &out, "temperature   ", FormatTemperature(Celsius(total.temperature_celsius_max())),
        " at most", receipt.emulated() ? " (emulated)" : "",
        total.has_throttled_ratio()
            ? absl::StrCat(", throttled ", FormatPercent(Fraction(total.throttled_ratio())),
                           " of the time\n")
            : "; this device does not tell whether it throttles\n");
  }
  return out;
}

// "" if the attempt ended before its first step.
std::string AmountOfWork(const v1::WorkDone& work) {
  if (work.units() <= 0.0 || work.unit() == v1::WORK_UNIT_UNSPECIFIED) {
    return "";
  }
  std::string out = "work          ";
  absl::StrAppend(&out, FormatCount(work.units()), " ", UnitWord(work.unit()),
                  work.units() == 1.0 ? "" : "s");
  if (work.steps() > 0) {
    absl::StrAppend(&out, ", ", work.steps(), work.steps() == 1 ? " step" : " steps");
  }
  if (work.examples() > 0) {
    absl::StrAppend(&out, ", ", FormatCount(static_cast<double>(work.examples())),
                    work.examples() == 1 ? " example" : " examples");
  }
  if (work.tokens() > 0) {
    absl::StrAppend(&out, ", ", FormatCount(static_cast<double>(work.tokens())), " tokens");
  }
  if (work.truncated_examples() > 0) {
    absl::StrAppend(&out, ", ", work.truncated_examples(),
                    work.unit() == v1::WORK_UNIT_GENERATED_TOKEN
                        ? " answers ended by max_new_tokens or the context"
                        : " examples cut");
  }
  return absl::StrCat(out, "\n");
}

// "4.61 ms → 4.65 ms (+0.9 %)"; only the new number if no earlier one was known.
std::string Move(const std::string& before, const std::string& after, double was, double is) {
  return was > 0.0 ? absl::StrCat(before, " → ", after, " (", FormatDifference(was, is), ")")
                   : after;
}

// How far the run moved the row from which the next prediction is made. "" if nothing was learned.
std::string RowMoveNote(const v1::Receipt& receipt) {
  const v1::RowMove& move = receipt.row_move();
  if (UnitSeconds(move.seconds_per_unit_after()).empty()) {
    return "";
  }
  std::string out = absl::StrCat(
      "profile row   ", move.seconds_per_unit_before() > 0.0 ? "" : "first run of this work here: ",
      Move(UnitSeconds(move.seconds_per_unit_before()), UnitSeconds(move.seconds_per_unit_after()),
           move.seconds_per_unit_before(), move.seconds_per_unit_after()));
  if (!UnitEnergy(move.joules_per_unit_after()).empty()) {
    absl::StrAppend(
        &out, ", ",
        Move(UnitEnergy(move.joules_per_unit_before()), UnitEnergy(move.joules_per_unit_after()),
             move.joules_per_unit_before(), move.joules_per_unit_after()));
  }
  const std::string unit = UnitWord(receipt.work().unit());
  absl::StrAppend(&out, absl::StartsWith(unit, "e") ? " an " : " a ", unit);
  if (move.runs() > 1) {
    absl::StrAppend(&out, ", mean of ", move.runs(), " runs");
  }
  return absl::StrCat(
      out,
      move.device_changed() ? "; the device changed its speed, earlier runs count no more" : "",
      "\n");
}

// "" if all inputs were on the device, and for an older worker.
std::string LinkNote(const v1::Receipt& receipt) {
  const std::string peers = receipt.peer_fetched_bytes() > 0
                                ? absl::StrCat(", ", FormatBytes(receipt.peer_fetched_bytes()),
                                               " fetched from boards of its site")
                                : "";
  return receipt.fetched_bytes() + receipt.uploaded_bytes() > 0 || !peers.empty()
             ? absl::StrCat("link          ", FormatBytes(receipt.fetched_bytes()), " fetched, ",
                            FormatBytes(receipt.uploaded_bytes()), " uploaded", peers, "\n")
             : "";
}

// "" if no other program used the board.
std::string ContendedNote(const v1::Receipt& receipt) {
  if (receipt.contended_seconds() <= 0.0 || receipt.run().seconds() <= 0.0) {
    return "";
  }
  return absl::StrCat(
      "contended     other programs kept the board busy for ",
      FormatElapsed(absl::Seconds(receipt.contended_seconds())),
      absl::StrFormat(" of the run (%.0f %%)",
                      100.0 * receipt.contended_seconds() / receipt.run().seconds()),
      IsContended(receipt) ? ": it moves no measured row, and can only widen its interval" : "",
      "\n");
}

// "" if the supply was strong enough.
std::string UnderVoltageNote(const v1::Receipt& receipt) {
  return receipt.under_voltage_seconds() > 0.0
             ? absl::StrCat(
                   "under-voltage the board's supply was too weak, so the work stood still for ",
                   FormatElapsed(absl::Seconds(receipt.under_voltage_seconds())), "\n")
             : "";
}

std::string WorkNotes(const v1::Receipt& receipt) {
  std::string out =
      absl::StrCat(AmountOfWork(receipt.work()), LinkNote(receipt), RowMoveNote(receipt),
                   ContendedNote(receipt), UnderVoltageNote(receipt));
  if (!receipt.engine_version().empty()) {
    absl::StrAppend(&out, "engine        ", Printable(receipt.engine_version()));
    if (receipt.threads() > 0) {
      absl::StrAppend(&out, ", ", receipt.threads(),
                      receipt.threads() == 1 ? " thread" : " threads");
    }
    if (receipt.peak_memory_bytes() > 0) {
      absl::StrAppend(&out, ", peak memory ", FormatBytes(receipt.peak_memory_bytes()));
    }
    absl::StrAppend(&out, "\n");
  }
  if (receipt.has_profile_point()) {
    absl::StrAppend(&out, "point         ", Printable(PointWords(receipt.profile_point())), ", ",
                    receipt.profile_point().steps(),
                    receipt.profile_point().steps() == 1 ? " step" : " steps",
                    receipt.profile_point().gain_percent() > 0
                        ? absl::StrFormat("; expected to narrow what is known by %.2g %%\n",
                                          receipt.profile_point().gain_percent())
                        : "; once more, because its first run was short\n");
  }
  if (receipt.has_model_choice()) {
    absl::StrAppend(&out, "model         ", Printable(receipt.model_choice().reason()), "\n");
  }
  if (receipt.restarts() > 0) {
    absl::StrAppend(
        &out, "restarts      ", receipt.restarts(),
        receipt.resumed_from_step() > 0 ? ", resumed from a checkpoint\n" : ", began anew\n");
  }
  if (receipt.lost_run_seconds() > 0) {
    absl::StrAppend(&out, "lost work     ",
                    FormatElapsed(absl::Seconds(receipt.lost_run_seconds())),
                    " of the run, cut off after a checkpoint and done again\n");
  }
  if (receipt.checkpoint_interval_seconds() > 0) {
    absl::StrAppend(&out, "checkpoints   one about every ",
                    FormatElapsed(absl::Seconds(receipt.checkpoint_interval_seconds())), ", ",
                    FormatBytes(receipt.checkpoint_bytes()), " in all\n");
  }
  if (receipt.numerically_continued()) {
    absl::StrAppend(&out,
                    "resume        numerically continued: a checkpoint was of another build, "
                    "library, processor or thread count\n");
  }
  return out;
}

// The attempts that left a device for another job's deadline, or for a gain.
std::string ReleaseNotes(const v1::Job& job, const v1::Attempt& attempt) {
  std::string out;
  for (const std::string& released : attempt.released_attempt_ids()) {
    absl::StrAppend(&out, Printable(released), " left a device for this job's deadline\n");
  }
  for (const v1::Attempt& before : job.attempts()) {
    if (before.attempt_id() == attempt.attempt_id()) {
      break;
    }
    if (!before.released_for_job_id().empty() || before.released_for_gain()) {
      absl::StrAppend(&out, Printable(before.attempt_id()), " ", Printable(before.reason()),
                      before.reached_step() > 0
                          ? absl::StrCat("; the job went on behind step ", before.reached_step())
                          : "",
                      "\n");
    }
  }
  return out;
}

std::string MetricNotes(const v1::Receipt& receipt, const TextStyle& style) {
  if (receipt.metrics().empty()) {
    return "";
  }
  Table table({{"metric"}, {"value", Align::kRight}});
  for (const v1::Metric& metric : receipt.metrics()) {
    const bool is_count = std::trunc(metric.value()) == metric.value();
    table.AddRow({metric.name(), is_count ? absl::StrFormat("%.0f", metric.value())
                                          : absl::StrFormat("%.6g", metric.value())});
  }
  return absl::StrCat("\n", table.Render(style));
}

}  // namespace

std::string RenderReceipts(const v1::Job& job, const TextStyle& style) {
  Table table({{"attempt"},
               {"state"},
               {"device"},
               {"device s", Align::kRight},
               {"energy", Align::kRight},
               {"missing at most", Align::kRight},
               {"why it ended", Align::kLeft, true}});
  int receipts = 0;
  for (const v1::Attempt& attempt : job.attempts()) {
    if (!attempt.has_receipt()) {
      continue;
    }
    ++receipts;
    const v1::EnergyMeasurement& total = attempt.receipt().total();
    table.AddRow({attempt.attempt_id(), Word(attempt.state()), AttemptDevice(attempt),
                  FormatSeconds(total.seconds()),
                  absl::StrCat(FormatEnergy(Joules(total.gross_energy_joules())), " ",
                               EvidenceWord(total.source(), attempt.receipt().emulated())),
                  total.missing_energy_joules() > 0.0
                      ? FormatEnergy(Joules(total.missing_energy_joules()))
                      : "",
                  attempt.reason()});
  }
  std::string out;
  if (receipts > 1) {
    out = absl::StrCat(job.job_id(), ": ", JobEnergyWords(job), "\n\n", table.Render(style), "\n");
  }
  return absl::StrCat(out, RenderReceipt(job, *LastReceipt(job), style));
}

const v1::Attempt* LastReceipt(const v1::Job& job) {
  for (int i = job.attempts_size(); i > 0; --i) {
    if (job.attempts(i - 1).has_receipt()) {
      return &job.attempts(i - 1);
    }
  }
  return nullptr;
}

std::string RenderReceipt(const v1::Job& job, const v1::Attempt& attempt, const TextStyle& style) {
  const v1::Receipt& receipt = attempt.receipt();
  std::string out = absl::StrCat(
      "receipt of ", attempt.attempt_id(), job.spec().name().empty() ? "" : ", ", job.spec().name(),
      ": ", KindName(job.spec()), " on ", AttemptDevice(attempt), ", ",
      DeviceClassWord(receipt.device_class(), receipt.emulated()),
      receipt.on_cpu() ? ", on its CPU" : "", receipt.power_mode().empty() ? "" : ", mode ",
      receipt.power_mode(), ", ", Word(attempt.state()));
  out = absl::StrCat(Printable(out), "\n");
  if (!receipt.failure_message().empty()) {
    absl::StrAppend(&out, "failed (", Word(receipt.failure_class()),
                    "): ", Printable(receipt.failure_message()), "\n");
  }
  out += ReleaseNotes(job, attempt);
  if (ScaleOf(receipt) != 1.0) {
    absl::StrAppend(&out, "time_scale ", FormatScale(ScaleOf(receipt)), ": 1 device s took ",
                    FormatScale(ScaleOf(receipt)),
                    " s of wall time; seconds, watts and joules are the emulated device's\n");
  }
  absl::StrAppend(&out, "\n", ComparisonTable(attempt).Render(style), "\n",
                  PhaseTable(receipt).Render(style), "\n", EnergyNotes(receipt), WorkNotes(receipt),
                  MetricNotes(receipt, style));
  return out;
}

}  // namespace wattle::cli
