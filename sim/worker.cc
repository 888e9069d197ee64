// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/worker.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "proto/spec_revision.h"
#include "sim/release.h"

namespace wattle::sim {
namespace {

// Steps forth and back leave a rounding.
constexpr double kClockIsRightSeconds = 1e-3;
// The coordinator's time is off by half a round trip, and what a hello waits for there.
constexpr double kTimeErrorSeconds = 5.0;
// The shortest timer. With a shorter one, rounding between two clocks could stop the time.
constexpr double kWakeSecondsMin = 0.001;
constexpr double kBatteryPollDays = 0.01;
constexpr const char* kLowMode = "LOW";
// By how much steps take longer in the low mode, and what it draws above idle.
constexpr double kLowModeSlower = 1.5;
constexpr double kLowModeShare = 0.5;
// Of an emulated board's steps: its rows must serve no real board.
constexpr double kEmulatedSlower = 3.0;
constexpr int kCores = 4;
constexpr double kBoardsWithModes = 0.5;
constexpr double kEmulatedBoards = 0.15;
// The charge from which a board starts again.
constexpr Fraction kBootCharge(0.1);
// The power fails within this many disk operations, which covers any point of a save or a report.
constexpr int kOperationsBeforeCut = 12;
constexpr int kTornBytesMax = 60;
// The shortest time in which work may empty a battery; the gauge could not follow a faster drop
// (telemetry/battery).
constexpr absl::Duration kEmptiedByWorkMin = absl::Seconds(1300);
constexpr double kSecondsOfTrueDay = 86400.0;

// What a drawn board is beside its power; of random numbers of its own.
struct Traits {
  bool has_modes = false;
  bool emulated = false;
  SpeedChanges speed;
};

Traits DrawTraits(int number, const Options& options) {
  Random random(options.seed * 1000003 + 500'009 + static_cast<uint64_t>(number));
  Traits traits;
  traits.has_modes = random.Chance(kBoardsWithModes);
  traits.emulated = random.Chance(kEmulatedBoards);
  const auto moment = [&] { return options.fault_seconds * random.Between(0.2, 0.8); };
  if (random.Chance(0.4)) {
    traits.speed.step_at_seconds = moment();
    traits.speed.step = random.Chance(0.7) ? 1.5 : 1.0 / 1.5;
  }
  if (random.Chance(0.3)) {
    traits.speed.software_at_seconds = moment();
    traits.speed.software = random.Between(0.7, 1.5);
  }
  if (random.Chance(0.3)) {
    // Up to a third over the world's faults, either way.
    traits.speed.drift_per_day =
        0.3 * random.Between(-1.0, 1.0) * kSecondsOfTrueDay / options.fault_seconds;
  }
  if (random.Chance(0.3)) {
    traits.speed.throttle = random.Between(1.1, 1.6);
  }
  return traits;
}

BoardSettings DrawPower(int number, const Options& options) {
  // The board has its own random numbers, so that it is the same whatever happens to it.
  Random random(options.seed * 1000003 + static_cast<uint64_t>(number));
  BoardSettings board;
  board.idle = Watts(random.Between(1.5, 4.0));
  board.work = Watts(random.Between(7.0, 20.0));
  if (random.Chance(0.3)) {
    return board;  // on mains
  }
  // The battery holds between a quarter of a day and three days of idle draw, but at least as much
  // that work does not empty it too fast.
  board.day_seconds = options.day_seconds;
  board.battery =
      std::max(board.idle * absl::Seconds(options.day_seconds) * random.Between(0.25, 3.0),
               board.work * kEmptiedByWorkMin * random.Between(1.0, 2.0));
  board.charge = Fraction(random.Between(0.2, 0.9));
  board.harvest_peak = board.idle * random.Between(1.0, 5.0);
  board.noon_seconds = random.Between(0.0, options.day_seconds);
  board.gauge_error = Fraction(random.Between(0.005, 0.03));
  // Every second gauge is off by its whole stated error.
  board.gauge_bias =
      board.gauge_error.value() *
      (random.Chance(0.5) ? random.Between(-1.0, 1.0) : (random.Chance(0.5) ? 1.0 : -1.0));
  return board;
}

BoardSettings DrawBoard(int number, const Options& options) {
  BoardSettings board = DrawPower(number, options);
  board.speed = DrawTraits(number, options).speed;
  return board;
}

}  // namespace

Worker::Worker(int number, const World& world, Link link, const Machine* machine)
    : number_(number),
      world_(world),
      link_(std::move(link)),
      machine_(machine == nullptr ? std::nullopt : std::optional(*machine)),
      emulated_(machine == nullptr && DrawTraits(number, world.options).emulated),
      has_modes_(machine == nullptr && DrawTraits(number, world.options).has_modes),
      board_(machine == nullptr ? DrawBoard(number, world.options) : machine->board),
      disk_(world.options.seed * 7777 + static_cast<uint64_t>(number)) {}

Worker::~Worker() = default;

agent::Instant Worker::Now() {
  const double now_seconds = world_.loop.now_seconds();
  const Monotonic wall(absl::Seconds(now_seconds - booted_seconds_));
  agent::SystemTime system = {.time = Clock()};
  if (late_seconds_ == 0.0) {
    system.error = absl::Milliseconds(1);
  }
  return clock_->At(wall, time_.At(wall, system));
}

absl::Time Worker::Clock() const {
  return TrueTime(world_.loop.now_seconds()) + absl::Seconds(clock_offset_seconds_ - late_seconds_);
}

std::optional<Truth::WorkPower> Worker::work_power() const {
  if (machine_) {
    return std::nullopt;  // it depends on the workload
  }
  const BoardSettings& board = board_.settings();
  return Truth::WorkPower{
      has_modes_ ? board.idle + (board.work - board.idle) * kLowModeShare : board.work, board.work};
}

std::string Worker::BootId() const {
  return absl::StrCat("boot-", number_, "-", boots_);
}

bool Worker::TimeIsTold() const {
  return late_seconds_ > 0.0 ? !told_wrong_time_
                             : std::abs(clock_offset_seconds_) < kClockIsRightSeconds;
}

std::string Worker::Engine() const {
  const SpeedChanges& speed = board_.settings().speed;
  return EngineAt(speed, new_software_ ? speed.software_at_seconds : 0.0);
}

double Worker::SlowerBy() {
  AdvanceBoard();
  return board_.slower_by() * (new_software_ ? board_.settings().speed.software : 1.0) *
         (power_mode_ == kLowMode ? kLowModeSlower : 1.0) * (emulated_ ? kEmulatedSlower : 1.0) *
         (other_load_ ? kBesideOthersSlower : 1.0);
}

double Worker::SlowestBy() {
  return SlowerBy() * (has_modes_ && power_mode_ != kLowMode ? kLowModeSlower : 1.0);
}

void Worker::SetOtherLoad(bool on) {
  const double now_seconds = world_.loop.now_seconds();
  others_seconds_ += other_load_ ? now_seconds - other_load_since_seconds_ : 0.0;
  other_load_since_seconds_ = now_seconds;
  other_load_ = on;
}

agent::BoardLoad Worker::Load() const {
  const double since_seconds = world_.loop.now_seconds() - other_load_since_seconds_;
  return {.cores = kCores,
          .busy = kCores * absl::Seconds(others_seconds_ + (other_load_ ? since_seconds : 0.0)),
          .own = absl::ZeroDuration()};
}

absl::Status Worker::SetPowerMode(const std::string& mode) {
  AdvanceBoard();
  power_mode_ = mode;
  const BoardSettings& board = board_.settings();
  board_.SetWorkPower(mode == kLowMode ? board.idle + (board.work - board.idle) * kLowModeShare
                                       : board.work);
  return absl::OkStatus();
}

absl::Status Worker::RestorePowerMode() {
  return SetPowerMode(kOwnMode);
}

v1::DeviceInfo Worker::Describe() const {
  if (machine_) {
    v1::DeviceInfo described = machine_->info;
    described.set_device_id(state_->device_id());
    described.set_engine_version(Engine());
    if (board_.has_battery()) {
      described.set_battery_capacity_wh(ToWattHours(*board_.settings().battery));
    }
    return described;
  }
  constexpr const char* kClasses[] = {"jetson-orin-nano", "jetson-xavier-nx", "raspberry-pi-5"};
  v1::DeviceInfo info;
  info.set_device_id(state_->device_id());
  info.set_name(absl::StrCat("board-", number_));
  info.set_device_class(kClasses[number_ % 3]);
  info.set_architecture(kArchitecture);
  info.set_time_scale(1.0);
  info.set_memory_bytes(int64_t{8} << 30);
  info.set_cores(kCores);
  info.set_energy_source(v1::ENERGY_SOURCE_INA3221);
  info.set_energy_scope("module");
  info.set_engine_version(Engine());
  info.set_worker_version(version_);
  info.set_cache_quota_bytes(int64_t{1} << 34);
  info.set_emulated(emulated_);
  info.set_spec_revision(kSpecRevision);
  if (has_modes_) {
    info.set_sets_power_modes(true);
    info.set_power_mode(kOwnMode);
    for (const auto& [name, mhz] : {std::pair{kLowMode, 1000}, {kOwnMode, 1500}}) {
      v1::PowerMode& mode = *info.add_power_modes();
      mode.set_name(name);
      mode.set_cpu_mhz(mhz);
      mode.set_cores(kCores);
    }
  }
  v1::Label& device = *info.add_labels();
  device.set_key("device");
  device.set_value(info.name());
  v1::Label& half = *info.add_labels();
  half.set_key("half");
  half.set_value(number_ % 2 == 0 ? "even" : "odd");
  if (board_.has_battery()) {
    info.set_battery_capacity_wh(ToWattHours(*board_.settings().battery));
  }
  return info;
}

// A slow world lives for weeks: a write each minute would be most of what happens.
absl::Duration Worker::StorageProbePeriod() const {
  return std::max(absl::Minutes(1), absl::Seconds(world_.options.heartbeat_seconds));
}

agent::CoreSettings Worker::Settings() const {
  agent::CoreSettings settings;
  settings.info = Describe();
  settings.boot_id = BootId();
  settings.takes_releases = !machine_.has_value();
  settings.ledger_period = absl::Seconds(world_.options.ledger_seconds);
  settings.idle_save_period = absl::Seconds(world_.options.idle_save_seconds);
  settings.storage_probe_period = StorageProbePeriod();
  settings.guard = {.has_gauge = board_.has_battery(),
                    .gauge_error = board_.settings().gauge_error,
                    .has_thermometer = true};
  // A real runner sends a sign of life every two seconds, the simulated one only after each step.
  const absl::Duration step = absl::Seconds(world_.options.step_seconds);
  settings.watch.start = std::max(settings.watch.start, 4.0 * step);
  settings.watch.silence = std::max(settings.watch.silence, 4.0 * step);
  settings.watch.stuck = std::max(settings.watch.stuck, 10.0 * step);
  return settings;
}

void Worker::Die() {
  Stop(true);
  dead_ = true;
}

void Worker::Start() {
  if (alive() || dead_) {
    return;
  }
  AdvanceBoard();
  if (board_.has_battery() && board_.charge() < kBootCharge) {
    world_.loop.After(kBatteryPollDays * world_.options.day_seconds, [this] { Start(); });
    return;
  }
  disk_.RestorePower();
  if (!powered_) {
    powered_ = true;
    board_.SetPowered(true);
    booted_seconds_ = world_.loop.now_seconds() - 1.0;
    ++boots_;
    told_wrong_time_ = false;
  }
  Launch();
  clock_.emplace(Monotonic(), 1.0);
  new_software_ = world_.loop.now_seconds() >= board_.settings().speed.software_at_seconds;
  absl::StatusOr<std::unique_ptr<agent::StateDirectory>> state =
      agent::StateDirectory::Open(&disk_);
  absl::StatusOr<std::unique_ptr<agent::Spool>> spool =
      state.ok() ? agent::Spool::Open(&disk_) : state.status();
  if (!spool.ok()) {
    // As the real worker: it reports the reason, ends, and its supervisor starts it again.
    if (absl::IsDataLoss(spool.status())) {
      LoseDisk();  // somebody puts in a new card
    }
    world_.loop.After(5.0, [this] { Start(); });
    return;
  }
  state_ = *std::move(state);
  spool_ = *std::move(spool);
  device_id_ = state_->device_id();
  incarnation_ = spool_->incarnation();
  pace_ = std::make_unique<agent::RealPace>();
  const v1::WorkerRecord kept = agent::ReadKeptDevice(*state_, *this);
  time_ = agent::TimeKeeper();
  time_.Resume(kept.clock(), BootId());
  if (has_modes_) {
    RestorePowerMode().IgnoreError();  // As the worker's shell does before it describes its board.
  }
  idle_since_seconds_ = world_.loop.now_seconds();
  const telemetry::SourceInfo sensors = board_.Sensors();
  account_ = std::make_unique<agent::EnergyAccount>(
      telemetry::MeterSettings{.cadence = sensors.cadence},
      agent::EnergyOrigin{sensors.energy_source, sensors.scope}, Now().device, kept.ledger(),
      telemetry::IdleBaseline(Watts(kept.idle_power_watts()), kept.idle_samples()));
  core_ = std::make_unique<agent::AgentCore>(agent::CoreDependencies{.state = state_.get(),
                                                                     .spool = spool_.get(),
                                                                     .ports = this,
                                                                     .account = account_.get(),
                                                                     .pace = pace_.get(),
                                                                     .clock = &*clock_,
                                                                     .time = &time_,
                                                                     .kept = kept},
                                             Settings());
  readings_ = std::make_unique<agent::DeviceReadings>(core_.get(), account_.get(), this);
  readings_->Add(sensors, std::nullopt);
  ++life_;
  wake_scheduled_ = false;
  idles_over_work_since_seconds_ = 0.0;
  disk_so_since_seconds_ = world_.loop.now_seconds();
  policies_.ProcessStarted(world_.loop.now_seconds());
  contact_seconds_ = world_.loop.now_seconds();
  lease_checked_seconds_ = contact_seconds_;
  Call([this](const agent::Instant& now) { core_->Start(now); });
  WatchTrial();
  Dial();
}

void Worker::Stop(bool power_cut) {
  if (!alive()) {
    return;
  }
  AdvanceBoard();
  board_.SetWorking(false);
  ++life_;
  stream_ = 0;
  runner_.reset();
  left_runner_.reset();
  transfer_ = 0;
  readings_.reset();
  core_.reset();
  account_.reset();
  spool_.reset();
  state_.reset();
  if (power_cut) {
    powered_ = false;
    board_.SetPowered(false);
  }
  disk_.RestorePower();
  link_.stopped();
}

void Worker::CutPowerSoon() {
  disk_.CutPowerAfter(world_.random.Below(kOperationsBeforeCut),
                      static_cast<size_t>(world_.random.Below(kTornBytesMax)));
}

void Worker::LoseDisk() {
  lost_something_ = true;
  held_until_seconds_ = 0.0;
  link_.gone(device_id_);
  policies_.ForgetSpent();
  releases_.clear();
  release_.clear();
  const std::map<std::string, std::string> files = disk_.files();
  for (const auto& [name, content] : files) {
    disk_.Forget(name);
  }
}

void Worker::StepClock(double seconds) {
  clock_offset_seconds_ += seconds;
  held_until_seconds_ = 0.0;  // after a reboot a wrong clock ends the hold at a wrong time
}

void Worker::SetClockLate(double seconds) {
  late_seconds_ = seconds;
  held_until_seconds_ = 0.0;
}

bool Worker::HoldByOwner(double seconds) {
  if (!alive()) {
    return false;
  }
  absl::Status held;
  Call([&](const agent::Instant& now) { held = core_->Hold(absl::Seconds(seconds), now); });
  held_since_seconds_ = world_.loop.now_seconds();
  const bool owed = held.ok() && !disk_.power_is_cut() && late_seconds_ == 0.0 && TimeIsTold();
  held_until_seconds_ = owed ? held_since_seconds_ + seconds : 0.0;
  return true;
}

void Worker::ReleaseByOwner() {
  if (alive()) {
    Call([&](const agent::Instant& now) { core_->EndHold(now).IgnoreError(); });
    held_until_seconds_ = 0.0;
  }
}

bool Worker::DamageFile() {
  const auto& files = disk_.files();
  if (files.empty()) {
    return false;
  }
  auto file = files.begin();
  std::advance(file, world_.random.Below(static_cast<int>(files.size())));
  // A result has its own checksums (ADR 17), which its reader compares.
  if (file->second.empty() || absl::StrContains(file->first, "/output/") ||
      absl::StartsWith(file->first, "results/")) {
    return false;
  }
  lost_something_ = true;
  held_until_seconds_ = 0.0;
  policies_.ForgetSpent();
  const std::string name = file->first;
  const auto size = static_cast<int>(file->second.size());
  if (world_.random.Chance(0.3)) {
    disk_.LoseTail(name, static_cast<size_t>(world_.random.Below(size)));
  } else {
    disk_.FlipBit(name, static_cast<size_t>(world_.random.Below(8 * size)));
  }
  return true;
}

void Worker::SetDisk(Disk disk) {
  using OfDisk = agent::MemoryDisk::Fault;
  policies_.ForgetSpent();
  disk_state_ = disk;
  disk_so_since_seconds_ = world_.loop.now_seconds();
  disk_.set_fault(disk == Disk::kFull       ? OfDisk::kFull
                  : disk == Disk::kReadOnly ? OfDisk::kReadOnly
                  : disk == Disk::kError    ? OfDisk::kError
                                            : OfDisk::kNone);
}

bool Worker::BreakRunner(bool hang) {
  if (runner_ == nullptr || !runner_->running()) {
    return false;
  }
  hang ? runner_->Hang() : runner_->Crash();
  return true;
}

void Worker::StopFaults() {
  faults_ = false;
  AdvanceBoard();
  board_.Recharge();
  board_.sensors = {};
  SetOtherLoad(false);
  SetDisk(Disk::kHealthy);
}

void Worker::AdvanceBoard() {
  board_.AdvanceTo(world_.loop.now_seconds());
}

void Worker::SetWorking(bool working) {
  AdvanceBoard();
  board_.SetWorking(working);
}

bool Worker::at_rest() const {
  return alive() && !bad_release_since_seconds_ && spool_->pending().empty() && !core_->busy() &&
         !core_->results_wait();
}

std::string Worker::what_it_does() {
  if (!alive()) {
    return absl::StrCat("it is not there, its battery at ", board_.charge().value());
  }
  const v1::Heartbeat heartbeat = core_->MakeHeartbeat(Now());
  return absl::StrCat(stream_ == 0 ? "no link" : "a link", ", ", spool_->pending().size(),
                      " reports left, ", core_->busy() ? "an attempt " : "no attempt ",
                      heartbeat.progress_size() > 0 ? heartbeat.progress(0).ShortDebugString() : "",
                      " ", heartbeat.guard_reason());
}

// --- the core, called ---

void Worker::Later(double seconds, std::function<void()> action) {
  world_.loop.After(seconds, [this, action = std::move(action), life = life_] {
    if (life == life_ && alive()) {
      action();
    }
  });
}

void Worker::Sample(const agent::Instant& now) {
  AdvanceBoard();
  readings_->OnPoll(0, board_.Read(now.device), now.device);
  core_->OnBoardLoad(Load(), now);
  const double now_seconds = world_.loop.now_seconds();
  const std::string breach = policies_.Check(
      board_, {.now_seconds = now_seconds,
               .step_seconds = StepSeconds(),
               .civil = TrueTime(now_seconds),
               .time_error_seconds =
                   late_seconds_ > 0.0 ? world_.options.delay_seconds_max + kTimeErrorSeconds : 0.0,
               .clock_is_right = TimeIsTold()});
  if (!breach.empty()) {
    world_.invariants.Break(absl::StrCat(device_id_, ": ", breach));
  }
  CheckLease();
  CheckOwnerHold();
  CheckRelease();
  CheckPowerMode();
}

void Worker::Call(const CoreCall& call) {
  if (!alive()) {
    return;
  }
  const agent::Instant now = Now();
  Sample(now);
  call(now);
  incarnation_ = spool_->incarnation();
  CheckIdle(now);
  CheckStorage(now);
  if (disk_.power_is_cut() || (board_.has_battery() && board_.charge() <= Fraction(0))) {
    world_.counts.empty_batteries += disk_.power_is_cut() ? 0 : 1;
    // Not inside a call of the runner or the core, because the stop destroys both.
    Later(0.0, [this] {
      Stop(true);
      world_.loop.After(world_.random.Between(0.5, world_.options.outage_seconds_max),
                        [this] { Start(); });
    });
    return;
  }
  if (core_->done()) {
    Later(0.0, [this] { RestartSoon(); });
    return;
  }
  ScheduleWake(now);
}

void Worker::ScheduleWake(const agent::Instant& now) {
  const double now_seconds = world_.loop.now_seconds();
  double next_seconds = now_seconds + absl::ToDoubleSeconds(core_->NextStep(now) - now.wall);
  if (core_->busy()) {
    next_seconds = std::min(next_seconds, now_seconds + world_.options.sample_seconds);
  }
  next_seconds = std::max(next_seconds, now_seconds + kWakeSecondsMin);
  if (wake_scheduled_ && wake_seconds_ <= next_seconds && wake_seconds_ > now_seconds) {
    return;
  }
  wake_scheduled_ = true;
  wake_seconds_ = next_seconds;
  world_.loop.At(next_seconds, [this, next_seconds, life = life_] {
    if (life == life_ && alive() && wake_seconds_ == next_seconds) {
      wake_scheduled_ = false;
      Call([this](const agent::Instant& then) { core_->Step(then); });
    }
  });
}

// --- the link ---

void Worker::Dial() {
  Later(world_.random.Between(0.2, std::max(3.0, 0.05 * world_.options.outage_seconds_max)),
        [this] {
          if (stream_ == 0) {
            link_.dial();
          }
        });
}

void Worker::Connected(int64_t stream) {
  stream_ = stream;
  Call([this](const agent::Instant& now) { core_->OnConnected(now); });
}

void Worker::Disconnected(int64_t stream) {
  if (!alive() || stream_ != stream) {
    return;
  }
  stream_ = 0;
  if (stream != 0) {
    contact_seconds_ = world_.loop.now_seconds();  // an idle board takes no sample for hours
    Call([this](const agent::Instant& now) { core_->OnDisconnected(now); });
  }
  Dial();
}

void Worker::Receive(const v1::CoordinatorMessage& message) {
  if (message.has_welcome()) {
    const double told_seconds = message.welcome().coordinator_unix_seconds();
    const absl::Duration off =
        absl::UnixEpoch() + absl::Seconds(told_seconds) - TrueTime(world_.loop.now_seconds());
    told_wrong_time_ = told_wrong_time_ || absl::AbsDuration(off) > absl::Hours(1);
  }
  if (message.has_desired()) {
    policies_.SetPolicies(message.desired(), world_.loop.now_seconds());
    for (const v1::Assignment& assignment : message.desired().assignments()) {
      leases_seconds_[assignment.attempt_id()] = assignment.lease_seconds();
    }
  }
  Call([&](const agent::Instant& now) { core_->OnMessage(message, now); });
}

void Worker::Send(const v1::WorkerMessage& message) {
  if (stream_ != 0) {
    link_.send(message);
  }
}

void Worker::Reconnect() {
  Later(0.0, [this] { Disconnected(stream_); });
}

void Worker::Note(const std::string& line) {
  if (world_.options.trace) {
    std::fprintf(stderr, "%.3f %s: %s\n", world_.loop.now_seconds(), device_id_.c_str(),
                 line.c_str());
  }
}

// --- the runner ---

absl::Status Worker::StartRunner(const v1::RunnerTask& task) {
  if (runner_ != nullptr) {
    left_runner_ = std::move(runner_);  // the old runner's own exit may be the caller
  }
  const auto lease = leases_seconds_.find(task.attempt_id());
  running_lease_seconds_ = lease == leases_seconds_.end() ? 0.0 : lease->second;
  const bool fails = faults_ && world_.random.Chance(world_.options.attempt_failure);
  workload_ = machine_ ? std::optional(machine_->workload(task.spec())) : std::nullopt;
  runner_ = std::make_unique<Runner>(
      world_.loop, world_.random, disk_,
      Runner::Settings{.step_seconds = world_.options.step_seconds,
                       .fails = fails,
                       .slower_by = [this] { return SlowerBy(); },
                       .engine = Engine(),
                       .workload = workload_},
      Runner::Port{.on_frame =
                       [this](const v1::RunnerFrame& frame) {
                         Call([&](const agent::Instant& now) { core_->OnFrame(frame, now); });
                       },
                   .on_exit =
                       [this](bool clean) {
                         child::RunnerExit exit;
                         exit.clean = clean;
                         exit.failure_class =
                             clean ? v1::FAILURE_CLASS_UNSPECIFIED : v1::FAILURE_CLASS_DEVICE;
                         exit.message = clean ? "" : "runner: killed by signal 9";
                         Call([&](const agent::Instant& now) { core_->OnRunnerExit(exit, now); });
                       },
                   .set_working = [this](bool working) { SetWorking(working); },
                   .set_power =
                       [this](Watts power) {
                         AdvanceBoard();
                         board_.SetWorkPower(power);
                       }});
  runner_->Start(task);
  return absl::OkStatus();
}

void Worker::SendToRunner(const v1::RunnerCommand& command) {
  if (runner_ != nullptr) {
    runner_->Command(command);
  }
}

void Worker::KillRunner() {
  if (runner_ != nullptr) {
    runner_->Kill();
  }
}

}  // namespace wattle::sim
