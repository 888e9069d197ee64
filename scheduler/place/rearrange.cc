// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <utility>

#include "scheduler/place/device/objective.h"
#include "scheduler/place/rearrange_internal.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/improve.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::scheduler {
namespace {

using timetable::Millijoules;
using timetable::Seconds;

// Horizon of the search on devices without a pack.
constexpr Seconds kHorizon = Seconds{30} * 24 * timetable::kHour;
constexpr double kJoulesMax = 1e10;  // Beyond this, sums of millijoules could overflow.

Millijoules MillijoulesOf(double joules) {
  return static_cast<Millijoules>(std::llround(1000 * std::clamp(joules, 0.0, kJoulesMax)));
}

double RunSeconds(const RunStart& start) {
  return std::max(1.0, start.finish_in_seconds - start.start_in_seconds);
}

// The run takes its mean time but the joules of its upper quantile, which the pack must be able to
// supply.
timetable::Draw DrawInMeanTime(timetable::Draw upper, const RunStart& start) {
  const Seconds length = static_cast<Seconds>(std::ceil(RunSeconds(start)));
  upper.power = upper.power * upper.length / length;
  upper.length = length;
  return upper;
}

// The search visits a job's ways in the order of the boards' names.
std::vector<size_t> ByName(const Snapshot& snapshot, absl::Span<const size_t> devices) {
  std::vector<size_t> sorted(devices.begin(), devices.end());
  std::sort(sorted.begin(), sorted.end(), [&snapshot](size_t a, size_t b) {
    const auto name = [&snapshot](size_t i) {
      const v1::DeviceInfo& info = snapshot.devices[i].device.info();
      return std::tie(info.name(), info.device_id());
    };
    return name(a) < name(b);
  });
  return sorted;
}

}  // namespace

Rearrangement::Rearrangement(const Snapshot& snapshot, const FleetLoads& loads,
                             absl::Span<const size_t> devices)
    : snapshot_(&snapshot),
      fleet_(snapshot, loads, ByName(snapshot, devices)),
      patience_ratios_per_hour_(loads.size()) {
  fleet_.instance.end = absl::ToUnixSeconds(snapshot.now) + kHorizon;
  for (const size_t i : devices) {
    patience_ratios_per_hour_[i] =
        PatienceRatioPerHour(LimitsFor(snapshot.policies, snapshot.devices[i].device.info()));
  }
}

Rearrangement::Price Rearrangement::PriceFrom(size_t job, const RunStart& start) const {
  // Prices in millijoules make jobs of different objectives comparable.
  const Scale& scale = scales_[job];
  const double joules = start.marginal_joules;
  switch (ObjectiveOf(jobs_[job]->spec.objective()).objective) {
    case v1::OBJECTIVE_TIME:
      return {MillijoulesOf(scale.joules * RunSeconds(start) / scale.seconds),
              MillijoulesOf(scale.joules * timetable::kHour / scale.seconds)};
    case v1::OBJECTIVE_EDP: {
      const double waited = jobs_[job]->WaitedSeconds(snapshot_->now);
      return {MillijoulesOf(joules * (waited + RunSeconds(start)) / (waited + scale.seconds)),
              MillijoulesOf(joules * timetable::kHour / (waited + scale.seconds))};
    }
    default:
      return {MillijoulesOf(joules),
              MillijoulesOf(joules * patience_ratios_per_hour_[start.device])};
  }
}

Millijoules Rearrangement::PriceOf(size_t job, const RunStart& start) const {
  const Price price = PriceFrom(job, start);
  return price.now + static_cast<Millijoules>(static_cast<double>(price.per_hour) *
                                              start.start_in_seconds / timetable::kHour);
}

void Rearrangement::Add(const JobView& job, absl::Span<const Option* const> starts,
                        const std::optional<Promise>& promise) {
  // An unproven board is no way for a job that has proven ones.
  const bool known = std::any_of(starts.begin(), starts.end(), [](const Option* start) {
    return start != nullptr && !start->probe;
  });
  const auto counts = [known](const Option* start) {
    return start != nullptr && (!known || !start->probe);
  };
  Scale scale{.joules = kJoulesMax, .seconds = 1e12};
  for (const Option* start : starts) {
    if (counts(start)) {
      scale.joules = std::min(scale.joules, start->run.marginal_joules);
      scale.seconds = std::min(scale.seconds, RunSeconds(start->run));
    }
  }
  const size_t index = jobs_.size();
  jobs_.push_back(&job);
  scales_.push_back(scale);
  timetable::InstanceJob& plain = fleet_.instance.jobs.emplace_back();
  plain.released = absl::ToUnixSeconds(snapshot_->now);
  plain.group = fleet_.GroupOf(job.spec);
  if (promise.has_value()) {
    plain.latest_start =
        timetable::UnixSecondsUp(snapshot_->now + absl::Seconds(promise->latest_start));
    if (std::isfinite(promise->latest_finish)) {
      plain.deadline =
          timetable::UnixSecondsUp(snapshot_->now + absl::Seconds(promise->latest_finish));
    }
  }
  const policy::SpecSteps steps = policy::StepsOf(job.spec);
  for (size_t index_of_device = 0; index_of_device < fleet_.devices.size(); ++index_of_device) {
    const size_t device = fleet_.devices[index_of_device];
    if (!counts(starts[device])) {
      continue;
    }
    const std::optional<timetable::Draw> draw =
        DrawOf(snapshot_->devices[device].device, steps, *starts[device]->prediction);
    if (draw.has_value()) {
      const RunStart& start = starts[device]->run;
      const Price price = PriceFrom(index, start);
      plain.options.push_back({.device = static_cast<int>(index_of_device),
                               .draw = DrawInMeanTime(*draw, start),
                               .cost = price.now,
                               .cost_per_hour = price.per_hour});
    }
  }
  // The search skips a job's ways by their number, so the order must not depend on names.
  std::stable_sort(plain.options.begin(), plain.options.end(),
                   [](const timetable::JobOption& a, const timetable::JobOption& b) {
                     const auto rank = [](const timetable::JobOption& option) {
                       return std::make_tuple(option.cost, option.cost_per_hour, option.draw.length,
                                              option.draw.power);
                     };
                     return rank(a) < rank(b);
                   });
}

void Rearrangement::SetLeftOutPrices() {
  Millijoules dearest = 1;
  for (const timetable::InstanceJob& job : fleet_.instance.jobs) {
    for (const timetable::JobOption& option : job.options) {
      dearest = std::max(dearest, option.cost + option.cost_per_hour * 72);
    }
  }
  for (timetable::InstanceJob& job : fleet_.instance.jobs) {
    // Above the sum of all other prices, so the search leaves out as few jobs as possible.
    job.left_out_price = dearest * static_cast<Millijoules>(fleet_.instance.jobs.size() + 1);
  }
}

timetable::Schedule Rearrangement::InOrderOfAdd() const {
  timetable::Schedule schedule(fleet_.instance);
  for (size_t job = 0; job < jobs_.size(); ++job) {
    schedule.Insert(job);
  }
  return schedule;
}

timetable::Schedule Rearrangement::FromLatest(absl::Span<const Place> latest) const {
  timetable::Schedule schedule(fleet_.instance);
  for (const Place& place : latest) {
    const std::vector<timetable::JobOption>& options = fleet_.instance.jobs[place.job].options;
    uint64_t others = 0;
    for (size_t i = 0; i < std::min<size_t>(options.size(), 64); ++i) {
      const bool is_other = place.device.has_value() &&
                            fleet_.devices[static_cast<size_t>(options[i].device)] != *place.device;
      others |= uint64_t{is_other} << i;
    }
    schedule.Insert(place.job, others);
    // The former device may refuse the job by now.
    if (schedule.planned(place.job).device == timetable::Planned::kLeftOut) {
      schedule.Insert(place.job);
    }
  }
  return schedule;
}

Rearrangement::Answer Rearrangement::Search(const SearchEffort& effort,
                                            absl::Span<const Place> latest) {
  SetLeftOutPrices();
  timetable::Schedule begin = InOrderOfAdd();
  if (!latest.empty()) {
    if (timetable::Schedule other = FromLatest(latest); other.cost() < begin.cost()) {
      begin = std::move(other);
    }
  }
  const timetable::Schedule best = effort.improver(
      fleet_.instance, std::move(begin),
      {.moves = std::min(effort.moves_of_a_job * static_cast<int>(jobs_.size()), effort.moves_max),
       .seed = effort.seed});
  // The check shares no code with the search, so it finds errors of the search.
  if (std::optional<std::string> broken = timetable::CheckPlan(fleet_.instance, best.plan())) {
    return {.places = {}, .broken_rule = *std::move(broken)};
  }
  std::vector<Place> places;
  for (size_t job = 0; job < jobs_.size(); ++job) {
    const int device = best.planned(job).device;
    places.push_back({job, device == timetable::Planned::kLeftOut
                               ? std::nullopt
                               : std::optional(fleet_.devices[static_cast<size_t>(device)])});
  }
  std::stable_sort(places.begin(), places.end(), [&best](const Place& a, const Place& b) {
    const auto rank = [&best](const Place& place) {
      return std::make_pair(!place.device.has_value(), best.planned(place.job).start);
    };
    return rank(a) < rank(b);
  });
  return {.places = std::move(places), .price = best.cost()};
}

}  // namespace wattle::scheduler
