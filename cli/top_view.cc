// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/top_view.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/job_view.h"
#include "cli/labels.h"
#include "cli/progress.h"
#include "cli/table.h"

#include "proto/job_summary.h"
#include "units/format.h"
#include "units/quantity.h"
#include "wattle/v1/service.pb.h"

namespace wattle::cli {
namespace {

constexpr int kBarWidth = 12;
constexpr int kWaitingShownMax = 8;  // limit of listed waiting jobs

// In narrow columns a mark replaces "emulated" or "modelled"; the screen's last line explains it.
std::string MarkedPower(const v1::Device& device) {
  if (PowerWords(device).empty()) {
    return "";
  }
  const bool measured = EvidenceWord(PowerSource(device), /*emulated=*/false) == "measured";
  return absl::StrCat(FormatPower(Watts(device.heartbeat().power_watts())), measured ? "" : " ~");
}

const v1::AttemptProgress* ProgressOf(const v1::Device& device) {
  for (const v1::AttemptProgress& progress : device.heartbeat().progress()) {
    if (progress.attempt_id() == device.running_attempt_id()) {
      return &progress;
    }
  }
  return nullptr;
}

double StepRatio(const v1::AttemptProgress& progress) {
  return static_cast<double>(progress.step()) / static_cast<double>(progress.steps_total());
}

// "train 42 %".
std::string StepWords(const v1::AttemptProgress& progress) {
  return progress.steps_total() > 0
             ? absl::StrCat(progress.phase(), " ", FormatPercent(Fraction(StepRatio(progress))))
             : progress.phase();
}

std::string StepBar(const v1::AttemptProgress& progress) {
  return progress.steps_total() > 0 ? RenderBar(StepRatio(progress), kBarWidth) : "";
}

std::string LeftWords(const v1::Device& device, const v1::AttemptProgress& progress) {
  if (progress.remaining_seconds() <= 0.0) {
    return "";
  }
  const double scale = device.info().time_scale() > 0.0 ? device.info().time_scale() : 1.0;
  return FormatElapsed(absl::Seconds(progress.remaining_seconds() * scale));
}

double OrderKey(const v1::Device& device, TopOrder order) {
  const v1::Heartbeat& heartbeat = device.heartbeat();
  switch (order) {
    case TopOrder::kPower:
      return PowerWords(device).empty() ? 1.0 : -heartbeat.power_watts();
    case TopOrder::kCharge:
      return heartbeat.has_battery() ? heartbeat.state_of_charge_ratio() : 2.0;
    case TopOrder::kName:
      break;
  }
  return 0.0;  // by name, the coordinator's own order
}

Table DeviceTable(const v1::ListDevicesResponse& devices, TopOrder order) {
  std::vector<const v1::Device*> rows;
  for (const v1::Device& device : devices.devices()) {
    rows.push_back(&device);
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const v1::Device* a, const v1::Device* b) {
    return OrderKey(*a, order) < OrderKey(*b, order);
  });
  Table table({{"device"},
               {"state"},
               {"power", Align::kRight},
               {"charge", Align::kRight},
               {"job"},
               {"progress"},
               {"left", Align::kRight},
               {"steps", Align::kLeft, false, true},
               {"loss", Align::kRight, false, true},
               {"tok/s", Align::kRight, false, true},
               {"°C", Align::kRight, false, true},
               {"class", Align::kLeft, false, true}});
  for (const v1::Device* device : rows) {
    const v1::Heartbeat& heartbeat = device->heartbeat();
    const v1::AttemptProgress* progress = ProgressOf(*device);
    const v1::AttemptProgress none;
    const v1::AttemptProgress& shown = progress == nullptr ? none : *progress;
    table.AddRow(
        {device->info().name(), DeviceStateWord(*device), MarkedPower(*device),
         ChargeWords(*device), DeviceJobWords(*device), StepWords(shown), LeftWords(*device, shown),
         StepBar(shown), shown.loss() != 0.0 ? absl::StrFormat("%.3f", shown.loss()) : "",
         shown.tokens_per_second() > 0.0 ? absl::StrFormat("%.0f", shown.tokens_per_second()) : "",
         heartbeat.has_temperature() ? absl::StrFormat("%.0f", heartbeat.temperature_celsius())
                                     : "",
         device->info().device_class()});
  }
  return table;
}

std::string Queue(const v1::ListJobsResponse& jobs, absl::Time now, const TextStyle& style) {
  Table table({{"waiting"},
               {"name", Align::kLeft, true},
               {"kind"},
               {"since"},
               {"why", Align::kLeft, true}});
  int more = 0;
  int shown = 0;
  std::vector<v1::JobSummary> rows(jobs.summaries().begin(), jobs.summaries().end());
  for (const v1::Job& job : jobs.jobs()) {
    rows.push_back(Summarize(job));
  }
  for (const v1::JobSummary& job : rows) {
    if (job.state() != v1::JOB_STATE_WAITING && job.state() != v1::JOB_STATE_QUEUED) {
      continue;  // the table of devices shows active jobs
    }
    if (shown == kWaitingShownMax) {
      ++more;
      continue;
    }
    ++shown;
    table.AddRow({job.job_id(), job.name(), job.kind(),
                  FormatAge(now, job.submitted_unix_seconds()), job.reason()});
  }
  if (shown == 0) {
    return "";
  }
  return absl::StrCat("\n", table.Render(style),
                      more > 0 ? absl::StrCat("and ", more, " more\n") : "");
}

std::string OrderWord(TopOrder order) {
  return order == TopOrder::kPower ? "power" : order == TopOrder::kCharge ? "charge" : "name";
}

}  // namespace

std::string RenderTop(const FleetAnswers& answers, const FleetSummary& summary,
                      const TopState& state, absl::Time now, const TextStyle& style) {
  std::vector<std::string> lines = {
      absl::StrCat("wattle top  ", FormatClock(absl::ToDoubleSeconds(now - absl::UnixEpoch())),
                   " UTC  ", DeviceCountWords(summary), state.paused ? "  (paused)" : ""),
      absl::StrCat("queue  ", QueueWords(summary))};
  const std::string power = PowerNowWords(summary);
  if (!power.empty()) {
    lines.back() += absl::StrCat("   now  ", power);
  }
  if (summary.today_known) {
    lines.push_back(absl::StrCat("today  ", TodayWords(summary), ": ", TodayPartsWords(summary)));
  }
  if (!summary.attention.empty()) {
    lines.push_back(absl::StrCat(
        "needs attention: ", summary.attention.front(),
        summary.attention.size() > 1
            ? absl::StrCat(" (and ", summary.attention.size() - 1, " more: wattle status)")
            : ""));
  }
  const auto width = static_cast<size_t>(std::max(style.width_columns, 0));
  std::string out;
  for (const std::string& line : lines) {
    absl::StrAppend(&out, width > 0 ? FitText(line, width) : line, "\n");
  }
  if (summary.devices > 0) {
    absl::StrAppend(&out, "\n", DeviceTable(answers.devices, state.order).Render(style));
    if (summary.devices_with_power > 0 && EvidenceWords(summary.power_sources) != "measured") {
      absl::StrAppend(&out, "~ emulated or modelled, not measured\n");
    }
  }
  absl::StrAppend(&out, Queue(answers.open_jobs, now, style));
  if (style.is_terminal) {
    absl::StrAppend(&out, "\nq quit  space pause  s sort by ", OrderWord(state.order), "\n");
  }
  return out;
}

}  // namespace wattle::cli
