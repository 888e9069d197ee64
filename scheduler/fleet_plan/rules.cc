// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/rules.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "scheduler/timetable/earliest_start.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/timeline.h"

namespace wattle::fleet_plan {
namespace {

using timetable::JobOption;
using timetable::kHour;
using timetable::Pack;
using timetable::PackSpec;
using timetable::Timeline;

Verdict Never(int64_t wants, int64_t has) {
  return {.answer = Answer::kNever, .wants = wants, .has = has};
}

const Device& DeviceOf(const Question& question) {
  return question.fleet.devices[static_cast<size_t>(question.device)];
}

JobOption WayOf(const Question& question) {
  return WayOf(question.fleet, question.job, question.device, question.rate);
}

Seconds LatestEnd(const Question& question) {
  return std::min(question.job.deadline.value_or(question.fleet.end), question.fleet.end);
}

// The planner asks about the job again in an hour: the horizon then reaches an hour further, and
// the forecast is newer.
Verdict NotBeforeNextHour(const Question& question) {
  return {.answer = Answer::kNotNow, .until = (question.fleet.now / kHour + 1) * kHour};
}

Verdict CheckMemory(const Question& question) {
  const auto device_class = static_cast<size_t>(DeviceOf(question).device_class);
  const int64_t has = question.fleet.device_classes[device_class].memory_bytes;
  const int64_t wants = question.rate.peak_memory_bytes;
  return wants <= has ? Verdict{} : Never(wants, has);
}

std::string ExplainMemory(const Verdict& verdict) {
  constexpr double kMib = 1024.0 * 1024;
  return absl::StrFormat("needs %.0f MiB of memory, the device has %.0f",
                         static_cast<double>(verdict.wants) / kMib,
                         static_cast<double>(verdict.has) / kMib);
}

Verdict CheckLabels(const Question& question) {
  const auto work_class = static_cast<size_t>(question.job.work_class);
  const uint64_t wanted = question.fleet.work_classes[work_class].wanted_labels;
  const uint64_t missing = wanted & ~DeviceOf(question).labels;
  return missing == 0 ? Verdict{} : Never(std::popcount(wanted), std::popcount(wanted & ~missing));
}

std::string ExplainLabels(const Verdict& verdict) {
  return absl::StrCat("wants ", verdict.wants, " labels, the device has ", verdict.has, " of them");
}

Verdict CheckDeadline(const Question& question) {
  if (!question.job.deadline) {
    return {};
  }
  const Seconds wants = WayOf(question).draw.length;
  const Seconds has = *question.job.deadline - question.job.released;
  return wants <= has ? Verdict{} : Never(wants, has);
}

std::string ExplainDeadline(const Verdict& verdict) {
  return absl::StrCat("takes ", verdict.wants, " s, the deadline leaves ", verdict.has);
}

Timeline ClosedTimes(const Device& device) {
  Timeline timeline;
  for (const timetable::Interval& closed : device.closed) {
    timeline.Reserve({.begin = closed.begin, .end = closed.end, .job = -1});
  }
  return timeline;
}

Verdict CheckWorkWindows(const Question& question) {
  const Seconds length = WayOf(question).draw.length;
  const Seconds begin = ClosedTimes(DeviceOf(question)).EarliestGap(question.job.released, length);
  if (begin + length <= LatestEnd(question)) {
    return {};
  }
  return question.job.deadline && *question.job.deadline <= question.fleet.end
             ? Never(begin + length - question.job.released,
                     *question.job.deadline - question.job.released)
             : NotBeforeNextHour(question);
}

std::string ExplainWorkWindows(const Verdict& verdict) {
  return absl::StrCat("ends ", verdict.wants,
                      " s from its release on a device without other work, ",
                      "the deadline leaves ", verdict.has);
}

Verdict CheckPowerCap(const Question& question) {
  const int supply = DeviceOf(question).supply;
  if (supply == timetable::kNoCap) {
    return {};
  }
  const timetable::SupplySpec& spec = question.fleet.supplies[static_cast<size_t>(supply)];
  const Milliwatts wants = spec.idle + WayOf(question).draw.power;
  return wants <= spec.cap ? Verdict{} : Never(wants, spec.cap);
}

std::string ExplainPowerCap(const Verdict& verdict) {
  return absl::StrCat("the boards would draw ", verdict.wants, " mW, the cap is ", verdict.has);
}

// A run with a deadline has to fit into the forecast hours. A run without one may also wait for a
// full pack on a later day.
Verdict CheckBatteryReserve(const Question& question) {
  const Device& device = DeviceOf(question);
  if (device.pack == timetable::kMains) {
    return {};
  }
  const PackSpec& spec = question.fleet.packs[static_cast<size_t>(device.pack)];
  const Pack pack(spec);
  const JobOption way = WayOf(question);
  const Timeline timeline = ClosedTimes(device);
  const Seconds latest_end = LatestEnd(question);
  if (timetable::EarliestStart(timeline, {.pack = &pack}, way.draw, question.job.released,
                               latest_end)) {
    return {};
  }
  constexpr Seconds kDay = 24 * kHour;
  bool fits_when_full = false;
  for (Seconds begin = spec.now; begin < std::min(spec.now + kDay, pack.horizon());
       begin += kHour) {
    fits_when_full = fits_when_full || pack.FitsWhenFull(way.draw, begin);
  }
  const bool told = question.job.deadline && *question.job.deadline <= question.fleet.end;
  if (fits_when_full && !told) {
    return NotBeforeNextHour(question);
  }
  return Never(way.draw.power * way.draw.length, spec.capacity);
}

std::string ExplainBatteryReserve(const Verdict& verdict) {
  return absl::StrFormat(
      "draws %.1f Wh, and no start under the sun that is told keeps the reserve "
      "of a pack of %.1f Wh",
      static_cast<double>(verdict.wants) / 3.6e6, static_cast<double>(verdict.has) / 3.6e6);
}

}  // namespace

absl::Span<const Rule> Rules() {
  static constexpr Rule kRules[] = {
      {"memory", Scope::kClass, CheckMemory, ExplainMemory},
      {"labels", Scope::kDevice, CheckLabels, ExplainLabels},
      {"deadline", Scope::kTrajectory, CheckDeadline, ExplainDeadline},
      {"work_windows", Scope::kInstant, CheckWorkWindows, ExplainWorkWindows},
      {"power_cap", Scope::kTrajectory, CheckPowerCap, ExplainPowerCap},
      {"battery_reserve", Scope::kTrajectory, CheckBatteryReserve, ExplainBatteryReserve},
  };
  return kRules;
}

Verdict Check(const Question& question, Scope last) {
  const absl::Span<const Rule> rules = Rules();
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].scope > last) {
      continue;
    }
    Verdict verdict = rules[i].check(question);
    if (verdict.answer != Answer::kOk) {
      verdict.rule = static_cast<int>(i);
      return verdict;
    }
  }
  return {};
}

std::string Explain(const Verdict& verdict) {
  const Rule* const rule =
      verdict.rule == Verdict::kNoRule ? nullptr : &Rules()[static_cast<size_t>(verdict.rule)];
  switch (verdict.answer) {
    case Answer::kOk:
      return "ok";
    case Answer::kNotNow:
      return absl::StrCat(rule == nullptr ? "other jobs have their places there" : rule->name,
                          "; looked at again at ", verdict.until);
    case Answer::kNever:
      return rule == nullptr ? "the fleet has no device"
                             : absl::StrCat(rule->name, ": ", rule->explain(verdict));
  }
  return "";
}

}  // namespace wattle::fleet_plan
