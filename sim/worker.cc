// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/worker.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

#include "sim/drawn_board.h"

namespace wattle::sim {
namespace {

// Tolerance for rounding after steps forward and back.
constexpr double kClockIsRightSeconds = 1e-3;
// The time from the coordinator is off by half a round trip, plus the wait of a hello there.
constexpr double kTimeErrorSeconds = 5.0;
// The shortest timer. With a shorter one, rounding between two clocks could stop the time.
constexpr double kWakeSecondsMin = 0.001;
constexpr double kBatteryPollDays = 0.01;
// The charge from which a board starts again.
constexpr Fraction kBootCharge(0.1);

}  // namespace

Worker::Worker(int number, const World& world, Link link, const Machine* machine)
    : number_(number),
      world_(world),
      link_(std::move(link)),
      machine_(machine == nullptr ? std::nullopt : std::optional(*machine)),
      emulated_(machine == nullptr && DrawTraits(number, world.options).emulated),
      has_modes_(machine == nullptr && DrawTraits(number, world.options).has_modes),
      board_(machine == nullptr ? DrawBoard(number, world.options) : machine->board),
      disk_(world.options.seed * 7777 + static_cast<uint64_t>(number)) {
  board_.JoinPack();
}

Worker::~Worker() = default;

agent::Instant Worker::Now() {
  const double now_seconds = world_.loop.now_seconds();
  const Monotonic wall(absl::Seconds(now_seconds - booted_seconds_));
  agent::SystemTime system = {.time = Clock()};
  if (late_seconds_ == 0.0) {
    system.error = absl::Milliseconds(1);
  }
  return clock_.At(wall, time_.At(wall, system));
}

absl::Time Worker::Clock() const {
  return ShownTime(world_.loop.now_seconds(), clock_offset_seconds_ - late_seconds_);
}

std::string Worker::BootId() const {
  return absl::StrCat("boot-", number_, "-", boots_);
}

bool Worker::TimeIsTold() const {
  return late_seconds_ > 0.0 ? !told_wrong_time_
                             : std::abs(clock_offset_seconds_) < kClockIsRightSeconds;
}

void Worker::Start() {
  if (alive() || dead_ || switched_off_) {
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
  new_software_ = world_.loop.now_seconds() >= board_.settings().speed.software_at_seconds;
  absl::StatusOr<std::unique_ptr<agent::StateDirectory>> state =
      agent::StateDirectory::Open(&disk_);
  absl::StatusOr<std::unique_ptr<agent::Spool>> spool =
      state.ok() ? agent::Spool::Open(&disk_) : state.status();
  if (!spool.ok()) {
    // Like the real worker: it reports the reason, ends, and its supervisor restarts it.
    if (absl::IsDataLoss(spool.status())) {
      LoseDisk();  // an operator inserts a new card
    }
    world_.loop.After(5.0, [this] { Start(); });
    return;
  }
  state_ = *std::move(state);
  spool_ = *std::move(spool);
  MakeCore();
  ++life_;
  life_since_seconds_ = world_.loop.now_seconds();
  wake_scheduled_ = false;
  idles_over_work_since_seconds_ = 0.0;
  disk_so_since_seconds_ = world_.loop.now_seconds();
  if (desired_may_be_lost_) {  // the worker then obeys the policies that it kept before
    policies_.SetPolicies(state_->ReadDesired().record, world_.loop.now_seconds());
  }
  policies_.ProcessStarted(world_.loop.now_seconds());
  links_.ProcessStarted(world_.loop.now_seconds());
  contact_seconds_ = world_.loop.now_seconds();
  lease_checked_seconds_ = contact_seconds_;
  Call([this](const agent::Instant& now) { core_->Start(now); });
  WatchTrial();
  Dial();
}

void Worker::MakeCore() {
  device_id_ = state_->device_id();
  incarnation_ = spool_->incarnation();
  const v1::LineageRecord lineage = state_->ReadLineage().record;
  addresses_.assign(lineage.moved_to().begin(), lineage.moved_to().end());
  addresses_.emplace_back(Addresses::kFirst);
  address_ = 0;
  pace_ = std::make_unique<agent::RealPace>();
  const v1::WorkerRecord kept = agent::ReadKeptDevice(*state_, *this);
  time_ = agent::TimeKeeper();
  time_.Resume(kept.clock(), BootId());
  if (has_modes_) {
    RestorePowerMode().IgnoreError();  // Like the worker's shell before it describes its board.
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
                                                                     .clock = &clock_,
                                                                     .time = &time_,
                                                                     .kept = kept},
                                             Settings());
  readings_ = std::make_unique<agent::DeviceReadings>(core_.get(), account_.get(), this);
  readings_->Add(sensors, std::nullopt);
}

void Worker::Stop(ProcessStop how) {
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
  if (how == ProcessStop::kPowerCut) {
    powered_ = false;
    board_.SetPowered(false);
  }
  disk_.RestorePower();
  link_.stopped();
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

WatchMoment Worker::Moment() {
  const double now_seconds = world_.loop.now_seconds();
  return {.now_seconds = now_seconds,
          .step_seconds = StepSeconds(),
          .civil = TrueTime(now_seconds),
          .time_error_seconds =
              late_seconds_ > 0.0 ? world_.options.delay_seconds_max + kTimeErrorSeconds : 0.0,
          .clock_is_right = TimeIsTold()};
}

void Worker::Sample(const agent::Instant& now) {
  AdvanceBoard();
  readings_->OnPoll(0, board_.Read(now.device), now.device);
  core_->OnBoardLoad(Load(), now);
  core_->OnMemoryStalled(MemoryStalled(), now);
  if (weak_supply_) {
    core_->OnUnderVoltage(now.device);
  }
  links_.Observe(Moment());
  const std::string breach = policies_.Check(board_, Moment());
  if (!breach.empty()) {
    world_.invariants.Break(absl::StrCat(device_id_, ": ", breach));
  }
  CheckLease();
  CheckOwnerHold();
  CheckShortages();
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
    // Later, because the stop destroys the runner or core whose call may be active.
    Later(0.0, [this] {
      Stop(ProcessStop::kPowerCut);
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
  Call([this](const agent::Instant& now) { core_->OnConnected(now, address()); });
}

void Worker::Disconnected(int64_t stream) {
  if (!alive() || stream_ != stream) {
    return;
  }
  stream_ = 0;
  if (stream == 0) {
    address_ = (address_ + 1) % addresses_.size();
  } else {
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
  if (message.has_desired() && alive() && core_->takes_desired()) {
    if (policies_.SetPolicies(message.desired(), world_.loop.now_seconds())) {
      links_.PoliciesChanged(world_.loop.now_seconds());
    }
    for (const v1::Assignment& assignment : message.desired().assignments()) {
      leases_seconds_[assignment.attempt_id()] = assignment.lease_seconds();
    }
  }
  Call([&](const agent::Instant& now) { core_->OnMessage(message, now); });
  if (message.has_desired()) {
    desired_may_be_lost_ = disk_.power_is_cut() || disk_state_ != Disk::kHealthy;
  }
}

void Worker::Send(const v1::WorkerMessage& message) {
  if (stream_ != 0) {
    link_.send(message);
  }
}

bool Worker::tells_strangers() const {
  return addresses_.size() > 1 && !state_->ReadLineage().record.lineage_id().empty();
}

void Worker::Follow(const std::string& coordinator) {
  const auto known = std::find(addresses_.begin(), addresses_.end(), coordinator);
  address_ = static_cast<size_t>(known - addresses_.begin());
  if (known == addresses_.end()) {
    addresses_.push_back(coordinator);
  }
  Reconnect();
}

void Worker::TryNextCoordinator() {
  address_ = (address_ + 1) % addresses_.size();
  Reconnect();
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
