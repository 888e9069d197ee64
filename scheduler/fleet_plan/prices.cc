// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/prices.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "absl/status/status.h"

#include "scheduler/fleet_plan/ways.h"

namespace wattle::fleet_plan {
namespace {

using solve::LinearProgram;
using timetable::kHour;
using timetable::kMains;
using timetable::PackSpec;

constexpr double kUnit = 1e6;  // The solver counts kilojoules, and hours.
constexpr double kSecondsUnit = 3600;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Seconds Overlap(Seconds begin, Seconds end, Seconds other_begin, Seconds other_end) {
  return std::max<Seconds>(0, std::min(end, other_end) - std::max(begin, other_begin));
}

// Jobs of one work class whose release and deadline lie in the same buckets count as equal.
struct JobGroup {
  int64_t count = 0;
  int64_t units = 0;  // The sum over the group's jobs, like the next fields.
  Millijoules left_out_price = 0;
  Seconds released = 0;
  Seconds latest_end = 0;
};

class PriceProgram {
 public:
  PriceProgram(const Fleet& fleet, const PriceOptions& options) : fleet_(fleet), options_(options) {
    prices_.begin = fleet.now;
    prices_.bucket_length =
        std::max<Seconds>(1, (fleet.end - fleet.now + options.buckets - 1) / options.buckets);
    // Two groups for each device class: on mains, and on packs.
    prices_.groups.resize(2 * fleet.device_classes.size());
    for (std::vector<Prices::Bucket>& group : prices_.groups) {
      group.resize(static_cast<size_t>(options.buckets));
    }
    for (const Device& device : fleet.devices) {
      prices_.group_of.push_back(2 * static_cast<size_t>(device.device_class) +
                                 (device.pack == kMains ? 0 : 1));
    }
  }

  const LinearProgram& MakeProgram() {
    AddTimes();
    AddCharges();
    AddJobs();
    return program_;
  }

  Prices Read(const solve::Solution& solution) {
    for (size_t group = 0; group < prices_.groups.size(); ++group) {
      for (size_t bucket = 0; bucket < prices_.groups[group].size(); ++bucket) {
        // The price of a scarce row is negative, because more of its resource would lower the cost.
        const auto price_of = [&](const std::vector<int>& rows) {
          return rows.empty()
                     ? 0.0
                     : std::max(0.0, -solution.row_prices[static_cast<size_t>(rows[bucket])]);
        };
        prices_.groups[group][bucket] = {
            .of_second = std::llround(price_of(time_rows_[group]) * kUnit / kSecondsUnit),
            .of_joule_thousandths = std::llround(price_of(charge_rows_[group]) * 1000)};
      }
    }
    return std::move(prices_);
  }

 private:
  [[nodiscard]] Seconds BeginOf(int bucket) const {
    return prices_.begin + bucket * prices_.bucket_length;
  }

  // The time of a group's devices in each bucket.
  void AddTimes() {
    time_rows_.resize(prices_.groups.size());
    std::vector<std::vector<Seconds>> free(
        prices_.groups.size(), std::vector<Seconds>(static_cast<size_t>(options_.buckets), 0));
    for (size_t device = 0; device < fleet_.devices.size(); ++device) {
      for (int bucket = 0; bucket < options_.buckets; ++bucket) {
        const Seconds begin = BeginOf(bucket);
        const Seconds end = std::min(BeginOf(bucket + 1), fleet_.end);
        Seconds& sum = free[prices_.group_of[device]][static_cast<size_t>(bucket)];
        sum += std::max<Seconds>(0, end - begin);
        for (const timetable::Interval& closed : fleet_.devices[device].closed) {
          sum -= Overlap(begin, end, closed.begin, closed.end);
        }
      }
    }
    for (size_t group = 0; group < free.size(); ++group) {
      // One row for each group and bucket: its runs together take at most the group's free time.
      for (const Seconds seconds : free[group]) {
        time_rows_[group].push_back(
            program_.AddRow(-kInfinity, static_cast<double>(seconds) / kSecondsUnit));
      }
    }
  }

  // Balance of the charge above the floors of a group's packs from bucket to bucket: previous
  // charge plus sun, minus idle draw, work and the loss of full packs. Idle draw that empty packs
  // cannot supply is free.
  void AddCharges() {
    charge_rows_.resize(prices_.groups.size());
    std::vector<std::vector<const PackSpec*>> packs(prices_.groups.size());
    std::vector<bool> seen(fleet_.packs.size(), false);
    for (size_t device = 0; device < fleet_.devices.size(); ++device) {
      const int pack = fleet_.devices[device].pack;
      if (pack != kMains && !seen[static_cast<size_t>(pack)]) {
        seen[static_cast<size_t>(pack)] = true;
        packs[prices_.group_of[device]].push_back(&fleet_.packs[static_cast<size_t>(pack)]);
      }
    }
    for (size_t group = 0; group < packs.size(); ++group) {
      if (!packs[group].empty()) {
        AddCharge(packs[group], charge_rows_[group]);
      }
    }
  }

  void AddCharge(const std::vector<const PackSpec*>& packs, std::vector<int>& rows) {
    double capacity = 0;
    double charge = 0;
    for (const PackSpec* const pack : packs) {
      const Millijoules floor = pack->floor.empty() ? 0 : pack->floor.back().charge;
      capacity += static_cast<double>(std::max<Millijoules>(0, pack->capacity - floor)) / kUnit;
      charge += static_cast<double>(std::max<Millijoules>(0, pack->charge - floor)) / kUnit;
    }
    for (int bucket = 0; bucket < options_.buckets; ++bucket) {
      double sun = 0;
      double idle = 0;
      for (const PackSpec* const pack : packs) {
        const Seconds begin = BeginOf(bucket);
        const Seconds end = std::min(BeginOf(bucket + 1), fleet_.end);
        idle += static_cast<double>(pack->idle * std::max<Seconds>(0, end - begin)) / kUnit;
        for (size_t hour = 0; hour < pack->harvest.front().size(); ++hour) {
          const Seconds from = pack->first_hour + kHour * static_cast<Seconds>(hour);
          sun += static_cast<double>(pack->harvest.front()[hour] *
                                     Overlap(begin, end, from, from + kHour)) /
                 kUnit;
        }
      }
      const double begins_with = bucket == 0 ? charge : 0;
      rows.push_back(program_.AddRow(begins_with + sun - idle, begins_with + sun - idle));
      program_.AddColumn(0, idle, {{rows.back(), -1}});      // Unmet idle draw.
      program_.AddColumn(0, kInfinity, {{rows.back(), 1}});  // Lost sun.
    }
    for (size_t bucket = 0; bucket < rows.size(); ++bucket) {
      // The charge kept at the end of a bucket is an outflow there and an inflow of the next,
      // bounded by the packs' capacity.
      std::vector<LinearProgram::Term> kept = {{rows[bucket], 1}};
      if (bucket + 1 < rows.size()) {
        kept.push_back({rows[bucket + 1], -1});
      }
      program_.AddColumn(0, capacity, std::move(kept));
    }
  }

  void AddJobs() {
    std::map<std::tuple<int, size_t, size_t>, JobGroup> groups;
    for (const Job& job : fleet_.jobs) {
      const Seconds latest_end = std::min(job.deadline.value_or(fleet_.end), fleet_.end);
      JobGroup& group =
          groups[{job.work_class, prices_.BucketAt(job.released), prices_.BucketAt(latest_end)}];
      group.count += 1;
      group.units += job.units;
      group.left_out_price += job.left_out_price;
      group.released += job.released - fleet_.now;
      group.latest_end += latest_end - fleet_.now;
    }
    const Ways ways = WaysOf(fleet_);
    for (auto& [key, group] : groups) {
      // The program uses a mean job, so that its size depends on classes and not on the number of
      // jobs.
      for (int64_t* const sum :
           {&group.units, &group.left_out_price, &group.released, &group.latest_end}) {
        *sum /= group.count;
      }
      const auto count = static_cast<double>(group.count);
      const int row = program_.AddRow(count, count);
      // Leaving jobs out is always possible, so the program always has a solution.
      program_.AddColumn(static_cast<double>(group.left_out_price) / kUnit, kInfinity, {{row, 1}});
      const std::vector<ClassWay>& by_class =
          ways.of_work[static_cast<size_t>(std::get<0>(key))].by_class;
      for (size_t way = 0; way < by_class.size() && way < static_cast<size_t>(options_.ways_max);
           ++way) {
        AddWay(group, by_class[way], row);
      }
    }
  }

  void AddWay(const JobGroup& group, const ClassWay& way, int row) {
    const Estimate run = EstimateOf(*way.rate, group.units);
    const Seconds length = std::max<Seconds>(1, run.seconds.high);
    for (int bucket = static_cast<int>(prices_.BucketAt(prices_.begin + group.released));
         bucket < options_.buckets; ++bucket) {
      const Seconds waits = std::max<Seconds>(group.released, bucket * prices_.bucket_length);
      if (waits + length > group.latest_end) {
        break;
      }
      const double cost = static_cast<double>(run.millijoules.mean) / kUnit;
      const double patience = static_cast<double>(fleet_.patience_thousandths_per_hour) / 1000;
      const double hours = static_cast<double>(waits - group.released) / kHour;
      for (const size_t power : {size_t{0}, size_t{1}}) {
        AddRun(2 * static_cast<size_t>(way.device_class) + power, prices_.begin + waits, run,
               {cost * (1 + patience * hours), row});
      }
    }
  }

  struct Price {
    double cost = 0;
    int row = 0;
  };
  void AddRun(size_t group, Seconds start, const Estimate& run, const Price& price) {
    const Seconds length = std::max<Seconds>(1, run.seconds.high);
    std::vector<LinearProgram::Term> terms = {{price.row, 1}};
    for (int bucket = static_cast<int>(prices_.BucketAt(start));
         bucket < options_.buckets && BeginOf(bucket) < start + length; ++bucket) {
      const auto seconds =
          static_cast<double>(Overlap(start, start + length, BeginOf(bucket), BeginOf(bucket + 1)));
      const auto at = static_cast<size_t>(bucket);
      terms.push_back({time_rows_[group][at], seconds / kSecondsUnit});
      if (!charge_rows_[group].empty()) {
        terms.push_back(
            {charge_rows_[group][at], static_cast<double>(run.millijoules.high) / kUnit * seconds /
                                          static_cast<double>(length)});
      }
    }
    program_.AddColumn(price.cost, kInfinity, std::move(terms));
  }

  const Fleet& fleet_;
  const PriceOptions options_;
  Prices prices_;
  LinearProgram program_;
  std::vector<std::vector<int>> time_rows_;    // [group][bucket]
  std::vector<std::vector<int>> charge_rows_;  // [group][bucket]; empty: the group has no packs.
};

}  // namespace

size_t Prices::BucketAt(Seconds moment) const {
  const Seconds bucket = std::max<Seconds>(0, moment - begin) / bucket_length;
  return std::min(static_cast<size_t>(bucket), groups.front().size() - 1);
}

Millijoules Prices::Of(int device, const timetable::Draw& draw, Seconds start) const {
  const std::vector<Bucket>& group = groups[group_of[static_cast<size_t>(device)]];
  Millijoules sum = 0;
  Seconds at = start;
  for (size_t bucket = BucketAt(start); at < start + draw.length; ++bucket) {
    const bool is_last = bucket + 1 == group.size();
    const Seconds bucket_end = begin + static_cast<Seconds>(bucket + 1) * bucket_length;
    const Seconds end = is_last ? start + draw.length : std::min(bucket_end, start + draw.length);
    sum += (end - at) * group[bucket].of_second +
           (end - at) * draw.power / 1000 * group[bucket].of_joule_thousandths;
    at = end;
  }
  return sum;
}

Prices Prices::At(int64_t percent) const {
  Prices prices = *this;
  for (std::vector<Bucket>& group : prices.groups) {
    for (Bucket& bucket : group) {
      bucket.of_second = bucket.of_second * percent / 100;
      bucket.of_joule_thousandths = bucket.of_joule_thousandths * percent / 100;
    }
  }
  return prices;
}

absl::StatusOr<PricedFleet> PricesOf(const Fleet& fleet, const solve::Solver& solver,
                                     const PriceOptions& options, const solve::Basis* start) {
  if (fleet.devices.empty() || fleet.jobs.empty()) {
    return absl::FailedPreconditionError("a fleet without devices or jobs has no prices");
  }
  PriceProgram maker(fleet, options);
  const LinearProgram& program = maker.MakeProgram();
  absl::StatusOr<solve::Solution> solution =
      solver.solve(program, {.iterations = options.iterations_max, .start = start});
  if (!solution.ok()) {
    return solution.status();
  }
  if (absl::Status checked = CheckSolution(program, *solution); !checked.ok()) {
    return checked;
  }
  return PricedFleet{.prices = maker.Read(*solution), .basis = std::move(solution->basis)};
}

}  // namespace wattle::fleet_plan
