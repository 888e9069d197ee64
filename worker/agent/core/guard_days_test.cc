// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Hundreds of random days of a solar mast that has no contact to its coordinator: the agent's own
// core with its guard, a fake runner, a battery, clouds and a bad gauge. The gauge errs by almost 5
// %, shows whole percents, sags under load, fails for minutes and sometimes shows nonsense.
//
// Invariants: no joule of work below the reserve. With a policy's other demands and power cuts: no
// joule beyond the day's budget, outside a window, or from the energy that the device needs to stay
// alive. Planted faults show that the checks can fail.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/agent_core.h"
#include "worker/agent/storage/memory_disk.h"

namespace wattle::agent {
namespace {

enum class Fault {
  kNone,
  kGaugeErrorForgotten,  // the margin does not count the gauge's error
  kOldReadingsLookNew,   // a dead gauge's last reading is repeated as if it were new
  kKillDoesNothing,      // a runner that hangs is never killed
  kBudgetForgotten,      // a power cut loses the energy already spent of the day's budget
  kClockIsBehind,        // the device's clock is ten minutes slow
  kIdleLooksSmall,       // the idle power is measured as half its true value
};

// A policy's demands besides the reserve.
struct Schedule {
  double budget_joules = 0;
  double opens_hour = 0, closes_hour = 0;  // UTC
  double alive_hour = 0;
};

struct Outcome {
  double work_joules = 0;
  double work_joules_below_reserve = 0;
  int times_lowered = 0;   // to a lower power mode
  int idle_crossings = 0;  // how often idle power by itself crossed the reserve
  // With a schedule.
  double joules_over_budget = 0;
  double joules_outside_window = 0;
  double joules_not_kept_to_stay_alive = 0;
  int days_at_budget = 0;  // days that used nine tenths of the budget
};

// One mast: physics, gauge and runner around the core. All times in seconds.
class Mast final : public AgentPorts {
 public:
  Mast(uint64_t seed, Fault fault, bool scheduled = false) : random_(seed), fault_(fault) {
    capacity_ = 3600.0 * Uniform(20, 200);
    reserve_ = Uniform(0.1, 0.5);
    idle_watts_ = Uniform(2, 5);
    work_watts_ = Uniform(6, 15);
    panel_watts_ = Uniform(10, 60);
    load_seconds_ = Uniform(3, 40);
    step_seconds_ = Uniform(1, 40);
    checkpoint_seconds_ = Uniform(1, 20);
    charge_ = capacity_ * Uniform(reserve_, 1);
    gauge_outage_until_ = 0;
    has_modes_ = seed % 2 == 0;
    if (scheduled) {
      // Some masts have only one of the demands, so that no demand hides a fault in another.
      const int demands = std::uniform_int_distribution<int>(1, 7)(random_);
      schedule_.emplace();
      schedule_->budget_joules = (demands & 1) != 0 ? 3600 * Uniform(5, 40) : 0;
      if ((demands & 2) != 0) {
        schedule_->opens_hour = std::floor(Uniform(0, 24));
        schedule_->closes_hour = std::fmod(schedule_->opens_hour + std::floor(Uniform(2, 14)), 24);
      }
      schedule_->alive_hour = (demands & 4) != 0 ? std::floor(Uniform(1, 12)) : 0;
      next_power_cut_ = now_ + Uniform(3600, 40'000);
    }
    StartCore();
  }

  Outcome Run(double days) {
    const double end = now_ + 86400 * days;
    while (now_ < end) {
      const double core_next = absl::ToDoubleSeconds(core_->NextStep(Now()).since_boot());
      double next = std::min({next_poll_, core_next, now_ + 60, end});
      if (runner_until_) {
        next = std::min(next, *runner_until_);
      }
      if (fetched_at_) {
        next = std::min(next, *fetched_at_);
      }
      Pass(std::max(next, now_ + 0.01));
      if (schedule_ && now_ >= next_power_cut_) {
        CutPower();
      }
      Act();
    }
    for (const auto& [day, joules] : drawn_on_day_) {
      if (schedule_ && schedule_->budget_joules > 0) {
        outcome_.joules_over_budget += std::max(0.0, joules - schedule_->budget_joules);
        outcome_.days_at_budget += joules > 0.9 * schedule_->budget_joules ? 1 : 0;
      }
    }
    return outcome_;
  }

  // AgentPorts.
  absl::Status StartRunner(const v1::RunnerTask& /*task*/) override {
    runner_ = Runner::kLoads;
    runner_until_ = now_ + load_seconds_ * Uniform(0.8, 1.2);
    stop_asked_ = false;
    return absl::OkStatus();
  }
  void SendToRunner(const v1::RunnerCommand& command) override {
    stop_asked_ = stop_asked_ || command.has_stop();
  }
  void KillRunner() override {
    if (runner_ != Runner::kNone && fault_ != Fault::kKillDoesNothing) {
      killed_ = true;
    }
  }
  void StartFetch(const v1::Assignment& /*assignment*/) override { fetched_at_ = now_ + 1; }
  void StartUpload(const std::string& /*directory*/, const v1::ArtifactInfo& /*info*/) override {}
  void ProbeStorage() override {}
  void CancelTransfer() override { fetched_at_ = now_; }
  void Send(const v1::WorkerMessage& /*message*/) override {}
  void Reconnect() override {}
  void Follow(const std::string& /*coordinator*/) override {}
  void TryNextCoordinator() override {}
  void Note(const std::string& /*line*/) override {}
  // In the lower mode work draws half, and takes 1.8 times as long.
  absl::Status SetPowerMode(const std::string& mode) override {
    lowered_ = mode == "low";
    outcome_.times_lowered += lowered_ ? 1 : 0;
    return absl::OkStatus();
  }
  absl::Status RestorePowerMode() override {
    lowered_ = false;
    return absl::OkStatus();
  }

 private:
  static constexpr int64_t kEpoch = 1'900'022'400 / 86400 * 86400;  // midnight, so that now_ is too

  enum class Runner { kNone, kLoads, kSteps, kWritesCheckpoint, kHangs };

  double Uniform(double low, double high) {
    return low + (high - low) * std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  }
  bool Chance(double probability) { return Uniform(0, 1) < probability; }
  [[nodiscard]] Instant Now() {
    const Monotonic at{absl::Seconds(now_)};
    const double error = fault_ == Fault::kClockIsBehind ? -600 : 0;
    // Without a battery for its clock, the board's clock begins at 1970 until a time service sets
    // it.
    SystemTime system = {.time = absl::UnixEpoch()};
    if (now_ >= clock_set_at_) {
      system = {absl::FromUnixSeconds(kEpoch) + absl::Seconds(now_ + error), absl::Milliseconds(1)};
    }
    return {at, at, time_.At(at, system)};
  }
  [[nodiscard]] double HourOfDay() const { return std::fmod(now_ / 3600, 24); }

  // The board loses power for a while and keeps only its disk.
  void CutPower() {
    next_power_cut_ = now_ + Uniform(3600, 40'000);
    runner_ = Runner::kNone;
    runner_until_.reset();
    fetched_at_.reset();
    killed_ = false;
    lowered_ = false;
    core_.reset();
    now_ += 1;
    clock_set_at_ = now_ + Uniform(5, 900);
    ++boots_;
    StartCore();
  }

  void StartCore() {
    state_ = *StateDirectory::Open(&disk_);
    spool_ = *Spool::Open(&disk_);
    account_ = std::make_unique<EnergyAccount>(
        telemetry::MeterSettings{.cadence = absl::Seconds(20)},
        EnergyOrigin{v1::ENERGY_SOURCE_INA3221, "module"}, Now().device, v1::EnergyLedger(),
        telemetry::IdleBaseline());
    v1::WorkerRecord kept = ReadKeptDevice(*state_, *this);
    if (fault_ == Fault::kBudgetForgotten) {
      kept.clear_budget_day();
    }
    time_ = TimeKeeper();
    time_.Resume(kept.clock(), absl::StrCat("boot ", boots_));
    CoreSettings settings;
    settings.storage_probe_period = absl::InfiniteDuration();
    settings.info.set_device_id("mast");
    settings.info.set_power_mode("high");
    settings.info.set_sets_power_modes(has_modes_);
    for (const auto& [name, watts] : {std::pair{"high", 20}, {"low", 10}}) {
      v1::PowerMode& mode = *settings.info.add_power_modes();
      mode.set_name(name);
      mode.set_nominal_power_watts(watts);
    }
    settings.boot_id = absl::StrCat("boot ", boots_);
    // Readings and the runner wake the core often enough; a step each second would cost ten times
    // as much.
    settings.heartbeat_period = absl::Hours(1);
    settings.guard = {.has_gauge = true,
                      .gauge_error = Fraction(fault_ == Fault::kGaugeErrorForgotten ? 0.0 : 0.05)};
    core_ = std::make_unique<AgentCore>(CoreDependencies{.state = state_.get(),
                                                         .spool = spool_.get(),
                                                         .ports = this,
                                                         .account = account_.get(),
                                                         .pace = &pace_,
                                                         .clock = &clock_,
                                                         .time = &time_,
                                                         .kept = kept},
                                        settings);
    core_->Start(Now());
    if (boots_ > 0) {
      return;  // no one can reach the mast
    }
    core_->OnConnected(Now());
    v1::CoordinatorMessage welcome;
    welcome.mutable_welcome()->set_heartbeat_seconds(3600);
    core_->OnMessage(welcome, Now());
    core_->OnMessage(Desired(), Now());
    core_->OnDisconnected(Now());
  }

  v1::CoordinatorMessage Desired() {
    constexpr int64_t kSteps = 1'000'000;  // more than the days can hold
    v1::CoordinatorMessage message;
    v1::Policy& policy = *message.mutable_desired()->add_policies();
    policy.set_name("mast");
    policy.set_reserve_state_of_charge_ratio(reserve_);
    if (schedule_) {
      policy.set_daily_energy_budget_wh(schedule_->budget_joules / 3600);
      if (schedule_->opens_hour != schedule_->closes_hour) {
        policy.add_work_windows(
            absl::StrFormat("%02.0f:00-%02.0f:00", schedule_->opens_hour, schedule_->closes_hour));
      }
      if (schedule_->alive_hour > 0) {
        policy.set_stay_alive_until(absl::StrFormat("%02.0f:00", schedule_->alive_hour));
      }
    }
    v1::Assignment& job = *message.mutable_desired()->add_assignments();
    job.set_attempt_id("j1.1");
    job.set_job_id("j1");
    job.mutable_spec()->mutable_finetune()->set_steps(kSteps);
    job.mutable_spec()->mutable_finetune()->set_checkpoint_every_steps(50);
    job.mutable_placement()->set_device_id("mast");
    v1::Candidate& candidate = *job.mutable_placement()->add_best();
    candidate.set_device_id("mast");
    // Predictions are off by up to 20 %, either way.
    v1::Prediction& prediction = *candidate.mutable_prediction();
    prediction.mutable_run_seconds()->set_high(step_seconds_ * kSteps * Uniform(0.85, 1.2));
    prediction.set_mean_power_watts((idle_watts_ + work_watts_) * Uniform(0.95, 1.2));
    prediction.set_start_seconds(load_seconds_ * Uniform(0.85, 1.2));
    prediction.set_checkpoint_seconds(checkpoint_seconds_ * (1 + kSteps / 50) * Uniform(0.85, 1.2));
    return message;
  }

  // Passes time: sun, draw, charge.
  void Pass(double until) {
    while (now_ < until) {
      const double length = std::min(30.0, until - now_);
      const double hour = std::fmod(now_ / 3600, 24);
      if (Chance(0.003)) {
        cloud_ = Uniform(0, 1);
      }
      const double sun = panel_watts_ * cloud_ * std::max(0.0, std::sin((hour - 6) / 12 * M_PI));
      const double work = runner_ == Runner::kNone ? 0.0 : WorkWatts();
      const double before = charge_;
      charge_ = std::clamp(charge_ + (sun - idle_watts_ - work) * length, 0.0, capacity_);
      const double line = reserve_ * capacity_;
      outcome_.work_joules += work * length;
      if (std::min(before, charge_) < line) {
        outcome_.work_joules_below_reserve += work * length;
      }
      outcome_.idle_crossings += before >= line && charge_ < line && work == 0 ? 1 : 0;
      if (schedule_ && work > 0) {
        CheckSchedule((idle_watts_ + work) * length);
      }
      now_ += length;
    }
  }

  // joules: drawn by the whole device while it works, from now on.
  void CheckSchedule(double joules) {
    drawn_on_day_[static_cast<int64_t>(now_ / 86400)] += joules;
    const double hour = HourOfDay();
    const double opens = schedule_->opens_hour;
    const double closes = schedule_->closes_hour;
    const bool open = opens == closes || (opens < closes ? hour >= opens && hour < closes
                                                         : hour >= opens || hour < closes);
    outcome_.joules_outside_window += open ? 0 : joules;
    if (schedule_->alive_hour > 0) {
      const double hours_left = std::fmod(schedule_->alive_hour - hour + 24, 24);
      const double needed = reserve_ * capacity_ + idle_watts_ * 3600 * hours_left;
      outcome_.joules_not_kept_to_stay_alive += charge_ < needed ? joules : 0;
    }
  }

  [[nodiscard]] double WorkWatts() const { return (lowered_ ? 0.5 : 1.0) * work_watts_; }

  void Act() {
    if (fetched_at_ && now_ >= *fetched_at_) {
      fetched_at_.reset();
      core_->OnFetched({.status = absl::OkStatus()}, Now());
    }
    if (killed_) {
      EndRunner(/*clean=*/false);
    } else if (runner_until_ && now_ >= *runner_until_) {
      AdvanceRunner();
    }
    if (now_ >= next_poll_) {
      Poll();
    }
    core_->Step(Now());
  }

  void EndRunner(bool clean) {
    runner_ = Runner::kNone;
    runner_until_.reset();
    killed_ = false;
    core_->OnRunnerExit({.clean = clean, .failure_class = v1::FAILURE_CLASS_DEVICE, .message = "x"},
                        Now());
  }

  void BeginStep() {
    runner_ = Runner::kSteps;
    runner_until_ = now_ + (lowered_ ? 1.8 : 1.0) * step_seconds_ * Uniform(0.5, 1.0);
    // Only a runner that was ordered to stop hangs in this test: no other hang would end within
    // these days.
    if (stop_asked_ && Chance(0.3)) {
      runner_ = Runner::kHangs;
      runner_until_.reset();
    }
  }

  void AdvanceRunner() {
    v1::RunnerFrame frame;
    switch (runner_) {
      case Runner::kLoads:
        frame.mutable_phase()->set_phase("train");
        BeginStep();
        core_->OnFrame(frame, Now());
        return;
      case Runner::kSteps:
        if (stop_asked_ && Chance(0.2)) {
          runner_ = Runner::kHangs;
          runner_until_.reset();
          return;
        }
        frame.mutable_step()->set_phase("train");
        frame.mutable_step()->set_step(++step_);
        if (stop_asked_) {
          runner_ = Runner::kWritesCheckpoint;
          runner_until_ = now_ + checkpoint_seconds_ * Uniform(0.5, 1.0);
        } else {
          BeginStep();
        }
        core_->OnFrame(frame, Now());
        return;
      case Runner::kWritesCheckpoint:
        frame.mutable_checkpoint()->set_step(step_);
        frame.mutable_checkpoint()->set_seconds(checkpoint_seconds_);
        core_->OnFrame(frame, Now());
        EndRunner(/*clean=*/true);
        return;
      case Runner::kNone:
      case Runner::kHangs:
        return;
    }
  }

  // The gauge: error, whole percents, sag, outages, nonsense. Shows at most 4.5 % more than the
  // charge.
  void Poll() {
    const bool working = runner_ != Runner::kNone;
    next_poll_ = now_ + (working ? Uniform(3, 10) : Uniform(5, 20));
    const double idle_share = fault_ == Fault::kIdleLooksSmall && !working ? 0.5 : 1.0;
    account_->AddPower(Now().device, Watts(idle_share * idle_watts_ + (working ? WorkWatts() : 0)));
    if (Chance(0.0005)) {
      gauge_outage_until_ = now_ + Uniform(10, 7200);
    }
    if (now_ < gauge_outage_until_) {
      if (fault_ == Fault::kOldReadingsLookNew && last_shown_) {
        core_->OnCharge(Now().device, Fraction(*last_shown_), Joules(capacity_));
      }
      return;
    }
    if (Chance(0.05)) {
      return;  // bus busy
    }
    if (Chance(0.01)) {
      drift_ = Uniform(-0.04, 0.04);
    }
    double shown = charge_ / capacity_ + drift_ - (working ? Uniform(0, 0.02) : 0.0);
    shown = std::clamp(std::round(100 * shown) / 100, 0.0, 1.0);
    last_shown_ = shown;
    if (Chance(0.002)) {
      shown = Chance(0.5) ? 0.0 : 1.0;
    }
    core_->OnCharge(Now().device, Fraction(shown), Joules(capacity_));
  }

  std::mt19937_64 random_;
  const Fault fault_;
  double now_ = 1000;
  double capacity_ = 0, reserve_ = 0, idle_watts_ = 0, work_watts_ = 0, panel_watts_ = 0;
  double load_seconds_ = 0, step_seconds_ = 0, checkpoint_seconds_ = 0;
  double charge_ = 0, drift_ = 0, cloud_ = 1;
  double next_poll_ = 1000, gauge_outage_until_ = 0;
  std::optional<double> last_shown_;
  Runner runner_ = Runner::kNone;
  std::optional<double> runner_until_;
  std::optional<double> fetched_at_;
  bool stop_asked_ = false, killed_ = false;
  bool has_modes_ = false, lowered_ = false;
  int64_t step_ = 0;
  Outcome outcome_;
  std::optional<Schedule> schedule_;
  double next_power_cut_ = 0, clock_set_at_ = 0;
  int boots_ = 0;
  std::map<int64_t, double> drawn_on_day_;

  MemoryDisk disk_{1};
  RealPace pace_;
  TimeKeeper time_;
  DeviceClock clock_;
  std::unique_ptr<StateDirectory> state_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<EnergyAccount> account_;
  std::unique_ptr<AgentCore> core_;
};

constexpr int kDays = 2;
constexpr int kMasts = 150;

TEST(GuardDaysTest, NoJouleOfWorkIsSpentBelowTheReserve) {
  double work = 0;
  int idle_crossings = 0;
  int times_lowered = 0;
  for (uint64_t seed = 1; seed <= kMasts; ++seed) {
    const Outcome outcome = Mast(seed, Fault::kNone).Run(kDays);
    EXPECT_EQ(outcome.work_joules_below_reserve, 0) << "seed " << seed;
    work += outcome.work_joules;
    idle_crossings += outcome.idle_crossings;
    times_lowered += outcome.times_lowered;
  }
  std::printf("%d days: %.0f Wh of work, %d crossings of a reserve by idle draw alone\n",
              kDays * kMasts, work / 3600, idle_crossings);
  EXPECT_GT(work / 3600, 33 * kMasts);  // a guard that lets nothing run would pass otherwise
  EXPECT_GT(times_lowered, kMasts / 4);
  EXPECT_GT(idle_crossings, 0);  // so would a mast whose charge never comes near the reserve
}

TEST(GuardDaysTest, NoJouleOfWorkBreaksBudgetWindowOrStayAlive) {
  double work = 0;
  int days_at_budget = 0;
  for (uint64_t seed = 1; seed <= kMasts; ++seed) {
    const Outcome outcome = Mast(seed, Fault::kNone, /*scheduled=*/true).Run(kDays);
    EXPECT_EQ(outcome.work_joules_below_reserve, 0) << "seed " << seed;
    EXPECT_EQ(outcome.joules_over_budget, 0) << "seed " << seed;
    EXPECT_EQ(outcome.joules_outside_window, 0) << "seed " << seed;
    EXPECT_EQ(outcome.joules_not_kept_to_stay_alive, 0) << "seed " << seed;
    work += outcome.work_joules;
    days_at_budget += outcome.days_at_budget;
  }
  std::printf("%d days: %.0f Wh of work, %d days that used nine tenths of their budget\n",
              kDays * kMasts, work / 3600, days_at_budget);
  EXPECT_GT(work / 3600, 6 * kMasts);     // a guard that lets nothing run would pass otherwise
  EXPECT_GT(days_at_budget, kMasts / 5);  // so would a budget that never binds
}

class PlantedFaultTest : public testing::TestWithParam<Fault> {};

TEST_P(PlantedFaultTest, IsFound) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    if (Mast(seed, GetParam()).Run(kDays).work_joules_below_reserve > 0) {
      return;
    }
  }
  ADD_FAILURE() << "300 days and no joule below the reserve: the check cannot fail";
}

INSTANTIATE_TEST_SUITE_P(Faults, PlantedFaultTest,
                         testing::Values(Fault::kGaugeErrorForgotten, Fault::kOldReadingsLookNew,
                                         Fault::kKillDoesNothing));

// Whether the fault breaks the demand against which it is planted.
bool IsFound(Fault fault, double Outcome::*broken) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    if (Mast(seed, fault, /*scheduled=*/true).Run(kDays).*broken > 0) {
      return true;
    }
  }
  return false;
}

TEST(GuardDaysTest, AFaultInTheScheduleIsFound) {
  EXPECT_TRUE(IsFound(Fault::kBudgetForgotten, &Outcome::joules_over_budget));
  EXPECT_TRUE(IsFound(Fault::kClockIsBehind, &Outcome::joules_outside_window));
  EXPECT_TRUE(IsFound(Fault::kIdleLooksSmall, &Outcome::joules_not_kept_to_stay_alive));
}

}  // namespace
}  // namespace wattle::agent
