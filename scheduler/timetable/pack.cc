// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/pack.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "scheduler/timetable/draw_quantile.h"

namespace wattle::timetable {
namespace {

constexpr Seconds kDay = 24 * kHour;

// The draw, in a path, of work with this mean and deviation.
Milliwatts DrawnIn(size_t path, Milliwatts mean, Milliwatts deviation) {
  return std::max<Milliwatts>(0, mean + deviation * DrawQuantileOf(path) / 1000);
}

// The first step after the moment.
std::vector<FloorStep>::const_iterator NextStep(const std::vector<FloorStep>& floor,
                                                Seconds moment) {
  return std::upper_bound(floor.begin(), floor.end(), moment,
                          [](Seconds at, const FloorStep& step) { return at < step.from; });
}

Millijoules FloorAt(const std::vector<FloorStep>& floor, Seconds moment) {
  const auto next = NextStep(floor, moment);
  return next == floor.begin() ? 0 : std::prev(next)->charge;
}

// The smallest value that is at least as large as `percent` % of the sorted values.
Millijoules Quantile(const std::vector<Millijoules>& sorted, size_t percent) {
  return sorted[(sorted.size() * percent + 99) / 100 - 1];
}

std::vector<size_t> DarkestFirst(const std::vector<std::vector<Milliwatts>>& harvest) {
  std::vector<size_t> paths(harvest.size());
  std::iota(paths.begin(), paths.end(), 0);
  std::vector<int64_t> sums;
  for (const std::vector<Milliwatts>& path : harvest) {
    sums.push_back(std::accumulate(path.begin(), path.end(), int64_t{0}));
  }
  // Stable, so that equal sums keep one order on every machine.
  std::stable_sort(paths.begin(), paths.end(),
                   [&sums](size_t a, size_t b) { return sums[a] < sums[b]; });
  return paths;
}

bool AreNested(const std::vector<std::vector<Milliwatts>>& harvest,
               const std::vector<size_t>& darkest_first) {
  return std::adjacent_find(darkest_first.begin(), darkest_first.end(),
                            [&harvest](size_t darker, size_t brighter) {
                              return !std::equal(harvest[darker].begin(), harvest[darker].end(),
                                                 harvest[brighter].begin(), std::less_equal<>());
                            }) == darkest_first.end();
}

}  // namespace

// Paths that keep the floor, from the darkest on. A path that has at least as much sun in each hour
// as one of them, and in which work draws no more, never has less charge and so keeps the floor
// too. This leaves five of the 64 paths of HarvestPaths to follow, unless some break the floor.
class Pack::Kept {
 public:
  explicit Kept(const Told& told) : nested_(told.nested) {}

  void Add(size_t path) { most_drawing_ = std::max(most_drawing_, DrawQuantileOf(path)); }
  [[nodiscard]] bool Covers(size_t path) const {
    return nested_ && DrawQuantileOf(path) <= most_drawing_;
  }

 private:
  bool nested_;
  int64_t most_drawing_ = std::numeric_limits<int64_t>::min();
};

Pack::Pack(PackSpec spec) : now_(spec.now), charge_now_(spec.charge) {
  WATTLE_CHECK(!spec.harvest.empty() && !spec.harvest.front().empty(), "sun has a path");
  for (const std::vector<Milliwatts>& path : spec.harvest) {
    WATTLE_CHECK(path.size() == spec.harvest.front().size(), "all paths have the same hours");
  }
  WATTLE_CHECK(spec.first_hour <= spec.now && spec.now < spec.first_hour + kHour,
               "the first hour has begun and not ended");
  WATTLE_CHECK(0 <= spec.charge && spec.charge <= spec.capacity, "a pack holds its charge");
  Told told;
  told.spec = std::move(spec);
  told.darkest_first = DarkestFirst(told.spec.harvest);
  told.nested = AreNested(told.spec.harvest, told.darkest_first);
  told_ = std::make_shared<const Told>(std::move(told));
  Rebuild();
}

Seconds Pack::horizon() const {
  const PackSpec& spec = told_->spec;
  return spec.first_hour + kHour * static_cast<Seconds>(spec.harvest.front().size());
}

void Pack::Add(const Demand& demand) {
  WATTLE_CHECK(demand.begin >= now_ && demand.draw.length > 0, "work begins now or later");
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
  rows_.assign(told_->spec.harvest.size(), kNotFollowed);
  steps_.clear();
  broken_.clear();
  broken_paths_ = 0;
  Kept kept(*told_);
  for (const size_t path : told_->darkest_first) {
    if (kept.Covers(path)) {
      continue;
    }
    if (IsBroken(path)) {
      ++broken_paths_;
    } else {
      kept.Add(path);
    }
  }
}

void Pack::MakeSlots() {
  const PackSpec& spec = told_->spec;
  std::vector<Seconds> bounds = {now_};
  for (Seconds hour = spec.first_hour + kHour; hour < horizon(); hour += kHour) {
    bounds.push_back(hour);
  }
  for (const FloorStep& step : spec.floor) {
    bounds.push_back(step.from);
  }
  for (const Demand& demand : demands_) {
    bounds.push_back(demand.begin);
    bounds.push_back(demand.end());
  }
  std::erase_if(bounds, [this](Seconds at) { return at < now_ || at >= horizon(); });
  std::sort(bounds.begin(), bounds.end());
  // Between two bounds all rates are constant, so each slot needs only one closed-form step.
  bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
  slots_.clear();
  slots_until_idle_ = 0;
  for (const Seconds begin : bounds) {
    Slot slot{.begin = begin,
              .hour = static_cast<size_t>((begin - spec.first_hour) / kHour),
              .needed = FloorAt(spec.floor, begin)};
    for (const Demand& demand : demands_) {
      if (Covers(demand, slot)) {
        const bool pausable = demand.draw.pausable;
        (pausable ? slot.pausable : slot.work) += demand.draw.power;
        (pausable ? slot.pausable_deviation : slot.deviation) += demand.draw.deviation;
        slot.needed += demand.draw.held_back;
        slot.at_start += demand.begin == begin ? demand.draw.at_start : 0;
        slot.working |= !pausable;
      }
    }
    slots_.push_back(slot);
    slots_until_idle_ = slot.working ? slots_.size() : slots_until_idle_;
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

const Pack::Step* Pack::Steps(size_t path) const {
  if (rows_[path] == kNotFollowed) {
    Follow(path);
  }
  return &steps_[static_cast<size_t>(rows_[path]) * (slots_.size() + 1)];
}

Pack::Step Pack::StepIn(size_t path, size_t slot, Millijoules charge) const {
  const PackSpec& spec = told_->spec;
  const Slot& in = slots_[slot];
  return {.charge = charge,
          .net = spec.harvest[path][in.hour] - spec.idle - DrawnIn(path, in.work, in.deviation)};
}

void Pack::Follow(size_t path) const {
  rows_[path] = static_cast<int>(broken_.size());
  bool broken = false;
  Step step{.charge = charge_now_};
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    step = StepIn(path, i, step.charge);
    steps_.push_back(step);
    const Level level = AdvanceIn({.path = path, .slot = i, .length = EndOf(i) - slot.begin}, step,
                                  step.charge - slot.at_start, /*own=*/nullptr);
    // The charge is linear within a slot, so its lowest value is at one of the ends.
    broken |= slot.working && level.lowest < slot.needed;
    step.charge = level.end;
  }
  steps_.push_back({.charge = step.charge});
  broken_.push_back(broken);
}

Level Pack::AdvanceIn(const Span& span, const Step& step, Millijoules charge,
                      const Draw* own) const {
  const Slot& slot = slots_[span.slot];
  const Millijoules capacity = told_->spec.capacity;
  const Milliwatts drawn = own == nullptr ? 0 : DrawnIn(span.path, own->power, own->deviation);
  const bool own_pausable = own != nullptr && own->pausable;
  const Milliwatts net = step.net - (own_pausable ? 0 : drawn);
  if (slot.pausable == 0 && !own_pausable) {
    return Advance(charge, net, span.length, capacity);
  }
  const PausableWork work{.power = DrawnIn(span.path, slot.pausable, slot.pausable_deviation) +
                                   (own_pausable ? drawn : 0),
                          .floor = slot.needed + (own == nullptr ? 0 : own->held_back)};
  return AdvanceBeside(work, charge, net, span.length, capacity);
}

bool Pack::IsBroken(size_t path) const {
  if (rows_[path] == kNotFollowed) {
    Follow(path);
  }
  return broken_[static_cast<size_t>(rows_[path])];
}

bool Pack::IsBrokenIn(size_t path, const Step& step, size_t slot) const {
  const Slot& in = slots_[slot];
  return in.working && AdvanceIn({.path = path, .slot = slot, .length = EndOf(slot) - in.begin},
                                 step, step.charge - in.at_start, /*own=*/nullptr)
                               .lowest < in.needed;
}

bool Pack::AllAreBroken(size_t path, size_t slot) const {
  if (!IsBroken(path)) {
    return !slots_[slot].working;
  }
  const Step* const steps = Steps(path);
  return std::all_of(demands_.begin(), demands_.end(), [&](const Demand& run) {
    if (!Covers(run, slots_[slot]) || run.draw.pausable) {
      return true;
    }
    for (size_t i = SlotAt(run.begin); i < slots_.size() && Covers(run, slots_[i]); ++i) {
      if (IsBrokenIn(path, steps[i], i)) {
        return true;
      }
    }
    return false;
  });
}

// A run that begins later by s seconds has drawn less before any moment, by its power in the path
// times s at most, and the charge there is higher by that at most: losses of a full pack and
// undelivered draw of an empty one only make the difference smaller. A lack of charge at `moment`
// therefore remains until the run draws less by that lack before it, or begins after it.
Seconds RetryFrom(const Demand& demand, Milliwatts power, Seconds moment, Millijoules lack) {
  const Seconds drawing = std::min(moment, demand.end()) - demand.begin;
  const Seconds too_long = power > 0 ? (lack + power - 1) / power : drawing;
  return moment - std::max<Seconds>(0, drawing - too_long);
}

Millijoules Pack::ChargeAt(size_t path, Seconds moment) const {
  const size_t slot = SlotAt(moment);
  const Step& step = Steps(path)[slot];
  const Millijoules charge = step.charge - slots_[slot].at_start;
  const Seconds passed = moment - slots_[slot].begin;
  return passed > 0 ? AdvanceIn({path, slot, passed}, step, charge, /*own=*/nullptr).end : charge;
}

// Follows the path from the demand's begin. Before the begin nothing changes. Once the demand is
// over and the charge equals that without the demand, nothing changes any more.
Pack::Outcome Pack::Try(size_t path, const Demand& demand) const {
  Outcome outcome;
  const Step* const steps = Steps(path);
  size_t i = SlotAt(demand.begin);
  Millijoules charge = ChargeAt(path, demand.begin) - demand.draw.at_start;
  const Milliwatts drawn = DrawnIn(path, demand.draw.power, demand.draw.deviation);
  Seconds at = demand.begin;
  while (i < slots_.size()) {
    const Slot& slot = slots_[i];
    const bool own = at < demand.end();
    // From here on the path equals the one without the demand, or no work is left whose floor could
    // break.
    if (!own && (i >= slots_until_idle_ || (at == slot.begin && charge == steps[i].charge))) {
      break;
    }
    if (at == slot.begin && at != demand.begin) {
      charge -= slot.at_start;
    }
    const Seconds end = own ? std::min(demand.end(), EndOf(i)) : EndOf(i);
    const Milliwatts net = steps[i].net - (own ? drawn : 0);
    const Level level =
        AdvanceIn({path, i, end - at}, steps[i], charge, own ? &demand.draw : nullptr);
    const Millijoules needed = slot.needed + (own ? demand.draw.held_back : 0);
    if (level.lowest < needed && (slot.working || (own && !demand.draw.pausable))) {
      // A falling charge is lowest at the end of the piece, a rising one at its begin.
      const Seconds retry_from =
          RetryFrom(demand, drawn, net < 0 ? end : at, needed - level.lowest);
      if (own && !demand.draw.pausable) {
        outcome.own_until = std::max(outcome.own_until.value_or(0), retry_from);
      }
      // A run whose floor is already broken in this path cannot be broken again.
      if (!AllAreBroken(path, i)) {
        outcome.newly_until = std::max(outcome.newly_until.value_or(0), retry_from);
      }
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
  WATTLE_CHECK(demand.begin >= now_ && demand.draw.length > 0, "work begins now or later");
  retry_from = demand.begin + 1;
  if (demand.end() > horizon()) {
    return false;
  }
  const int broken_paths_max = told_->spec.broken_paths_max;
  const bool too_many = broken_paths_ > broken_paths_max;
  // If reserved work already breaks more paths than allowed, only paths that the demand itself
  // breaks count.
  int counted = too_many ? 0 : broken_paths_;
  Seconds first_retry = horizon();
  Kept kept(*told_);
  for (const size_t path : told_->darkest_first) {
    if (kept.Covers(path)) {
      continue;
    }
    const bool is_broken = IsBroken(path);
    if (is_broken && !too_many) {  // The path is counted.
      continue;
    }
    const Outcome outcome = Try(path, demand);
    if (too_many && outcome.newly_until.has_value()) {
      // Too many paths are broken already, so no further reserved run may be broken.
      retry_from = std::max(retry_from, *outcome.newly_until);
      return false;
    }
    const bool breaks = outcome.own_until.has_value() || outcome.newly_until.has_value();
    if (breaks) {
      ++counted;
      const Seconds until =
          std::max(outcome.own_until.value_or(0), outcome.newly_until.value_or(0));
      first_retry =
          std::min(first_retry, std::max(until, EarliestPromise(path, demand.draw, demand.begin)));
    }
    if (counted > broken_paths_max) {
      // To fit, one of the paths that break the floor must keep it.
      retry_from = std::max(retry_from, first_retry);
      return false;
    }
    if (!breaks && !is_broken) {
      kept.Add(path);
    }
  }
  return true;
}

// The charge at a run's end is the charge without the run minus its joules, unless the pack is full
// meanwhile and loses sun that the run could have used, or pausable work makes way for it.
Seconds Pack::EarliestPromise(size_t path, const Draw& draw, Seconds begin) const {
  const Milliwatts power = DrawnIn(path, draw.power, draw.deviation);
  const Millijoules joules = draw.at_start + power * draw.length + draw.held_back;
  const Step* const steps = Steps(path);
  for (size_t i = SlotAt(begin); i < slots_.size(); ++i) {
    const Millijoules most = std::max(steps[i].charge, steps[i + 1].charge);
    if (slots_[i].pausable > 0 ||
        most >= std::min(told_->spec.capacity, slots_[i].needed + joules)) {
      return std::max(begin, slots_[i].begin - draw.length);
    }
  }
  return horizon();
}

std::optional<Seconds> Pack::EarliestFit(const Draw& draw, Seconds after) const {
  // With one path and no allowed break, the cheap bound of EarliestPromise applies to every start.
  const bool one_path_decides =
      told_->spec.harvest.size() == 1 && told_->spec.broken_paths_max == 0 && broken_paths_ == 0;
  Seconds begin = std::max(after, now_);
  while (begin + draw.length <= horizon()) {
    if (one_path_decides) {
      if (const Seconds promise = EarliestPromise(/*path=*/0, draw, begin); promise > begin) {
        begin = (promise + kStartStep - 1) / kStartStep * kStartStep;
        continue;
      }
    }
    Seconds retry_from = 0;
    if (FitsOr({.begin = begin, .draw = draw}, retry_from)) {
      return begin;
    }
    // Skips all starts that the failed try has excluded, then returns to the grid.
    begin = (retry_from + kStartStep - 1) / kStartStep * kStartStep;
  }
  return std::nullopt;
}

size_t Pack::PathOf(size_t darker_percent) const {
  const std::vector<size_t>& paths = told_->darkest_first;
  return paths[(paths.size() - 1) * darker_percent / 100];
}

std::optional<Seconds> Pack::EarliestFitIn(size_t darker_percent, const Draw& draw,
                                           Seconds after) const {
  const size_t path = PathOf(darker_percent);
  const auto in_grid = [](Seconds at) { return (at + kStartStep - 1) / kStartStep * kStartStep; };
  Seconds begin = std::max(after, now_);
  while (begin + draw.length <= horizon()) {
    if (const Seconds promise = EarliestPromise(path, draw, begin); promise > begin) {
      begin = in_grid(promise);
      continue;
    }
    const Outcome outcome = Try(path, {.begin = begin, .draw = draw});
    if (!outcome.own_until.has_value() && !outcome.newly_until.has_value()) {
      return begin;
    }
    begin = in_grid(std::max({begin + 1, outcome.own_until.value_or(0),  // No earlier begin fits.
                              outcome.newly_until.value_or(0)}));
  }
  return std::nullopt;
}

std::optional<Seconds> Pack::EndIfPaused(const Demand& demand, Seconds restart,
                                         size_t darker_percent) const {
  WATTLE_CHECK(demand.begin >= now_ && demand.draw.length > 0, "work begins now or later");
  const size_t path = PathOf(darker_percent);
  const Step* const steps = Steps(path);
  Draw draw = demand.draw;
  draw.pausable = true;
  draw.deviation = 0;  // The answer uses the mean draw.
  size_t i = SlotAt(demand.begin);
  Millijoules charge = ChargeAt(path, demand.begin) - draw.at_start;
  Seconds left = draw.length;
  Seconds worked_last_day = 0;
  const Seconds last_day = horizon() - kDay;
  bool rested = false;
  for (Seconds at = demand.begin; i < slots_.size(); ++i) {
    if (at != demand.begin) {
      charge -= slots_[i].at_start;
    }
    const Seconds length = EndOf(i) - at;
    const Level level = AdvanceIn({path, i, length}, steps[i], charge, &draw);
    if (level.worked > 0) {
      // Each resumption repeats the restart work.
      left += rested ? restart : 0;
      if (level.worked >= left) {
        return at + (length * left + level.worked - 1) / level.worked;
      }
      left -= level.worked;
    }
    worked_last_day += at >= last_day ? level.worked : 0;
    rested = level.worked == 0;
    charge = level.end;
    at = EndOf(i);
  }
  // Beyond the horizon the rest takes whole and part days at the last day's work per day.
  return demand.begin <= last_day && worked_last_day > 0
             ? std::optional(horizon() + (left * kDay + worked_last_day - 1) / worked_last_day)
             : std::nullopt;
}

bool Pack::FitsWhenFull(const Draw& draw, Seconds begin) const {
  WATTLE_CHECK(begin >= now_ && draw.length > 0, "work begins now or later");
  if (begin + draw.length > horizon()) {
    return false;
  }
  int broken_paths = 0;
  Kept kept(*told_);
  for (const size_t path : told_->darkest_first) {
    if (kept.Covers(path)) {
      continue;
    }
    if (KeepsFloorFromFull(path, draw, begin)) {
      kept.Add(path);
    } else if (++broken_paths > told_->spec.broken_paths_max) {
      return false;
    }
  }
  return true;
}

bool Pack::KeepsFloorFromFull(size_t path, const Draw& draw, Seconds begin) const {
  const PackSpec& spec = told_->spec;
  const Seconds end = begin + draw.length;
  const Milliwatts used = spec.idle + DrawnIn(path, draw.power, draw.deviation);
  Millijoules charge = spec.capacity - draw.at_start;
  for (Seconds at = begin; at < end;) {
    const Seconds hour = (at - spec.first_hour) / kHour;
    Seconds until = std::min(end, spec.first_hour + (hour + 1) * kHour);
    if (const auto next = NextStep(spec.floor, at); next != spec.floor.end()) {
      until = std::min(until, next->from);
    }
    const Level level = Advance(charge, spec.harvest[path][static_cast<size_t>(hour)] - used,
                                until - at, spec.capacity);
    if (level.lowest < FloorAt(spec.floor, at) + draw.held_back) {
      return false;
    }
    charge = level.end;
    at = until;
  }
  return true;
}

ChargeQuantiles Pack::QuantilesAt(Seconds at, size_t slot) const {
  std::vector<Millijoules> charges;
  for (size_t path = 0; path < rows_.size(); ++path) {
    charges.push_back(Steps(path)[slot].charge);
  }
  std::sort(charges.begin(), charges.end());
  return {.at = at,
          .low = Quantile(charges, 10),
          .median = Quantile(charges, 50),
          .high = Quantile(charges, 90)};
}

std::vector<ChargeQuantiles> Pack::ChargeByHour() const {
  std::vector<ChargeQuantiles> hours = {QuantilesAt(now_, 0)};
  for (size_t i = 1; i < slots_.size(); ++i) {
    if ((slots_[i].begin - told_->spec.first_hour) % kHour == 0) {
      hours.push_back(QuantilesAt(slots_[i].begin, i));
    }
  }
  hours.push_back(QuantilesAt(horizon(), slots_.size()));
  return hours;
}

ChargeOfRun Pack::ChargeIn(size_t path, const Demand& demand, Seconds until) const {
  ChargeOfRun run;
  Millijoules charge = charge_now_;
  Seconds at = now_;
  for (size_t i = 0; i < slots_.size() && at < until;) {
    const bool own = demand.begin <= at && at < demand.end();
    if (at == demand.begin) {
      run.begin = charge;
      charge -= demand.draw.at_start;
    }
    charge -= at == slots_[i].begin ? slots_[i].at_start : 0;
    Seconds end = std::min(EndOf(i), until);
    for (const Seconds change : {demand.begin, demand.end()}) {
      end = at < change ? std::min(end, change) : end;
    }
    charge = AdvanceIn({path, i, end - at}, StepIn(path, i, charge), charge,
                       own ? &demand.draw : nullptr)
                 .end;
    at = end;
    i += at == EndOf(i) ? 1 : 0;
  }
  run.end = charge;
  return run;
}

ChargeOfRun Pack::MedianCharge(const Demand& demand, Seconds until) const {
  WATTLE_CHECK(
      demand.begin >= now_ && demand.draw.length > 0 && demand.end() <= until && until <= horizon(),
      "the run is within the horizon");
  std::vector<Millijoules> begins;
  std::vector<Millijoules> ends;
  for (size_t path = 0; path < told_->spec.harvest.size(); ++path) {
    const ChargeOfRun run = ChargeIn(path, demand, until);
    begins.push_back(run.begin);
    ends.push_back(run.end);
  }
  const auto median = [](std::vector<Millijoules>& charges) {
    std::sort(charges.begin(), charges.end());
    return Quantile(charges, 50);
  };
  return {.begin = median(begins), .end = median(ends)};
}

}  // namespace wattle::timetable
