// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/device/work_resumes.h"

#include "absl/strings/str_cat.h"

#include "policy/limits.h"
#include "policy/schedule.h"
#include "scheduler/place/rules/selector.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

// A moment further away gets a date, because the time of day could mean another day.
constexpr absl::Duration kSameDay = absl::Hours(20);

void TakeLater(absl::Time at, const std::string& why, std::optional<WorkResumes>* latest) {
  if (!latest->has_value() || at > (*latest)->at) {
    *latest = WorkResumes{at, why};
  }
}

// When the windows next leave enough time for work and its stop; InfiniteFuture: never.
absl::Time WindowsOpen(const policy::Limits& limits, absl::Duration needed, absl::Time now) {
  const absl::Time opens = policy::OpensAt(limits.windows, now);
  if (opens == absl::InfiniteFuture()) {
    return opens;
  }
  const absl::Time closes = policy::ClosesAt(limits.windows, opens);
  return closes > opens + needed ? opens : policy::OpensAt(limits.windows, closes);
}

}  // namespace

std::optional<WorkResumes> WhenWorkResumes(const std::vector<v1::Policy>& policies,
                                           const v1::Device& device,
                                           const policy::StopEstimate& stop, absl::Time now) {
  const policy::Limits limits = LimitsFor(policies, device.info());
  std::optional<WorkResumes> latest;
  if (!limits.windows.empty()) {
    const double scale = device.info().time_scale() > 0 ? device.info().time_scale() : 1;
    const absl::Time opens = WindowsOpen(limits, scale * policy::StopLead(stop), now);
    if (opens > now && opens != absl::InfiniteFuture()) {
      TakeLater(opens,
                absl::StrCat("the window of policy ", limits.windows.front().policy, " opens"),
                &latest);
    }
  }
  if (limits.budget && device.heartbeat().has_budget_day() &&
      Joules(device.heartbeat().budget_day_energy_joules()) + policy::HeldBack(stop) >=
          limits.budget->per_day) {
    TakeLater(policy::DayEnds(*limits.budget, now),
              absl::StrCat("the day of policy ", limits.budget->policy, " ends"), &latest);
  }
  return latest;
}

std::string FormatMoment(absl::Time at, absl::Time now) {
  return absl::FormatTime(at - now < kSameDay ? "%H:%M UTC" : "%Y-%m-%d %H:%M UTC", at,
                          absl::UTCTimeZone());
}

}  // namespace wattle::scheduler
