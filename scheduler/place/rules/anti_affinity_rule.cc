// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Refuses a device if it, or another one with the same value of the group's label, has a job of the
// same group.
#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "scheduler/place/rules/anti_affinity.h"
#include "scheduler/place/rules/rule.h"

namespace wattle::scheduler {
namespace {

std::string GroupWords(const v1::Apart& apart) {
  return absl::StrCat("its group ", apart.group());
}

// " runs here", " has succeeded on nano-2, which has the same site"
std::string HoldWords(const DeviceEvaluation& on, const AntiAffinityHold& hold) {
  const v1::DeviceInfo& device = on.snapshot.devices[hold.device].device.info();
  const bool here = device.device_id() == on.device.device.info().device_id();
  const std::string where =
      here ? "it" : absl::StrCat(device.name(), ", which has the same ", on.job.spec.apart().by());
  switch (hold.how) {
    case AntiAffinityHold::How::kPlanned:
      return absl::StrCat(" is planned on ", where);
    case AntiAffinityHold::How::kSucceeded:
      return absl::StrCat(" has succeeded on ", where);
    case AntiAffinityHold::How::kOpen:
      break;
  }
  return absl::StrCat(" runs or waits on ", where);
}

// The places that the group needs, if there are fewer; "" if there are enough, or they were not
// counted.
std::string TooFewWords(const DeviceEvaluation& on, const std::string& key) {
  const auto group = on.snapshot.anti_affinity.find(key);
  if (group == on.snapshot.anti_affinity.end()) {
    return "";
  }
  const size_t jobs = group->second.jobs.size() + (group->second.jobs.contains(on.job.id) ? 0 : 1);
  const size_t places = group->second.places;
  if (jobs <= places) {
    return "";
  }
  const std::string& by = on.job.spec.apart().by();
  return absl::StrCat("; the group has ", jobs, " jobs, and the fleet ", places,
                      by.empty() ? " boards" : absl::StrCat(" values of the label ", by));
}

std::optional<Refusal> CheckAntiAffinity(const DeviceEvaluation& on) {
  const v1::JobSpec& spec = on.job.spec;
  if (!spec.has_apart()) {
    return std::nullopt;
  }
  if (!PlaceFor(spec.apart(), on.device.device.info()).has_value()) {
    return Refuse(
        on,
        [&] {
          return absl::StrCat("lacks the label ", spec.apart().by(), ", by which ",
                              GroupWords(spec.apart()), " is apart; feasible with it");
        },
        true);
  }
  const std::string key = AntiAffinityGroupOf(spec);
  const auto hold = std::find_if(
      on.load->anti_affinity.begin(), on.load->anti_affinity.end(),
      [&](const AntiAffinityHold& one) { return one.group == key && one.job != on.job.id; });
  if (hold == on.load->anti_affinity.end()) {
    return std::nullopt;
  }
  const std::string too_few = TooFewWords(on, key);
  return Refuse(
      on,
      [&] {
        return absl::StrCat(hold->job.value(), " of ", GroupWords(spec.apart()),
                            HoldWords(on, *hold), too_few, "; feasible once ", hold->job.value(),
                            hold->how == AntiAffinityHold::How::kSucceeded
                                ? " is in the history"
                                : " has ended without a result");
      },
      /*permanent=*/!too_few.empty());
}

}  // namespace

extern const Rule kAntiAffinityRule = {"apart", RuleScope::kLoad, CheckAntiAffinity};

}  // namespace wattle::scheduler
