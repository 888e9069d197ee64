// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/pack.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace wattle::timetable {
namespace {

// A pack's charge over a time of constant power.
struct Level {
  Millijoules lowest = 0;  // Not clipped at 0: below 0 the pack was asked for more than it held.
  Millijoules end = 0;
};

Level Advance(Millijoules begin, Milliwatts net, Seconds length, Millijoules capacity) {
  const Millijoules end = begin + net * length;
  return {.lowest = std::min(begin, end), .end = std::clamp<Millijoules>(end, 0, capacity)};
}

// The quantiles 1/128, 3/128 ... 127/128 of a normal variable in thousandths, in an order that has
// nothing to do with their size: path p has the one of p x 37 + 11 modulo 64.
constexpr std::array<int64_t, 64> kDeviations = {
    -917, 699,  -424, 1366, -20,   -1473, 381,  -750, 858,  -298, 1762,  98,    -1189,
    511,  -602, 1043, -177, -2418, 217,   -978, 650,  -467, 1273, -59,   -1601, 339,
    -803, 803,  -339, 1601, 59,    -1273, 467,  -650, 978,  -217, 2418,  177,   -1043,
    602,  -511, 1189, -98,  -1762, 298,   -858, 750,  -381, 1473, 20,    -1366, 424,
    -699, 917,  -257, 1987, 138,   -1113, 556,  -556, 1113, -138, -1987, 257,
};

// What work of this mean and deviation draws in a path.
Milliwatts DrawnIn(size_t path, Milliwatts mean, Milliwatts deviation) {
  return std::max<Milliwatts>(0, mean + deviation * kDeviations[path % kDeviations.size()] / 1000);
}

Millijoules FloorAt(const std::vector<FloorStep>& floor, Seconds moment) {
  const auto next =
      std::upper_bound(floor.begin(), floor.end(), moment,
                       [](Seconds at, const FloorStep& step) { return at < step.from; });
  return next == floor.begin() ? 0 : std::prev(next)->charge;
}

// The smallest value that at least `percent` of the sorted values do not exceed.
Millijoules Quantile(const std::vector<Millijoules>& sorted, size_t percent) {
  return sorted[(sorted.size() * percent + 99) / 100 - 1];
}

}  // namespace

Pack::Pack(PackSpec spec) : spec_(std::move(spec)) {
  WATTLE_CHECK(!spec_.harvest.empty() && !spec_.harvest.front().empty(), "sun has a path");
  for (const std::vector<Milliwatts>& path : spec_.harvest) {
    WATTLE_CHECK(path.size() == spec_.harvest.front().size(), "all paths have the same hours");
  }
  WATTLE_CHECK(spec_.first_hour <= spec_.now && spec_.now < spec_.first_hour + kHour,
               "the first hour has begun and not ended");
  WATTLE_CHECK(0 <= spec_.charge && spec_.charge <= spec_.capacity, "a pack holds its charge");
  darkest_first_.resize(spec_.harvest.size());
  std::iota(darkest_first_.begin(), darkest_first_.end(), 0);
  std::vector<int64_t> sums;
  for (const std::vector<Milliwatts>& path : spec_.harvest) {
    sums.push_back(std::accumulate(path.begin(), path.end(), int64_t{0}));
  }
  std::stable_sort(darkest_first_.begin(), darkest_first_.end(),
                   [&sums](size_t a, size_t b) { return sums[a] < sums[b]; });
  Rebuild();
}

Seconds Pack::horizon() const {
  return spec_.first_hour + kHour * static_cast<Seconds>(spec_.harvest.front().size());
}

void Pack::Add(const Demand& demand) {
  WATTLE_CHECK(demand.begin >= spec_.now && demand.draw.length > 0, "work begins now or later");
  if (demand.begin < horizon()) {
    demands_.push_back(demand);
    Rebuild();
  }
}

void Pack::Remove(int job) {
  if (std::erase_if(demands_, [job](const Demand& demand) { return demand.job == job; }) > 0) {
    Rebuild();
  }
}

void Pack::Rebuild() {
  MakeSlots();
  charges_.resize(spec_.harvest.size() * (slots_.size() + 1));
  nets_.resize(spec_.harvest.size() * slots_.size());
  broken_.assign(spec_.harvest.size(), false);
  broken_runs_.assign(spec_.harvest.size() * demands_.size(), false);
  for (size_t path = 0; path < spec_.harvest.size(); ++path) {
    Follow(path);
  }
  broken_paths_ = static_cast<int>(std::count(broken_.begin(), broken_.end(), true));
}

void Pack::MakeSlots() {
  std::vector<Seconds> bounds = {spec_.now};
  for (Seconds hour = spec_.first_hour + kHour; hour < horizon(); hour += kHour) {
    bounds.push_back(hour);
  }
  for (const FloorStep& step : spec_.floor) {
    bounds.push_back(step.from);
  }
  for (const Demand& demand : demands_) {
    bounds.push_back(demand.begin);
    bounds.push_back(demand.end());
  }
  std::erase_if(bounds, [this](Seconds at) { return at < spec_.now || at >= horizon(); });
  std::sort(bounds.begin(), bounds.end());
  bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
  slots_.clear();
  slots_until_idle_ = 0;
  for (const Seconds begin : bounds) {
    Slot slot{.begin = begin,
              .hour = static_cast<size_t>((begin - spec_.first_hour) / kHour),
              .needed = FloorAt(spec_.floor, begin)};
    for (const Demand& demand : demands_) {
      if (Covers(demand, slot)) {
        slot.work += demand.draw.power;
        slot.deviation += demand.draw.deviation;
        slot.needed += demand.draw.held_back;
        slot.at_start += demand.begin == begin ? demand.draw.at_start : 0;
        slot.working = true;
      }
    }
    slots_.push_back(slot);
    slots_until_idle_ = slot.working ? slots_.size() : slots_until_idle_;
  }
}

void Pack::Follow(size_t path) {
  Millijoules* const charge = &charges_[path * (slots_.size() + 1)];
  charge[0] = spec_.charge;
  Milliwatts* const net = &nets_[path * slots_.size()];
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    net[i] = spec_.harvest[path][slot.hour] - spec_.idle - DrawnIn(path, slot.work, slot.deviation);
    const Level level =
        Advance(charge[i] - slot.at_start, net[i], EndOf(i) - slot.begin, spec_.capacity);
    charge[i + 1] = level.end;
    if (slot.working && level.lowest < slot.needed) {
      broken_[path] = true;
      for (size_t run = 0; run < demands_.size(); ++run) {
        if (Covers(demands_[run], slot)) {
          broken_runs_[path * demands_.size() + run] = true;
        }
      }
    }
  }
}

size_t Pack::SlotAt(Seconds moment) const {
  const auto next = std::upper_bound(slots_.begin(), slots_.end(), moment,
                                     [](Seconds at, const Slot& slot) { return at < slot.begin; });
  return static_cast<size_t>(next - slots_.begin()) - 1;
}

Seconds Pack::EndOf(size_t slot) const {
  return slot + 1 < slots_.size() ? slots_[slot + 1].begin : horizon();
}

// A run that begins later by s seconds has drawn less before any moment, by its power in the path
// times s at most, and the charge there is higher by that at most: what a full pack loses and what
// an empty one does not give only make the difference smaller. So a lack of charge at `moment`
// stays until the run has drawn less by the lack before, or begins there.
Seconds RetryFrom(const Demand& demand, Milliwatts power, Seconds moment, Millijoules lack) {
  const Seconds drawing = std::min(moment, demand.end()) - demand.begin;
  const Seconds too_long = power > 0 ? (lack + power - 1) / power : drawing;
  return moment - std::max<Seconds>(0, drawing - too_long);
}

// Follows the path from the demand's begin. Before it nothing changes; once the demand is over and
// the charge is again what it is without the demand, nothing changes any more.
Pack::Outcome Pack::Try(size_t path, const Demand& demand) const {
  Outcome outcome;
  const Milliwatts* const nets = &nets_[path * slots_.size()];
  size_t i = SlotAt(demand.begin);
  Millijoules charge = ChargeAt(path, i) - slots_[i].at_start;
  if (const Seconds passed = demand.begin - slots_[i].begin; passed > 0) {
    charge = Advance(charge, nets[i], passed, spec_.capacity).end;
  }
  charge -= demand.draw.at_start;
  const Milliwatts drawn = DrawnIn(path, demand.draw.power, demand.draw.deviation);
  Seconds at = demand.begin;
  while (i < slots_.size()) {
    const Slot& slot = slots_[i];
    const bool own = at < demand.end();
    if (!own && (i >= slots_until_idle_ || (at == slot.begin && charge == ChargeAt(path, i)))) {
      break;
    }
    if (at == slot.begin && at != demand.begin) {
      charge -= slot.at_start;
    }
    const Seconds end = own ? std::min(demand.end(), EndOf(i)) : EndOf(i);
    const Milliwatts net = nets[i] - (own ? drawn : 0);
    const Level level = Advance(charge, net, end - at, spec_.capacity);
    const Millijoules needed = slot.needed + (own ? demand.draw.held_back : 0);
    if (level.lowest < needed) {
      outcome.own |= own;
      for (size_t run = 0; run < demands_.size() && !outcome.newly; ++run) {
        outcome.newly = Covers(demands_[run], slot) && !broken_runs_[path * demands_.size() + run];
      }
      outcome.retry_from = std::max(
          outcome.retry_from, RetryFrom(demand, drawn, net < 0 ? end : at, needed - level.lowest));
    }
    charge = level.end;
    at = end;
    i += at == EndOf(i) ? 1 : 0;
  }
  return outcome;
}

bool Pack::Fits(const Demand& demand) const {
  Seconds retry_from = 0;
  return FitsOr(demand, retry_from);
}

bool Pack::FitsOr(const Demand& demand, Seconds& retry_from) const {
  WATTLE_CHECK(demand.begin >= spec_.now && demand.draw.length > 0, "work begins now or later");
  retry_from = demand.begin + 1;
  if (demand.end() > horizon()) {
    return false;
  }
  const bool too_many = broken_paths_ > spec_.broken_paths_max;
  int counted = too_many ? 0 : broken_paths_;
  Seconds first_retry = horizon();
  for (const size_t path : darkest_first_) {
    const Outcome outcome = Try(path, demand);
    if (too_many && outcome.newly) {
      return false;
    }
    const bool counts_already = !too_many && broken_[path];
    if ((outcome.own || outcome.newly) && !counts_already) {
      ++counted;
      first_retry = std::min(first_retry, outcome.retry_from);
    }
    if (counted > spec_.broken_paths_max) {
      // One of the paths that break the floor has to keep it.
      retry_from = too_many ? retry_from : std::max(retry_from, first_retry);
      return false;
    }
  }
  return true;
}

// What a run leaves at its end is what there is without it, less its joules, unless the pack is
// full meanwhile and loses sun that the run could have had.
Seconds Pack::EarliestPromise(const Draw& draw, Seconds begin) const {
  const Milliwatts power = DrawnIn(/*path=*/0, draw.power, draw.deviation);
  const Millijoules joules = draw.at_start + power * draw.length + draw.held_back;
  for (size_t i = SlotAt(begin); i < slots_.size(); ++i) {
    const Millijoules most = std::max(charges_[i], charges_[i + 1]);
    if (most >= std::min(spec_.capacity, slots_[i].needed + joules)) {
      return std::max(begin, slots_[i].begin - draw.length);
    }
  }
  return horizon();
}

std::optional<Seconds> Pack::EarliestFit(const Draw& draw, Seconds after) const {
  const bool one_path_decides =
      spec_.harvest.size() == 1 && spec_.broken_paths_max == 0 && broken_paths_ == 0;
  Seconds begin = std::max(after, spec_.now);
  while (begin + draw.length <= horizon()) {
    if (one_path_decides) {
      if (const Seconds promise = EarliestPromise(draw, begin); promise > begin) {
        begin = (promise + kStartStep - 1) / kStartStep * kStartStep;
        continue;
      }
    }
    Seconds retry_from = 0;
    if (FitsOr({.begin = begin, .draw = draw}, retry_from)) {
      return begin;
    }
    begin = (retry_from + kStartStep - 1) / kStartStep * kStartStep;
  }
  return std::nullopt;
}

bool Pack::FitsWhenFull(const Draw& draw, Seconds begin) const {
  PackSpec full = spec_;
  full.now = begin;
  full.charge = spec_.capacity;
  const Seconds hours = (begin - spec_.first_hour) / kHour;
  full.first_hour += hours * kHour;
  for (std::vector<Milliwatts>& path : full.harvest) {
    path.erase(path.begin(), path.begin() + hours);
  }
  return Pack(std::move(full)).Fits({.begin = begin, .draw = draw});
}

ChargeQuantiles Pack::QuantilesAt(Seconds at, size_t slot) const {
  std::vector<Millijoules> charges;
  for (size_t path = 0; path < spec_.harvest.size(); ++path) {
    charges.push_back(ChargeAt(path, slot));
  }
  std::sort(charges.begin(), charges.end());
  return {.at = at,
          .low = Quantile(charges, 10),
          .median = Quantile(charges, 50),
          .high = Quantile(charges, 90)};
}

std::vector<ChargeQuantiles> Pack::ChargeByHour() const {
  std::vector<ChargeQuantiles> hours = {QuantilesAt(spec_.now, 0)};
  for (size_t i = 1; i < slots_.size(); ++i) {
    if ((slots_[i].begin - spec_.first_hour) % kHour == 0) {
      hours.push_back(QuantilesAt(slots_[i].begin, i));
    }
  }
  hours.push_back(QuantilesAt(horizon(), slots_.size()));
  return hours;
}

}  // namespace wattle::timetable
