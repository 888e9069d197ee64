// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "scheduler/place/apart.h"
#include "scheduler/place/objective.h"
#include "scheduler/place/rearrange_internal.h"
#include "scheduler/place/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/timetable/improve.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::scheduler {
namespace {

using timetable::Millijoules;
using timetable::Seconds;

// How far the search looks on devices without a pack.
constexpr Seconds kHorizon = Seconds{30} * 24 * timetable::kHour;
constexpr double kJoulesMax = 1e10;  // Beyond it sums of millijoules could overflow.

Millijoules MillijoulesOf(double joules) {
  return static_cast<Millijoules>(std::llround(1000 * std::clamp(joules, 0.0, kJoulesMax)));
}

double RunSeconds(const RunStart& start) {
  return std::max(1.0, start.finish_in_seconds - start.start_in_seconds);
}

// The run takes its mean time, and the joules of its upper quantile: the pack must bear them.
timetable::Draw DrawInMeanTime(timetable::Draw upper, const RunStart& start) {
  const Seconds length = static_cast<Seconds>(std::ceil(RunSeconds(start)));
  upper.power = upper.power * upper.length / length;
  upper.length = length;
  return upper;
}

// The index of what boards may share, which is copied once; nullopt: there is nothing.
template <typename Shared>
std::optional<int> IndexOf(const std::shared_ptr<const Shared>& shared,
                           std::map<const Shared*, int>& known, std::vector<Shared>& copies) {
  if (shared == nullptr) {
    return std::nullopt;
  }
  const auto [entry, is_new] = known.emplace(shared.get(), static_cast<int>(copies.size()));
  if (is_new) {
    copies.push_back(*shared);
  }
  return entry->second;
}

}  // namespace

RunStart RunStartOf(size_t device, const v1::Candidate& start) {
  return {.device = device,
          .start_in_seconds = start.start_in_seconds(),
          .finish_in_seconds = start.finish_in_seconds(),
          .marginal_joules = start.marginal_energy_joules()};
}

bool EndCounts(const v1::JobSpec& spec) {
  return spec.objective() == v1::OBJECTIVE_TIME || spec.deadline_seconds() > 0;
}

Rearrangement::Rearrangement(const Snapshot& snapshot, const std::vector<DeviceLoad>& loads,
                             absl::Span<const size_t> devices)
    : snapshot_(&snapshot),
      devices_(devices.begin(), devices.end()),
      patience_ratios_per_hour_(loads.size()) {
  const Seconds now = absl::ToUnixSeconds(snapshot.now);
  instance_.end = now + kHorizon;
  std::sort(devices_.begin(), devices_.end(), [&snapshot](size_t a, size_t b) {
    const auto name = [&snapshot](size_t i) {
      const v1::DeviceInfo& info = snapshot.devices[i].device.info();
      return std::tie(info.name(), info.device_id());
    };
    return name(a) < name(b);
  });
  std::map<const timetable::Pack*, int> known_packs;
  std::map<const timetable::Supply*, int> known_supplies;
  for (const size_t i : devices_) {
    const DeviceLoad& load = loads[i];
    patience_ratios_per_hour_[i] =
        PatienceRatioPerHour(LimitsFor(snapshot.policies, snapshot.devices[i].device.info()));
    timetable::InstanceDevice device;
    device.pack = IndexOf(load.pack, known_packs, packs_).value_or(timetable::kMains);
    device.supply = IndexOf(load.supply, known_supplies, supplies_).value_or(timetable::kNoCap);
    if (const Seconds free_at = timetable::UnixSecondsUp(load.free_at); free_at > now) {
      device.closed.push_back({.begin = now, .end = free_at});
    }
    instance_.devices.push_back(std::move(device));
  }
}

int Rearrangement::GroupOf(const v1::JobSpec& spec) {
  if (!spec.has_apart()) {
    return timetable::kBesideAny;
  }
  const auto [group, is_new] =
      groups_.emplace(ApartGroupOf(spec), static_cast<int>(instance_.groups.size()));
  if (is_new) {
    // A device that lacks the label is no way of these jobs.
    std::map<std::optional<std::string>, int> known;
    std::vector<int>& places = instance_.groups.emplace_back().places;
    for (const size_t i : devices_) {
      const auto place = PlaceFor(spec.apart(), snapshot_->devices[i].device.info());
      places.push_back(known.emplace(place, static_cast<int>(known.size())).first->second);
    }
  }
  return group->second;
}

Rearrangement::Price Rearrangement::PriceFrom(size_t job, const RunStart& start) const {
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

void Rearrangement::Add(const JobView& job, absl::Span<const v1::Candidate* const> starts,
                        const std::optional<RunStart>& planned) {
  // A board that may do is no way for a job that has boards that do.
  const bool known = std::any_of(starts.begin(), starts.end(), [](const v1::Candidate* start) {
    return start != nullptr && !start->probe();
  });
  const auto counts = [known](const v1::Candidate* start) {
    return start != nullptr && (!known || !start->probe());
  };
  Scale scale{.joules = kJoulesMax, .seconds = 1e12};
  for (const v1::Candidate* start : starts) {
    if (counts(start)) {
      scale.joules = std::min(scale.joules, start->marginal_energy_joules());
      scale.seconds = std::min(scale.seconds, RunSeconds(RunStartOf(0, *start)));
    }
  }
  const size_t index = jobs_.size();
  jobs_.push_back(&job);
  scales_.push_back(scale);
  timetable::InstanceJob& plain = instance_.jobs.emplace_back();
  plain.released = absl::ToUnixSeconds(snapshot_->now);
  plain.group = GroupOf(job.spec);
  if (planned.has_value()) {
    plain.latest_start =
        timetable::UnixSecondsUp(snapshot_->now + absl::Seconds(planned->start_in_seconds));
    if (EndCounts(job.spec)) {
      plain.deadline =
          timetable::UnixSecondsUp(snapshot_->now + absl::Seconds(planned->finish_in_seconds));
    }
  }
  for (size_t index_of_device = 0; index_of_device < devices_.size(); ++index_of_device) {
    const size_t device = devices_[index_of_device];
    if (!counts(starts[device])) {
      continue;
    }
    const std::optional<timetable::Draw> draw =
        DrawOf(snapshot_->devices[device].device, job.spec, starts[device]->prediction());
    if (draw.has_value()) {
      const RunStart start = RunStartOf(device, *starts[device]);
      const Price price = PriceFrom(index, start);
      plain.options.push_back({.device = static_cast<int>(index_of_device),
                               .draw = DrawInMeanTime(*draw, start),
                               .cost = price.now,
                               .cost_per_hour = price.per_hour});
    }
  }
  // The search skips a job's ways by their number, so no name may decide on the number.
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
  for (const timetable::InstanceJob& job : instance_.jobs) {
    for (const timetable::JobOption& option : job.options) {
      dearest = std::max(dearest, option.cost + option.cost_per_hour * 72);
    }
  }
  for (timetable::InstanceJob& job : instance_.jobs) {
    job.left_out_price = dearest * static_cast<Millijoules>(instance_.jobs.size() + 1);
  }
}

timetable::Schedule Rearrangement::InOrderOfAdd() const {
  timetable::Schedule schedule(instance_, packs_, supplies_);
  for (size_t job = 0; job < jobs_.size(); ++job) {
    schedule.Insert(job);
  }
  return schedule;
}

timetable::Schedule Rearrangement::FromLatest(absl::Span<const Place> latest) const {
  timetable::Schedule schedule(instance_, packs_, supplies_);
  for (const Place& place : latest) {
    const std::vector<timetable::JobOption>& options = instance_.jobs[place.job].options;
    uint64_t others = 0;
    for (size_t i = 0; i < std::min<size_t>(options.size(), 64); ++i) {
      const bool is_other = place.device.has_value() &&
                            devices_[static_cast<size_t>(options[i].device)] != *place.device;
      others |= uint64_t{is_other} << i;
    }
    schedule.Insert(place.job, others);
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
  const timetable::Schedule best = timetable::Improve(
      instance_, std::move(begin),
      {.moves = std::min(effort.moves_of_a_job * static_cast<int>(jobs_.size()), effort.moves_max),
       .seed = effort.seed});
  std::vector<Place> places;
  for (size_t job = 0; job < jobs_.size(); ++job) {
    const int device = best.planned(job).device;
    places.push_back({job, device == timetable::Planned::kLeftOut
                               ? std::nullopt
                               : std::optional(devices_[static_cast<size_t>(device)])});
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
