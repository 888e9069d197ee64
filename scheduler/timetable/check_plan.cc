// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/check_plan.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"

#include "scheduler/timetable/draw_quantile.h"

namespace wattle::timetable {
namespace {

// A job with its place.
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

// Checks one entry by itself, and adds the job's place unless the job is left out.
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

std::optional<std::string> CheckDevice(const InstanceDevice& device,
                                       const std::vector<Placed>& placed) {
  for (const Placed& one : placed) {
    for (const Interval& closed : device.closed) {
      if (one.begin < closed.end && closed.begin < one.end) {
        return absl::StrCat("window: job ", one.job, " runs from ", one.begin, " to ", one.end,
                            ", and device ", one.device, " is closed from ", closed.begin, " to ",
                            closed.end);
      }
    }
    for (const Placed& other : placed) {
      if (one.job < other.job && one.begin < other.end && other.begin < one.end) {
        return absl::StrCat("overlap: jobs ", one.job, " and ", other.job, " run on device ",
                            one.device, " from ", one.begin, " and from ", other.begin);
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> CheckDevices(const Instance& instance,
                                        const std::vector<Placed>& placed) {
  std::vector<std::vector<Placed>> of_device(instance.devices.size());
  for (const Placed& one : placed) {
    of_device[static_cast<size_t>(one.device)].push_back(one);
  }
  for (size_t device = 0; device < of_device.size(); ++device) {
    if (std::optional<std::string> broken =
            CheckDevice(instance.devices[device], of_device[device])) {
      return broken;
    }
  }
  return std::nullopt;
}

// Compares each pair of jobs, independently of the planner's record of taken places.
std::optional<std::string> CheckAntiAffinity(const Instance& instance,
                                             const std::vector<Placed>& placed) {
  const auto group_of = [&](const Placed& one) {
    return instance.jobs[static_cast<size_t>(one.job)].group;
  };
  std::vector<Placed> grouped;
  std::copy_if(placed.begin(), placed.end(), std::back_inserter(grouped),
               [&](const Placed& one) { return group_of(one) != kBesideAny; });
  for (const Placed& one : grouped) {
    for (const Placed& other : grouped) {
      if (one.job >= other.job || group_of(one) != group_of(other)) {
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

// A time in which all rates are constant, with the total draw of its runs.
struct Stretch {
  Seconds begin = 0;
  Seconds end = 0;
  Milliwatts work = 0;
  Milliwatts deviation = 0;
  Milliwatts pausable = 0;  // The draw of runs that rest at the needed charge.
  Milliwatts pausable_deviation = 0;
  Millijoules at_start = 0;
  Millijoules needed = 0;      // The floor plus the charge that the runs' guards hold back.
  std::vector<size_t> runs{};  // The runs that are not pausable.
};

// The work of one pack.
struct PackRuns {
  std::vector<Placed> runs;
  size_t settled = 0;  // The settled runs come first and are cut at the horizon here.
};

std::vector<Stretch> StretchesOf(const PackSpec& pack, const std::vector<Placed>& runs) {
  std::set<Seconds> moments = {pack.now};
  Seconds last = pack.now;
  for (const Placed& run : runs) {
    moments.insert({run.begin, run.end});
    last = std::max(last, run.end);
  }
  for (Seconds hour = pack.first_hour; hour < last; hour += kHour) {
    moments.insert(hour);
  }
  for (const FloorStep& step : pack.floor) {
    moments.insert(step.from);
  }
  // Runs that began earlier count only from now on, because the charge is the present one.
  moments.erase(moments.begin(), moments.lower_bound(pack.now));
  moments.erase(moments.upper_bound(last), moments.end());
  std::vector<Stretch> stretches;
  for (auto next = moments.begin(); std::next(next) != moments.end(); ++next) {
    Stretch& one = stretches.emplace_back(Stretch{.begin = *next, .end = *std::next(next)});
    for (const FloorStep& step : pack.floor) {
      one.needed = step.from <= one.begin ? step.charge : one.needed;
    }
    for (size_t run = 0; run < runs.size(); ++run) {
      if (runs[run].begin <= one.begin && one.end <= runs[run].end) {
        const Draw& draw = runs[run].draw;
        one.needed += draw.held_back;
        one.at_start += runs[run].begin == one.begin ? draw.at_start : 0;
        if (draw.pausable) {
          one.pausable += draw.power;
          one.pausable_deviation += draw.deviation;
        } else {
          one.work += draw.power;
          one.deviation += draw.deviation;
          one.runs.push_back(run);
        }
      }
    }
  }
  return stretches;
}

// The charge after a stretch in which `pausable` runs while the charge is above the needed one. The
// function advances from one crossing of the needed charge to the next.
Millijoules BehindPausable(const Stretch& on, Millijoules charge, Milliwatts net,
                           Milliwatts pausable, Millijoules capacity) {
  for (Seconds left = on.end - on.begin; left > 0;) {
    Milliwatts rate = net;
    if (charge > on.needed) {
      rate -= pausable;
    } else if (charge == on.needed && net > 0 && charge <= capacity) {
      rate = std::max<Milliwatts>(0, net - pausable);
    }
    const Millijoules to_needed = on.needed - charge;
    const bool crosses = (to_needed < 0 && rate < 0) || (to_needed > 0 && rate > 0);
    const Seconds until = crosses ? std::min(left, to_needed / rate) : left;
    // At the needed charge the rate changes, so the step ends exactly there.
    const bool arrives = crosses && until < left && on.needed <= capacity;
    charge = arrives ? on.needed : std::clamp<Millijoules>(charge + rate * until, 0, capacity);
    left -= arrives ? until : left;
  }
  return charge;
}

// The broken floors of a pack's runs in one path.
struct Broken {
  std::set<size_t> runs{};  // The runs with less charge than they must leave.
  Seconds first = 0;
};

Broken BrokenIn(const PackSpec& pack, size_t path, const std::vector<Stretch>& stretches) {
  Broken broken;
  Millijoules charge = pack.charge;
  // If runs overlap, each run's part of a path's quantile is rounded to whole milliwatts, so the
  // sum may be off by the roundings.
  Millijoules rounding = 0;
  for (const Stretch& on : stretches) {
    const auto hour = static_cast<size_t>((on.begin - pack.first_hour) / kHour);
    const auto drawn_by = [path](Milliwatts mean, Milliwatts deviation) {
      return std::max<Milliwatts>(0, mean + deviation * DrawQuantileOf(path) / 1000);
    };
    const Milliwatts net = pack.harvest[path][hour] - pack.idle - drawn_by(on.work, on.deviation);
    charge -= on.at_start;
    rounding += on.runs.size() > 1 && on.deviation > 0 ? on.end - on.begin : 0;
    const Milliwatts pausable = drawn_by(on.pausable, on.pausable_deviation);
    const Millijoules after = pausable > 0
                                  ? BehindPausable(on, charge, net, pausable, pack.capacity)
                                  : charge + net * (on.end - on.begin);
    if (!on.runs.empty() && std::min(charge, after) < on.needed - rounding) {
      broken.first =
          broken.runs.empty() ? (charge < on.needed - rounding ? on.begin : on.end) : broken.first;
      broken.runs.insert(on.runs.begin(), on.runs.end());
    }
    charge = std::max<Millijoules>(0, std::min(after, pack.capacity));
  }
  return broken;
}

std::vector<Broken> BrokenInEach(const PackSpec& pack, const std::vector<Placed>& runs) {
  const std::vector<Stretch> stretches = StretchesOf(pack, runs);
  std::vector<Broken> paths;
  for (size_t path = 0; path < pack.harvest.size(); ++path) {
    paths.push_back(BrokenIn(pack, path, stretches));
  }
  return paths;
}

std::string FloorText(size_t pack, const PackSpec& spec, int broken, Seconds first) {
  return absl::StrCat("floor: pack ", pack, " is below its floor in ", broken, " of ",
                      spec.harvest.size(), " paths, first at ", first, "; allowed are ",
                      spec.broken_paths_max);
}

// For a pack whose settled work by itself breaks the floor in too many paths. A plan may not break
// a settled run's floor in a path in which that run keeps it, and each planned run counts by
// itself.
std::optional<std::string> CheckBesideBroken(size_t pack, const PackSpec& spec,
                                             const PackRuns& work,
                                             const std::vector<Broken>& alone) {
  const std::vector<Broken> paths = BrokenInEach(spec, work.runs);
  std::vector<int> of_run(work.runs.size(), 0);
  for (size_t path = 0; path < paths.size(); ++path) {
    for (const size_t run : paths[path].runs) {
      ++of_run[run];
      if (run < work.settled && !alone[path].runs.contains(run)) {
        return absl::StrCat("floor: in path ", path, " pack ", pack, " falls at ",
                            paths[path].first, " below the floor of a run that goes on");
      }
      if (run >= work.settled && of_run[run] > spec.broken_paths_max) {
        return absl::StrCat("job ", work.runs[run].job, ": ",
                            FloorText(pack, spec, of_run[run], paths[path].first));
      }
    }
  }
  return std::nullopt;
}

PackRuns SettledOn(const Instance& instance, size_t pack, Seconds horizon) {
  PackRuns work;
  for (const SettledRun& run : instance.settled) {
    if (run.pack == static_cast<int>(pack) && run.begin < horizon) {
      const Seconds end = std::min(run.begin + run.draw.length, horizon);
      work.runs.push_back(
          {.job = -1, .device = -1, .begin = run.begin, .end = end, .draw = run.draw});
    }
  }
  work.settled = work.runs.size();
  return work;
}

std::optional<std::string> CheckFloor(const Instance& instance, size_t pack,
                                      const std::vector<Placed>& placed) {
  const PackSpec& spec = instance.packs[pack];
  const Seconds horizon =
      spec.first_hour + kHour * static_cast<Seconds>(spec.harvest.front().size());
  PackRuns work = SettledOn(instance, pack, horizon);
  const std::vector<Placed> settled = work.runs;
  for (const Placed& one : placed) {
    if (instance.devices[static_cast<size_t>(one.device)].pack == static_cast<int>(pack)) {
      work.runs.push_back(one);
      if (one.begin < spec.now || one.end > horizon) {
        return absl::StrCat("floor: job ", one.job, " runs from ", one.begin, " to ", one.end,
                            ", and the sun of pack ", pack, " is told from ", spec.now, " to ",
                            horizon);
      }
    }
  }
  if (work.runs.size() == work.settled) {
    return std::nullopt;
  }
  const auto is_broken = [](const Broken& path) { return !path.runs.empty(); };
  const std::vector<Broken> alone =
      settled.empty() ? std::vector<Broken>() : BrokenInEach(spec, settled);
  // A plan cannot be blamed for paths that settled work breaks by itself.
  if (std::count_if(alone.begin(), alone.end(), is_broken) > spec.broken_paths_max) {
    return CheckBesideBroken(pack, spec, work, alone);
  }
  const std::vector<Broken> paths = BrokenInEach(spec, work.runs);
  const auto broken = static_cast<int>(std::count_if(paths.begin(), paths.end(), is_broken));
  if (broken <= spec.broken_paths_max) {
    return std::nullopt;
  }
  Seconds first = horizon;
  for (const Broken& path : paths) {
    first = is_broken(path) ? std::min(first, path.first) : first;
  }
  return FloorText(pack, spec, broken, first);
}

// The sum grows only where a run begins, planned or settled.
std::optional<std::string> CheckCap(const Instance& instance, size_t supply,
                                    const std::vector<Placed>& placed) {
  const SupplySpec& spec = instance.supplies[supply];
  const auto is_member = [&](const Placed& one) {
    return instance.devices[static_cast<size_t>(one.device)].supply == static_cast<int>(supply);
  };
  std::set<Seconds> moments;
  for (const Placed& one : placed) {
    if (is_member(one)) {
      moments.insert(one.begin);
    }
  }
  if (moments.empty()) {
    return std::nullopt;
  }
  for (const SettledRun& run : instance.settled) {
    if (run.supply == static_cast<int>(supply)) {
      moments.insert(run.begin);
    }
  }
  for (const Seconds moment : moments) {
    Milliwatts sum = spec.idle;
    const Placed* planned = nullptr;  // The last planned run to begin among those that draw then.
    for (const Placed& one : placed) {
      if (is_member(one) && one.begin <= moment && moment < one.end) {
        sum += one.draw.power;
        planned = planned == nullptr || planned->begin <= one.begin ? &one : planned;
      }
    }
    for (const SettledRun& run : instance.settled) {
      const bool draws = run.supply == static_cast<int>(supply) && run.begin <= moment &&
                         moment < run.begin + run.draw.length;
      sum += draws ? run.draw.power : 0;
    }
    if (planned != nullptr && sum > spec.cap) {
      return absl::StrCat("power_cap: the boards of supply ", supply, " draw ", sum, " mW at ",
                          moment, ", while job ", planned->job, " runs; its cap is ", spec.cap);
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
  if (std::optional<std::string> broken = CheckAntiAffinity(instance, placed)) {
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
