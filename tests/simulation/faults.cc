// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/faults.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "policy/schedule.h"

namespace wattle::sim {
namespace {

constexpr double kTenDaysSeconds = 10.0 * 86400.0;
constexpr double kLinksThatDie = 0.5;
constexpr double kStuckOutages = 5.0;  // a sensor is stuck longer than a link is down
constexpr double kLateSecondsMin = 120.0;
constexpr int kLateDraws = 20;
constexpr double kLateSecondsMax = 12.0 * 3600.0;
constexpr double kLateOutages = 20.0;  // until a time service is found
constexpr double kLateOffline = 0.5;   // share of these boards that also lack a link
constexpr double kHoldOutages = 3.0;   // a hold outlasts reboots
constexpr double kHoldsGivenBack = 0.3;
constexpr double kSickOutages = 4.0;  // an idle board must report it within 90 s
constexpr double kStrangers = 0.5;    // share of the coordinator's former addresses
constexpr double kStrangerOutages = 3.0;
constexpr double kNarrowOutages = 8.0;
constexpr double kNarrowBytesMin = 1e3;  // per second
constexpr double kNarrowBytesMax = 1e5;
constexpr double kRoundTripsSeconds[] = {0.2, 1.0, 3.0};
constexpr double kRareContacts = 0.3;  // share of narrow links
constexpr int kContacts = 4;
constexpr double kContactShare = 0.1;  // share of the time
constexpr double kLoadOutages = 5.0;   // other programs run longer than a job
// About 13 months, so that some of the certificates ended less than 400 days ago.
constexpr double kMonthsOfDaysMin = 390.0;
constexpr double kMonthsOfDaysMax = 404.0;
constexpr double kYearsSeconds = 40.0 * 365.0 * 86400.0;

}  // namespace

void Faults::Start() {
  for (size_t i = 0; i < kFaults; ++i) {
    if (parts_.options.mean_seconds[i] > 0.0) {
      Repeat(static_cast<Fault>(i));
    }
  }
}

void Faults::Stop() {
  on_ = false;
  for (const std::function<void()>& mend : std::exchange(mends_, {})) {
    mend();
  }
  parts_.network.StopFaults();
  parts_.users.StopFaults();
  for (const std::unique_ptr<Worker>& worker : parts_.workers) {
    worker->StopFaults();
  }
}

void Faults::Repeat(Fault fault) {
  const double mean_seconds = parts_.options.mean_seconds[static_cast<size_t>(fault)];
  const double wait_seconds = -mean_seconds * std::log(1.0 - parts_.random.Fraction());
  parts_.loop.After(wait_seconds, [this, fault] {
    if (on_) {
      parts_.counts.faults[static_cast<size_t>(fault)] += Inject(fault) ? 1 : 0;
      Repeat(fault);
    }
  });
}

void Faults::For(double seconds, const std::function<void(bool)>& set) {
  const auto over = std::make_shared<bool>(false);
  const auto mend = [set, over] {
    if (!std::exchange(*over, true)) {
      set(false);
    }
  };
  set(true);
  parts_.loop.After(seconds, mend);
  mends_.push_back(mend);
}

bool Faults::StopCoordinator(ProcessStop how) {
  if (!parts_.coordinator.alive()) {
    return false;
  }
  parts_.coordinator.Stop(how);
  parts_.loop.After(Outage(), [this] { parts_.coordinator.Restart(); });
  return true;
}

bool Faults::MoveCoordinator() {
  if (!StopCoordinator(ProcessStop::kCrash)) {
    return false;
  }
  parts_.addresses.Move(parts_.loop.now_seconds() +
                        (parts_.random.Chance(kStrangers) ? Outage() * kStrangerOutages : 0.0));
  return true;
}

// Some links break during the standstill, because some keepalives end sooner than others.
bool Faults::LetCoordinatorStandStill() {
  if (!parts_.coordinator.StandStill()) {
    return false;
  }
  For(Outage(), [this, life = parts_.coordinator.life()](bool on) {
    if (!on && parts_.coordinator.life() == life) {
      parts_.coordinator.Resume();
    }
  });
  parts_.network.BreakSome(kLinksThatDie);
  return true;
}

bool Faults::StopWorker(WorkerStop how) {
  Worker& worker = AnyWorker();
  if (!worker.alive()) {
    return false;
  }
  if (how == WorkerStop::kPowerCut) {
    worker.CutPowerSoon();
    return true;
  }
  worker.Stop(how == WorkerStop::kCrash ? ProcessStop::kCrash : ProcessStop::kPowerCut);
  if (how == WorkerStop::kDiskLost) {
    worker.LoseDisk();
  }
  parts_.loop.After(Outage(), [&worker] { worker.Start(); });
  return true;
}

double Faults::LateSeconds(const Worker& worker) {
  const double most_seconds = std::min(kLateSecondsMax, parts_.options.fault_seconds);
  const absl::Time now = TrueTime(parts_.loop.now_seconds());
  double late_seconds = 0.0;
  for (int draw = 0; draw < kLateDraws; ++draw) {
    late_seconds = parts_.random.Between(kLateSecondsMin, most_seconds);
    const absl::Time shown = now - absl::Seconds(late_seconds);
    if (policy::OpensAt(worker.windows(), now) > now &&
        policy::OpensAt(worker.windows(), shown) <= shown) {
      break;
    }
  }
  return late_seconds;
}

bool Faults::LoseTime(Worker& worker) {
  if (!worker.alive()) {
    return false;
  }
  worker.Stop(ProcessStop::kPowerCut);
  const double late_seconds = LateSeconds(worker);
  const double without_seconds = Outage() * kLateOutages;
  For(without_seconds,
      [&worker, late_seconds](bool on) { worker.SetClockLate(on ? late_seconds : 0.0); });
  if (parts_.random.Chance(kLateOffline)) {
    For(without_seconds * parts_.random.Fraction(),
        [this, device = worker.number()](bool on) { parts_.network.SetPartitioned(device, on); });
  }
  parts_.loop.After(Outage(), [&worker] { worker.Start(); });
  return true;
}

bool Faults::HarmRail(Board::SensorFaults& sensors, Fault fault) {
  if (sensors.gauge_stuck) {
    return false;
  }
  bool& harmed = fault == Fault::kRailStuck    ? sensors.rail_stuck
                 : fault == Fault::kRailGone   ? sensors.rail_gone
                 : fault == Fault::kRailAbsurd ? sensors.rail_absurd
                                               : sensors.rail_flaps;
  For(Outage() * kStuckOutages, [&harmed](bool on) { harmed = on; });
  return true;
}

// The world does not wait for the board: its certificate is older when the board returns.
bool Faults::BeAwayForMonths(Worker& worker) {
  const DeviceId device(worker.device_id());
  if (!worker.alive() || !parts_.certificates.Has(device)) {
    return false;
  }
  worker.Stop(ProcessStop::kPowerCut);
  parts_.certificates.Age(
      device, absl::Hours(24) * parts_.random.Between(kMonthsOfDaysMin, kMonthsOfDaysMax));
  parts_.loop.After(Outage(), [&worker] { worker.Start(); });
  return true;
}

bool Faults::Narrow(Worker& worker) {
  const int device = worker.number();
  const double seconds = Outage() * kNarrowOutages;
  const double bytes_per_second =
      kNarrowBytesMin * std::pow(kNarrowBytesMax / kNarrowBytesMin, parts_.random.Fraction());
  const double round_trip_seconds =
      kRoundTripsSeconds[parts_.random.Below(std::size(kRoundTripsSeconds))];
  For(seconds, [this, &worker, bytes_per_second, round_trip_seconds](bool on) {
    worker.SetNarrowLink(on ? std::optional(bytes_per_second) : std::nullopt);
    parts_.network.SetRoundTrip(worker.number(), on ? round_trip_seconds : 0.0);
  });
  if (parts_.random.Chance(kRareContacts)) {
    for (int i = 0; i < kContacts; ++i) {
      parts_.loop.After(seconds * i / kContacts, [this, device, seconds] {
        if (on_) {
          For(seconds * (1.0 - kContactShare) / kContacts,
              [this, device](bool on) { parts_.network.SetPartitioned(device, on); });
        }
      });
    }
  }
  return true;
}

// The operator decides later.
bool Faults::ShutOut(Worker& worker, Fault fault) {
  const bool done = fault == Fault::kRevocation ? letting_in_.Revoke(worker)
                    : fault == Fault::kApproval ? letting_in_.EnrolToWait(worker)
                                                : letting_in_.Double(worker);
  if (done) {
    For(Outage(), [this, device = DeviceId(worker.device_id())](bool on) {
      if (!on) {
        letting_in_.LetIn(device);
      }
    });
  }
  return done;
}

bool Faults::Inject(Fault fault) {
  return fault <= Fault::kArtifactEviction ? InjectCoordinatorFault(fault)
                                           : InjectWorkerFault(fault);
}

bool Faults::InjectCoordinatorFault(Fault fault) {
  Coordinator& coordinator = parts_.coordinator;
  switch (fault) {
    case Fault::kCoordinatorCrash:
      return StopCoordinator(ProcessStop::kCrash);
    case Fault::kCoordinatorPowerCut:
      return StopCoordinator(ProcessStop::kPowerCut);
    case Fault::kBackup:
      return coordinator.Backup();
    case Fault::kRestore:
      if (!coordinator.Restore()) {
        return false;
      }
      parts_.users.AskAgain();
      letting_in_.AskAgain();
      parts_.loop.After(Outage(), [this] { parts_.coordinator.Restart(); });
      return true;
    case Fault::kCoordinatorDiskFull:
      For(Outage(), [&coordinator](bool on) { coordinator.disk().SetFull(on); });
      return true;
    case Fault::kCoordinatorClockStep: {
      const double step = parts_.random.Between(-kTenDaysSeconds, kTenDaysSeconds);
      For(Outage(), [&coordinator, step](bool on) { coordinator.StepClock(on ? step : -step); });
      return true;
    }
    case Fault::kCoordinatorStandstill:
      return LetCoordinatorStandStill();
    case Fault::kArtifactEviction:
      return coordinator.EvictSomeArtifact();
    default:
      return false;
  }
}

// NOLINTNEXTLINE(readability-function-size): a case of few lines for each fault
bool Faults::InjectWorkerFault(Fault fault) {
  Worker& worker = AnyWorker();
  Board::SensorFaults& sensors = worker.board().sensors;
  switch (fault) {
    case Fault::kWorkerCrash:
      return StopWorker(WorkerStop::kCrash);
    case Fault::kWorkerPowerCut:
      return StopWorker(WorkerStop::kPowerCut);
    case Fault::kWorkerDiskLost:
      return StopWorker(WorkerStop::kDiskLost);
    case Fault::kWorkerDiskFull:
      For(Outage(), [&worker](bool on) {
        worker.SetDisk(on ? Worker::Disk::kFull : Worker::Disk::kHealthy);
      });
      return true;
    case Fault::kWorkerFileDamaged:
      return worker.DamageFile();
    case Fault::kWorkerClockStep: {
      const double step = parts_.random.Between(-kTenDaysSeconds, kTenDaysSeconds);
      For(Outage(), [&worker, step](bool on) { worker.StepClock(on ? step : -step); });
      return true;
    }
    case Fault::kPartition: {
      const int device = AnyDevice();
      For(Outage() * 2.0, [this, device](bool on) { parts_.network.SetPartitioned(device, on); });
      return true;
    }
    case Fault::kRunnerCrash:
      return worker.BreakRunner(Worker::RunnerFault::kCrash);
    case Fault::kRunnerHang:
      return worker.BreakRunner(Worker::RunnerFault::kHang);
    case Fault::kGaugeSilent:
      For(Outage(), [&sensors](bool on) { sensors.gauge_silent = on; });
      return worker.board().has_battery();
    case Fault::kGaugeLies: {
      const Fraction says(parts_.random.Fraction());
      For(Outage(), [&sensors, says](bool on) {
        sensors.gauge_says = on ? std::optional<Fraction>(says) : std::nullopt;
      });
      return worker.board().has_battery();
    }
    // The meter's joules check a gauge without current, so the two are not stuck at once.
    case Fault::kGaugeStuck:
      if (!worker.board().has_battery() || sensors.rail_is_ill() || sensors.gauge_says) {
        return false;
      }
      For(Outage() * kStuckOutages, [&sensors](bool on) { sensors.gauge_stuck = on; });
      return true;
    case Fault::kOwnerHold: {
      const double seconds = Outage() * kHoldOutages;
      if (!worker.HoldByOwner(seconds)) {
        return false;
      }
      if (parts_.random.Chance(kHoldsGivenBack)) {
        parts_.loop.After(seconds * parts_.random.Fraction(),
                          [&worker] { worker.ReleaseByOwner(); });
      }
      return true;
    }
    case Fault::kClockLate: {
      // Prefers a board with a window that is closed now.
      const absl::Time now = TrueTime(parts_.loop.now_seconds());
      for (const std::unique_ptr<Worker>& other : parts_.workers) {
        if (other->alive() && policy::OpensAt(other->windows(), now) > now) {
          return LoseTime(*other);
        }
      }
      return LoseTime(worker);
    }
    case Fault::kRailStuck:
    case Fault::kRailGone:
    case Fault::kRailAbsurd:
    case Fault::kRailFlaps:
      return HarmRail(sensors, fault);
    case Fault::kUpgrade:
      return upgrading_.Step();
    case Fault::kRootRotation:
      return parts_.certificates.Rotate();
    case Fault::kMonthsOffline:
      return BeAwayForMonths(worker);
    case Fault::kWorkerDiskSick: {
      constexpr Worker::Disk kKinds[] = {Worker::Disk::kReadOnly, Worker::Disk::kError,
                                         Worker::Disk::kSlow};
      const Worker::Disk kind = kKinds[parts_.random.Below(3)];
      For(Outage() * kSickOutages,
          [&worker, kind](bool on) { worker.SetDisk(on ? kind : Worker::Disk::kHealthy); });
      return true;
    }
    case Fault::kRevocation:
    case Fault::kApproval:
    case Fault::kCopiedCard:
      return ShutOut(worker, fault);
    case Fault::kCoordinatorYears: {
      const double step = parts_.random.Between(-kYearsSeconds, kYearsSeconds);
      For(Outage(), [this, step](bool on) { parts_.coordinator.StepClock(on ? step : -step); });
      return true;
    }
    case Fault::kWorkerYears: {
      const double step = parts_.random.Between(-kYearsSeconds, kYearsSeconds);
      For(Outage(), [&worker, step](bool on) { worker.StepClock(on ? step : -step); });
      return true;
    }
    case Fault::kOtherLoad:
      For(Outage() * kLoadOutages, [&worker](bool on) { worker.SetOtherLoad(on); });
      return true;
    case Fault::kMove:
      return MoveCoordinator();
    case Fault::kWeakSupply:
      For(Outage(), [&worker](bool on) { worker.SetWeakSupply(on); });
      return true;
    case Fault::kModeOfOwner:
      return worker.SetModeByOwner();
    case Fault::kMemoryTaken:
      For(Outage() * kLoadOutages, [&worker](bool on) { worker.SetMemoryTaken(on); });
      return true;
    case Fault::kNarrowLink:
      return Narrow(worker);
    case Fault::kLinkPolicy:
      parts_.users.ChangeLinkPolicy();
      return true;
    case Fault::kSag:
      sensors.gauge_sags = true;
      return worker.board().has_battery();
    case Fault::kThermometerSilent:
      For(Outage(), [&sensors](bool on) { sensors.thermometer_silent = on; });
      return true;
    case Fault::kHeat: {
      const double ambient = parts_.random.Between(40.0, 60.0);
      For(Outage(),
          [&worker, ambient](bool on) { worker.board().SetAmbient(Celsius(on ? ambient : 25.0)); });
      return true;
    }
    case Fault::kClouds: {
      const double share = parts_.random.Between(0.0, 0.3);
      For(Outage() * 3.0,
          [&worker, share](bool on) { worker.board().SetClouds(on ? share : 1.0); });
      return true;
    }
    case Fault::kEviction:
      worker.EvictCache();
      return true;
    case Fault::kPolicyChange: {
      // A reserve a little below the battery's charge, so that the guard must act.
      const double charge = worker.board().has_battery() ? worker.board().charge().value() : 0.5;
      parts_.users.ChangePolicies(
          Fraction(std::clamp(charge - parts_.random.Between(0.0, 0.15), 0.05, 0.8)));
      return true;
    }
    case Fault::kDrain:
      parts_.users.DrainAndResume(DeviceId(worker.device_id()));
      return true;
    case Fault::kCancel:
      parts_.users.CancelSomeJob();
      return true;
    default:
      return false;
  }
}

}  // namespace wattle::sim
