// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fleet in a few numbers, and the problems that need a person. Pure; thread-safe.
#ifndef WATTLE_CLI_FLEET_SUMMARY_H_
#define WATTLE_CLI_FLEET_SUMMARY_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/service.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::cli {

// The answers for an overview. A list of jobs holds summaries or whole jobs, whichever the
// coordinator returned.
struct FleetAnswers {
  v1::ListDevicesResponse devices;
  v1::ListJobsResponse open_jobs;
  v1::ListJobsResponse failed_jobs;  // only the latest few
  // Absent if an older coordinator does not support the call.
  std::optional<v1::CoordinatorStatus> coordinator;
  std::optional<v1::EnergyReport> today;  // since midnight (UTC), by day
  std::optional<v1::Upgrade> upgrade;     // the latest, if there was one
};

struct FleetSummary {
  std::string coordinator;                      // "0.1.0, started 2 h ago"
  std::map<std::string, int> devices_by_state;  // "idle", "busy" …: the words of `wattle devices`
  std::map<v1::JobState, int> open_jobs_by_state;  // Waiting, queued, active.
  bool more_open_jobs = false;                     // more jobs are open than were listed
  int devices = 0;
  double power_watts = 0.0;  // Sum over the devices that report their power.
  int devices_with_power = 0;
  std::set<v1::EnergySource> power_sources;
  double today_attempt_joules = 0.0;
  double today_other_joules = 0.0;  // idle and overhead
  bool today_known = false;
  std::set<v1::EnergySource> today_sources;
  std::vector<std::string> charges;    // "nano-1 83 ± 7 %", lowest first.
  std::vector<std::string> attention;  // one sentence with a remedy each
};

FleetSummary SummarizeFleet(const FleetAnswers& answers, absl::Time now);

// One sentence about what a restored journal lost and what to do. "" if nothing was lost or the
// journal was never restored.
std::string RestoreWords(const v1::CoordinatorStatus& coordinator);

// The source of the device's watts: "measured", "modelled", or "emulated" for an emulated device.
v1::EnergySource PowerSource(const v1::Device& device);

// "3 devices: 1 busy, 2 idle".
std::string DeviceCountWords(const FleetSummary& summary);
// "1 active, 2 queued"; "no open jobs".
std::string QueueWords(const FleetSummary& summary);
// "21.30 W emulated"; "3.10 W measured (2 of 3 devices report it)"; "" if no device reports its
// power.
std::string PowerNowWords(const FleetSummary& summary);
// "12.40 Wh emulated"; "" if unknown.
std::string TodayWords(const FleetSummary& summary);
// "10.10 Wh in ended attempts, 2.30 Wh idle and overhead".
std::string TodayPartsWords(const FleetSummary& summary);

// The output of `wattle status`.
std::string RenderStatus(const FleetSummary& summary, const TextStyle& style);
// The summary for scripts, as plain JSON.
std::string StatusJson(const FleetSummary& summary);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_FLEET_SUMMARY_H_
