// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/fleet_summary.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/job_view.h"
#include "cli/labels.h"
#include "cli/table.h"
#include "cli/upgrade_view.h"
#include <nlohmann/json.hpp>

#include "policy/guard_reason.h"
#include "proto/job_summary.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

constexpr double kRecentSeconds = 24.0 * 3600.0;  // an older failure needs no attention
constexpr size_t kSentenceColumnsMin = 20;        // lines are not broken on a narrower terminal

void AddDevice(const v1::Device& device, const v1::CoordinatorStatus& coordinator, absl::Time now,
               FleetSummary* summary) {
  const std::string name = Printable(device.info().name());
  const v1::Heartbeat& heartbeat = device.heartbeat();
  ++summary->devices;
  ++summary->devices_by_state[DeviceStateWord(device)];
  const bool here = device.connected() && !device.unreachable();
  if (here && !PowerWords(device).empty()) {
    summary->power_watts += heartbeat.power_watts();
    ++summary->devices_with_power;
    summary->power_sources.insert(PowerSource(device));
  }
  if (!device.problem().empty()) {  // it may be the reason why the board is away
    summary->attention.push_back(Printable(device.problem()));
  } else if (!device.connected() && !heartbeat.power_off_reason().empty()) {
    summary->attention.push_back(
        absl::StrCat(name, " switched itself off: ", Printable(heartbeat.power_off_reason())));
  } else if (!here) {
    summary->attention.push_back(absl::StrCat(
        name, " ", LastHeardWords(device, coordinator, now),
        ": look at its power and its link; if it left for good: wattle device rm ", name));
  }
  if (const std::string held = OwnerHoldWords(device); here && !held.empty()) {
    summary->attention.push_back(
        absl::StrCat(name, " is ", held, "; sooner: wattle-worker release on the board"));
  }
  if (here && !heartbeat.storage_problem().empty()) {
    summary->attention.push_back(
        absl::StrCat(name, " takes no work: ", Printable(heartbeat.storage_problem())));
  }
  if (here && !heartbeat.memory_problem().empty()) {
    summary->attention.push_back(
        absl::StrCat(name, " takes no work: ", Printable(heartbeat.memory_problem())));
  }
  if (here && policy::IsWeakSupply(heartbeat.guard_reason())) {
    summary->attention.push_back(
        absl::StrCat(name, " takes no work: ", Printable(heartbeat.guard_reason())));
  } else if (here && !heartbeat.guard_reason().empty()) {
    summary->attention.push_back(
        absl::StrCat(name, " is held by policy: ", Printable(heartbeat.guard_reason()),
                     "; the policies: wattle policy ls"));
  }
  if (!heartbeat.guard_warning().empty()) {
    summary->attention.push_back(absl::StrCat(name, ": ", Printable(heartbeat.guard_warning())));
  }
  if (device.drained()) {
    summary->attention.push_back(absl::StrCat(
        name, " is drained",
        device.drain_reason().empty() ? ""
                                      : absl::StrCat(" (", Printable(device.drain_reason()), ")"),
        ": back to work with wattle device resume ", name));
  }
}

void AddJob(const v1::JobSummary& job, absl::Time now, FleetSummary* summary) {
  if (!IsTerminal(job.state())) {
    ++summary->open_jobs_by_state[job.state()];
    return;
  }
  const double age_seconds =
      absl::ToDoubleSeconds(now - absl::UnixEpoch()) - job.finished_unix_seconds();
  if (job.state() == v1::JOB_STATE_FAILED && age_seconds < kRecentSeconds) {
    summary->attention.push_back(
        absl::StrCat(job.job_id(), " failed ", FormatAge(now, job.finished_unix_seconds()), ": ",
                     Printable(job.reason()), "; see wattle job ",
                     job.attempts() == 0 ? "show " : "logs ", job.job_id()));
  }
}

void AddJobs(const v1::ListJobsResponse& jobs, absl::Time now, FleetSummary* summary) {
  for (const v1::JobSummary& job : jobs.summaries()) {
    AddJob(job, now, summary);
  }
  for (const v1::Job& job : jobs.jobs()) {
    AddJob(Summarize(job), now, summary);
  }
}

void AddToday(const v1::EnergyReport& today, FleetSummary* summary) {
  summary->today_known = true;
  summary->today_attempt_joules = today.total().gross_energy_joules();
  if (today.total().has_ledger()) {
    summary->today_other_joules =
        today.total().idle_energy_joules() + today.total().overhead_energy_joules();
  }
  for (const int source : today.total().sources()) {
    summary->today_sources.insert(static_cast<v1::EnergySource>(source));
  }
}

}  // namespace

v1::EnergySource PowerSource(const v1::Device& device) {
  if (device.info().emulated()) {
    return v1::ENERGY_SOURCE_EMULATED;
  }
  return device.heartbeat().power_source() != v1::ENERGY_SOURCE_UNSPECIFIED
             ? device.heartbeat().power_source()
             : device.info().energy_source();
}

std::string RestoreWords(const v1::CoordinatorStatus& coordinator) {
  int lost = 0;
  for (const v1::RestoreFinding& finding : coordinator.restore_findings()) {
    lost += finding.recovered() ? 0 : 1;
  }
  if (lost == 0) {
    return "";
  }
  return absl::StrCat("the journal was restored on ",
                      FormatInstant(coordinator.restored_unix_seconds()), "; ", lost,
                      lost == 1 ? " attempt" : " attempts",
                      " of the time that the backup does not know ", lost == 1 ? "was" : "were",
                      " lost or done again: submit what is missing anew; the list: wattle doctor");
}

FleetSummary SummarizeFleet(const FleetAnswers& answers, absl::Time now) {
  FleetSummary summary;
  if (answers.coordinator) {
    summary.coordinator = absl::StrCat(answers.coordinator->version(), ", started ",
                                       FormatAge(now, answers.coordinator->started_unix_seconds()));
    if (std::string restored = RestoreWords(*answers.coordinator); !restored.empty()) {
      summary.attention.push_back(std::move(restored));
    }
  }
  if (answers.upgrade && answers.upgrade->state() == v1::UPGRADE_STATE_PAUSED) {
    summary.attention.push_back(
        absl::StrCat(UpgradeStateWords(*answers.upgrade), "; see wattle upgrade status"));
  }
  std::vector<std::pair<double, std::string>> charges;  // the lowest first
  std::map<std::string, int> names;
  for (const v1::Device& device : answers.devices.devices()) {
    AddDevice(device, answers.coordinator.value_or(v1::CoordinatorStatus()), now, &summary);
    ++names[device.info().name()];
    if (device.heartbeat().has_battery()) {
      charges.emplace_back(device.heartbeat().state_of_charge_ratio(),
                           absl::StrCat(Printable(device.info().name()), " ", ChargeWords(device)));
    }
  }
  std::sort(charges.begin(), charges.end());
  for (auto& [ratio, words] : charges) {
    summary.charges.push_back(std::move(words));
  }
  for (const auto& [name, count] : names) {
    if (count > 1) {
      summary.attention.push_back(
          absl::StrCat(Printable(name), " is the name of ", count,
                       " devices: start all but one of their workers with another --name"));
    }
  }
  AddJobs(answers.open_jobs, now, &summary);
  summary.more_open_jobs = !answers.open_jobs.next_page_token().empty();
  AddJobs(answers.failed_jobs, now, &summary);
  if (answers.today) {
    AddToday(*answers.today, &summary);
  }
  return summary;
}

std::string DeviceCountWords(const FleetSummary& summary) {
  std::vector<std::string> parts;
  for (const auto& [state, count] : summary.devices_by_state) {
    parts.push_back(absl::StrCat(count, " ", state));
  }
  return summary.devices == 0
             ? "no devices; start a worker with: wattle-worker --coordinator HOST:PORT"
             : absl::StrCat(summary.devices, summary.devices == 1 ? " device: " : " devices: ",
                            absl::StrJoin(parts, ", "));
}

std::string QueueWords(const FleetSummary& summary) {
  std::vector<std::string> parts;
  for (const v1::JobState state :
       {v1::JOB_STATE_ACTIVE, v1::JOB_STATE_QUEUED, v1::JOB_STATE_WAITING}) {
    const auto found = summary.open_jobs_by_state.find(state);
    if (found != summary.open_jobs_by_state.end()) {
      parts.push_back(absl::StrCat(found->second, " ", Word(state)));
    }
  }
  return parts.empty()
             ? "no open jobs"
             : absl::StrCat(absl::StrJoin(parts, ", "), summary.more_open_jobs ? " and more" : "");
}

std::string PowerNowWords(const FleetSummary& summary) {
  if (summary.devices_with_power == 0) {
    return "";
  }
  return absl::StrCat(FormatPower(Watts(summary.power_watts)), " ",
                      EvidenceWords(summary.power_sources),
                      summary.devices_with_power < summary.devices
                          ? absl::StrCat(" (", summary.devices_with_power, " of ", summary.devices,
                                         " devices tell it)")
                          : "");
}

std::string TodayWords(const FleetSummary& summary) {
  if (!summary.today_known) {
    return "";
  }
  return absl::StrCat(
      FormatEnergy(Joules(summary.today_attempt_joules + summary.today_other_joules)),
      summary.today_sources.empty() ? "" : " ", EvidenceWords(summary.today_sources));
}

std::string TodayPartsWords(const FleetSummary& summary) {
  return absl::StrCat(FormatEnergy(Joules(summary.today_attempt_joules)), " in ended attempts, ",
                      FormatEnergy(Joules(summary.today_other_joules)), " idle and overhead");
}

std::string RenderStatus(const FleetSummary& summary, const TextStyle& style) {
  std::string out;
  AppendField("coordinator", summary.coordinator, &out);
  AppendField("fleet", DeviceCountWords(summary), &out);
  AppendField("queue", QueueWords(summary), &out);
  AppendField("power now", summary.devices_with_power > 0 ? PowerNowWords(summary) : "-", &out);
  AppendField("today", summary.today_known ? TodayWords(summary) : "-", &out);
  AppendField("", summary.today_known ? TodayPartsWords(summary) : "", &out);
  AppendField("charge", absl::StrJoin(summary.charges, ", "), &out);
  if (summary.attention.empty()) {
    AppendField("attention", "nothing", &out);
  } else {
    absl::StrAppend(&out, "\nneeds attention\n");
    const auto width = static_cast<size_t>(std::max(style.width_columns, 0));
    for (const std::string& sentence : summary.attention) {
      const std::vector<std::string> lines = width < kSentenceColumnsMin
                                                 ? std::vector<std::string>{sentence}
                                                 : WrapText(sentence, width - 4);
      absl::StrAppend(&out, "  ", absl::StrJoin(lines, "\n    "), "\n");
    }
  }
  return out;
}

std::string StatusJson(const FleetSummary& summary) {
  nlohmann::ordered_json document;  // keeps the order of the code below
  document["devices_by_state"] = nlohmann::ordered_json::object();
  for (const auto& [state, count] : summary.devices_by_state) {
    document["devices_by_state"][state] = count;
  }
  document["open_jobs_by_state"] = nlohmann::ordered_json::object();
  for (const auto& [state, count] : summary.open_jobs_by_state) {
    document["open_jobs_by_state"][Word(state)] = count;
  }
  if (summary.devices_with_power > 0) {
    document["power_watts"] = summary.power_watts;
    document["power_is"] = EvidenceWords(summary.power_sources);
  }
  if (summary.today_known) {
    document["today_attempt_energy_joules"] = summary.today_attempt_joules;
    document["today_other_energy_joules"] = summary.today_other_joules;
    document["today_is"] = EvidenceWords(summary.today_sources);
  }
  document["attention"] = summary.attention;
  return document.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace wattle::cli
