// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/check_plan.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"

namespace wattle::timetable {
namespace {

// A job in its place.
struct Placed {
  int job = 0;
  int device = 0;
  Seconds begin = 0;
  Seconds end = 0;
  Draw draw{};
};

std::optional<std::string> CheckMissing(const Instance& instance, absl::Span<const Planned> plan) {
  std::vector<int> entries(instance.jobs.size(), 0);
  for (const Planned& planned : plan) {
    if (planned.job < 0 || static_cast<size_t>(planned.job) >= entries.size()) {
      return absl::StrCat("missing: there is no job ", planned.job);
    }
    entries[static_cast<size_t>(planned.job)] += 1;
  }
  for (size_t job = 0; job < entries.size(); ++job) {
    if (entries[job] != 1) {
      return absl::StrCat("missing: job ", job, " has ", entries[job], " entries, not 1");
    }
  }
  return std::nullopt;
}

const JobOption* FindOption(const InstanceJob& job, const Planned& planned) {
  for (const JobOption& option : job.options) {
    if (option.device == planned.device && option.mode == planned.mode) {
      return &option;
    }
  }
  return nullptr;
}

// Checks one entry alone, and adds the job's place unless it is left out.
std::optional<std::string> CheckEntry(const Instance& instance, const Planned& planned,
                                      std::vector<Placed>& placed) {
  const InstanceJob& job = instance.jobs[static_cast<size_t>(planned.job)];
  if (planned.device == Planned::kLeftOut) {
    return planned.in_time
               ? std::optional<std::string>(absl::StrCat("deadline: job ", planned.job,
                                                         " never runs, and claims to be in time"))
               : std::nullopt;
  }
  const JobOption* const option = FindOption(job, planned);
  if (option == nullptr) {
    return absl::StrCat("option: job ", planned.job, " cannot run on device ", planned.device,
                        " in mode ", planned.mode);
  }
  if (planned.start < job.released) {
    return absl::StrCat("release: job ", planned.job, " starts at ", planned.start,
                        ", and is known from ", job.released);
  }
  if (job.latest_start && planned.start > *job.latest_start) {
    return absl::StrCat("release: job ", planned.job, " starts at ", planned.start,
                        ", and must by ", *job.latest_start);
  }
  const Seconds end = planned.start + option->draw.length;
  const bool in_time = !job.deadline || end <= *job.deadline;
  if (in_time != planned.in_time) {
    return absl::StrCat("deadline: job ", planned.job, " ends at ", end, ", its deadline is ",
                        job.deadline.value_or(-1), ", and the plan claims ",
                        planned.in_time ? "in time" : "late");
  }
  placed.push_back({planned.job, planned.device, planned.start, end, option->draw});
  return std::nullopt;
}

std::optional<std::string> CheckDevices(const Instance& instance,
                                        const std::vector<Placed>& placed) {
  for (const Placed& one : placed) {
    for (const Interval& closed : instance.devices[static_cast<size_t>(one.device)].closed) {
      if (one.begin < closed.end && closed.begin < one.end) {
        return absl::StrCat("window: job ", one.job, " runs from ", one.begin, " to ", one.end,
                            ", and device ", one.device, " is closed from ", closed.begin, " to ",
                            closed.end);
      }
    }
    for (const Placed& other : placed) {
      if (one.job < other.job && one.device == other.device && one.begin < other.end &&
          other.begin < one.end) {
        return absl::StrCat("overlap: jobs ", one.job, " and ", other.job, " run on device ",
                            one.device, " from ", one.begin, " and from ", other.begin);
      }
    }
  }
  return std::nullopt;
}

// Each pair of jobs, without what the planner knows of places that are taken.
std::optional<std::string> CheckApart(const Instance& instance, const std::vector<Placed>& placed) {
  const auto group_of = [&](const Placed& one) {
    return instance.jobs[static_cast<size_t>(one.job)].group;
  };
  for (const Placed& one : placed) {
    for (const Placed& other : placed) {
      if (one.job >= other.job || group_of(one) == kBesideAny || group_of(one) != group_of(other)) {
        continue;
      }
      const std::vector<int>& places = instance.groups[static_cast<size_t>(group_of(one))].places;
      if (places[static_cast<size_t>(one.device)] == places[static_cast<size_t>(other.device)]) {
        return absl::StrCat("apart: jobs ", one.job, " and ", other.job, " of group ",
                            group_of(one), " run on devices ", one.device, " and ", other.device,
                            ", which are one place");
      }
    }
  }
  return std::nullopt;
}

// All moments at which a rate can change, from now to the end of the last run.
std::set<Seconds> Moments(const PackSpec& pack, const std::vector<Placed>& runs) {
  std::set<Seconds> moments = {pack.now};
  Seconds end = pack.now;
  for (const Placed& run : runs) {
    moments.insert(run.begin);
    moments.insert(run.end);
    end = std::max(end, run.end);
  }
  for (Seconds hour = pack.first_hour; hour < end; hour += kHour) {
    moments.insert(hour);
  }
  for (const FloorStep& step : pack.floor) {
    moments.insert(step.from);
  }
  moments.erase(moments.begin(), moments.lower_bound(pack.now));
  moments.erase(moments.upper_bound(end), moments.end());
  return moments;
}

// The first moment at which work has less than it must leave; nullopt: the path keeps the floor.
std::optional<Seconds> BreaksAt(const PackSpec& pack, const std::vector<Milliwatts>& harvest,
                                const std::vector<Placed>& runs) {
  const std::set<Seconds> moments = Moments(pack, runs);
  Millijoules charge = pack.charge;
  for (auto next = moments.begin(); std::next(next) != moments.end(); ++next) {
    const Seconds begin = *next;
    const Seconds end = *std::next(next);
    Millijoules floor = 0;
    for (const FloorStep& step : pack.floor) {
      floor = step.from <= begin ? step.charge : floor;
    }
    Milliwatts power = harvest[static_cast<size_t>((begin - pack.first_hour) / kHour)] - pack.idle;
    bool works = false;
    for (const Placed& run : runs) {
      if (run.begin <= begin && end <= run.end) {
        works = true;
        power -= run.draw.power;
        floor += run.draw.held_back;
        charge -= run.begin == begin ? run.draw.at_start : 0;
      }
    }
    const Millijoules after = charge + power * (end - begin);
    if (works && (charge < floor || after < floor)) {
      return charge < floor ? begin : end;
    }
    charge = std::max<Millijoules>(0, std::min(after, pack.capacity));
  }
  return std::nullopt;
}

std::optional<std::string> CheckFloor(const Instance& instance, size_t pack,
                                      const std::vector<Placed>& placed) {
  const PackSpec& spec = instance.packs[pack];
  const Seconds horizon =
      spec.first_hour + kHour * static_cast<Seconds>(spec.harvest.front().size());
  std::vector<Placed> runs;
  for (const Placed& one : placed) {
    if (instance.devices[static_cast<size_t>(one.device)].pack == static_cast<int>(pack)) {
      runs.push_back(one);
      if (one.begin < spec.now || one.end > horizon) {
        return absl::StrCat("floor: job ", one.job, " runs from ", one.begin, " to ", one.end,
                            ", and the sun of pack ", pack, " is told from ", spec.now, " to ",
                            horizon);
      }
    }
  }
  int broken = 0;
  std::optional<Seconds> first;
  for (const std::vector<Milliwatts>& harvest : spec.harvest) {
    if (const std::optional<Seconds> at = BreaksAt(spec, harvest, runs)) {
      broken += 1;
      first = first ? std::min(*first, *at) : *at;
    }
  }
  if (broken > spec.broken_paths_max) {
    return absl::StrCat("floor: pack ", pack, " is below its floor in ", broken, " of ",
                        spec.harvest.size(), " paths, first at ", *first, "; allowed are ",
                        spec.broken_paths_max);
  }
  return std::nullopt;
}

// The sum grows only where a run begins.
std::optional<std::string> CheckCap(const Instance& instance, size_t supply,
                                    const std::vector<Placed>& placed) {
  const SupplySpec& spec = instance.supplies[supply];
  const auto is_member = [&](const Placed& one) {
    return instance.devices[static_cast<size_t>(one.device)].supply == static_cast<int>(supply);
  };
  for (const Placed& at : placed) {
    Milliwatts sum = spec.idle;
    for (const Placed& one : placed) {
      sum += is_member(one) && one.begin <= at.begin && at.begin < one.end ? one.draw.power : 0;
    }
    if (is_member(at) && sum > spec.cap) {
      return absl::StrCat("power_cap: the boards of supply ", supply, " draw ", sum, " mW at ",
                          at.begin, ", when job ", at.job, " begins; its cap is ", spec.cap);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> CheckPlan(const Instance& instance, absl::Span<const Planned> plan) {
  if (std::optional<std::string> broken = CheckMissing(instance, plan)) {
    return broken;
  }
  std::vector<Placed> placed;
  for (const Planned& planned : plan) {
    if (std::optional<std::string> broken = CheckEntry(instance, planned, placed)) {
      return broken;
    }
  }
  if (std::optional<std::string> broken = CheckDevices(instance, placed)) {
    return broken;
  }
  if (std::optional<std::string> broken = CheckApart(instance, placed)) {
    return broken;
  }
  for (size_t pack = 0; pack < instance.packs.size(); ++pack) {
    if (std::optional<std::string> broken = CheckFloor(instance, pack, placed)) {
      return broken;
    }
  }
  for (size_t supply = 0; supply < instance.supplies.size(); ++supply) {
    if (std::optional<std::string> broken = CheckCap(instance, supply, placed)) {
      return broken;
    }
  }
  return std::nullopt;
}

}  // namespace wattle::timetable
