// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/recorder.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/time/time.h"

#include "coordinator/core/forecasts.h"
#include "coordinator/core/state.h"
#include "proto/state_names.h"
#include "scheduler/place/snapshot.h"
#include "sim/coordinator.h"
#include "sim/options.h"
#include "sim/scenario/drawn_boards.h"

namespace wattle::sim {
namespace {

constexpr double kSampleSecondsMin = 900.0;
// For milliwatts, and for the trust in a forecast.
constexpr double kThousandths = 1000.0;

double UnixSecondsAt(double at_seconds) {
  return absl::ToDoubleSeconds(TrueTime(at_seconds) - absl::UnixEpoch());
}

int64_t UnixHourAt(double at_seconds) {
  return static_cast<int64_t>(std::floor(UnixSecondsAt(at_seconds) / kSecondsOfHour));
}

// From the days before, and from a forecast weighted by its trust.
std::optional<Watts> ExpectedSun(Coordinator& coordinator, const std::string& device_id,
                                 double at_seconds) {
  const core::State& state = coordinator.durable();
  const v1::DeviceRecord* device = core::FindDevice(state, DeviceId(device_id));
  if (device == nullptr || device->ledger().harvest_power_watts_by_hour().empty()) {
    return std::nullopt;
  }
  const int64_t hour = UnixHourAt(at_seconds);
  const Watts before(device->ledger().harvest_power_watts_by_hour(
      static_cast<int>(hour % static_cast<int64_t>(kHoursOfDay))));
  if (before < Watts(0)) {
    return std::nullopt;
  }
  const std::optional<scheduler::SunForecast> forecast = core::TrustedForecast(
      state, coordinator.observations(), device->info(), TrueTime(at_seconds));
  const int64_t index = forecast.has_value() ? hour - forecast->first_hour : -1;
  if (index < 0 || index >= static_cast<int64_t>(forecast->power.size())) {
    return before;
  }
  const double share = static_cast<double>(forecast->trust) / kThousandths;
  const Watts told(static_cast<double>(forecast->power[static_cast<size_t>(index)]) / kThousandths);
  return before * (1.0 - share) + told * share;
}

std::optional<Watts> ToldSun(const core::State& state, const std::string& group,
                             double at_seconds) {
  const v1::HarvestForecast* forecast = state.forecasts.Find(group);
  if (forecast == nullptr) {
    return std::nullopt;
  }
  const int64_t index = UnixHourAt(at_seconds) -
                        static_cast<int64_t>(forecast->first_hour_unix_seconds() / kSecondsOfHour);
  return index < 0 || index >= forecast->power_watts_size()
             ? std::nullopt
             : std::optional(Watts(forecast->power_watts(static_cast<int>(index))));
}

void AddPhases(const v1::Receipt& receipt, std::vector<PhaseRecord>& phases) {
  for (const v1::PhaseEnergy& part : receipt.phases()) {
    const auto place = std::find_if(phases.begin(), phases.end(), [&part](const PhaseRecord& one) {
      return one.phase >= part.phase();
    });
    const bool is_new = place == phases.end() || place->phase != part.phase();
    PhaseRecord& sum = is_new ? *phases.insert(place, {.phase = part.phase()}) : *place;
    sum.seconds += part.seconds();
    sum.energy += Joules(part.gross_energy_joules());
  }
}

}  // namespace

JobOutcome OutcomeOf(const v1::Job& job, double scenario_end_unix_seconds) {
  const bool ended = IsTerminal(job.state());
  const double deadline = job.spec().deadline_seconds();
  JobOutcome outcome;
  outcome.ended_unix_seconds = ended ? job.finished_unix_seconds() : scenario_end_unix_seconds;
  outcome.done = job.state() == v1::JOB_STATE_SUCCEEDED;
  const double late = outcome.ended_unix_seconds - job.submitted_unix_seconds() - deadline;
  outcome.late_seconds = deadline > 0.0 ? std::max(0.0, late) : 0.0;
  const bool gone = ended && !outcome.done;
  outcome.missed = outcome.late_seconds > 0.0 || (gone && deadline > 0.0);
  outcome.failed = gone && deadline == 0.0;
  outcome.open = !ended;
  return outcome;
}

double SampleSeconds(double duration_seconds) {
  const double samples = duration_seconds / kSampleSecondsMin;
  return kSampleSecondsMin * std::max(1.0, std::ceil(samples / kSamplesMax));
}

Recorder::Recorder(const Scenario& scenario, uint64_t seed, Fleet& fleet, double begin_seconds)
    : fleet_(fleet),
      begin_seconds_(begin_seconds),
      step_seconds_(SampleSeconds(scenario.duration_seconds)) {
  for (const BoardGroup& group : scenario.fleet) {
    for (int number = 1; number <= group.count; ++number) {
      BoardRecord board;
      board.name = group.BoardName(number);
      board.group = group.name;
      board.device_class = group.board_class.name;
      board.shared_pack = SharedPackOf(scenario, group);
      board.times_off = TimesOff(scenario, group, static_cast<int>(recording_.boards.size()), seed);
      recording_.boards.push_back(std::move(board));
    }
  }
}

// Boards advance as they work. Sample uses copies, because an additional stop of the board itself
// would change the rounding of its charge.
void Recorder::Sample(double at_seconds) {
  recording_.events.push_back({at_seconds - begin_seconds_, fleet_.invariants().chain()});
  Coordinator& coordinator = fleet_.coordinator();
  for (size_t i = 0; i < recording_.boards.size(); ++i) {
    Worker& worker = *fleet_.workers()[i];
    if (!worker.board().has_battery()) {
      continue;
    }
    const PackMoment pack = worker.board().PackAt(at_seconds);
    recording_.boards[i].pack.push_back(
        {.at_seconds = at_seconds - begin_seconds_,
         .charge = pack.charge,
         .sun = pack.sun,
         .expected_sun = ExpectedSun(coordinator, worker.device_id(), at_seconds),
         .told_sun = ToldSun(coordinator.durable(), recording_.boards[i].group, at_seconds)});
  }
}

void Recorder::AddEnergy() {
  EnergyRecord& energy = recording_.energy;
  for (const auto& [id, device] : fleet_.coordinator().durable().devices) {
    energy.idle += Joules(device.ledger().idle_energy_joules());
    energy.overhead += Joules(device.ledger().overhead_energy_joules());
    energy.attempts += Joules(device.ledger().attempt_energy_joules());
  }
}

void Recorder::AddJob(const v1::Job& job, const std::string& group, double end_unix_seconds) {
  const double begin_unix_seconds = UnixSecondsAt(begin_seconds_);
  for (const v1::Attempt& attempt : job.attempts()) {
    AddPhases(attempt.receipt(), recording_.energy.phases);
    const auto board = board_of_device_.find(attempt.device_id());
    if (board == board_of_device_.end() || attempt.accepted_unix_seconds() == 0.0) {
      continue;  // the board never had it
    }
    AttemptRecord record;
    record.job = job.spec().name();
    record.group = group;
    record.begin_seconds = attempt.accepted_unix_seconds() - begin_unix_seconds;
    record.end_seconds =
        (IsTerminal(attempt.state()) ? attempt.finished_unix_seconds() : end_unix_seconds) -
        begin_unix_seconds;
    record.state = attempt.state();
    record.reason = attempt.reason();
    if (attempt.has_receipt()) {
      record.energy = Joules(attempt.receipt().total().gross_energy_joules());
    }
    recording_.boards[board->second].attempts.push_back(std::move(record));
  }
  const JobOutcome outcome = OutcomeOf(job, end_unix_seconds);
  if (outcome.missed || outcome.failed) {
    recording_.lost_jobs.push_back({.job = job.spec().name(),
                                    .missed = outcome.missed,
                                    .state = job.state(),
                                    .reason = job.reason(),
                                    .late_seconds = outcome.late_seconds});
  }
}

Recording Recorder::Finish(const std::map<std::string, std::string>& groups, double at_seconds) && {
  Sample(at_seconds);
  AddEnergy();
  for (size_t i = 0; i < recording_.boards.size(); ++i) {
    Worker& worker = *fleet_.workers()[i];
    board_of_device_[worker.device_id()] = i;
    recording_.boards[i].reserve = worker.board().settings().reserve;
  }
  for (const auto& [number, record] : fleet_.coordinator().durable().jobs) {
    AddJob(record.job(), groups.at(record.job().spec().name()), UnixSecondsAt(at_seconds));
  }
  for (BoardRecord& board : recording_.boards) {
    std::stable_sort(board.attempts.begin(), board.attempts.end(),
                     [](const AttemptRecord& a, const AttemptRecord& b) {
                       return a.begin_seconds < b.begin_seconds;
                     });
  }
  return std::move(recording_);
}

}  // namespace wattle::sim
