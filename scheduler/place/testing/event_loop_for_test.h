// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fleet over hours for the tests of this folder: jobs arrive, the shipped PlanQueue plans after
// each event, boards run what the plan starts and hand over what it releases. The truth is the
// planner's own mean, so no outcome comes from a wrong prediction. The sun of each day equals that
// of past days. A run that the plan lets rest does so at the reserve. A fleet with packs plans
// every quarter of an hour while jobs wait, for a week at most.
#ifndef WATTLE_SCHEDULER_PLACE_TESTING_EVENT_LOOP_FOR_TEST_H_
#define WATTLE_SCHEDULER_PLACE_TESTING_EVENT_LOOP_FOR_TEST_H_

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "policy/work_pieces.h"
#include "scheduler/place/device/work_times.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

inline constexpr double kLoopWatts = 10;
// For the jobs of JobOf.
inline constexpr double kExamplesPerHour = 1000;

// A job that takes `length` on a board of speed 1, when nothing has to be fetched.
inline JobView JobOf(const std::string& id, absl::Duration length,
                     v1::Objective objective = v1::OBJECTIVE_ENERGY) {
  return RealJob(id, static_cast<int64_t>(kExamplesPerHour * absl::ToDoubleHours(length)),
                 objective);
}

// Watt-hours per day, evenly from 08:00 to 16:00 UTC.
inline std::array<double, 24> DaySun(double watt_hours) {
  std::array<double, 24> watts{};
  for (size_t hour = 8; hour < 16; ++hour) {
    watts[hour] = watt_hours / 8;
  }
  return watts;
}

class EventLoop {
 public:
  // The outcome of a job, in hours since the begin.
  struct Outcome {
    std::vector<std::pair<std::string, double>> starts;  // Board, hour.
    double ended = -1;                                   // -1: it did not end.
    bool failed = false;                                 // Its deadline passed before it started.
  };

  // The battery of a board under the same sun each day.
  struct Sun {
    double capacity_wh = 0;
    double charge_wh = 0;
    double idle_watts = 0;
    std::array<double, 24> watts_by_hour{};  // By hour of the day, UTC. The begin is 08:00.
  };
  void SetPolicies(std::vector<v1::Policy> policies) { policies_ = std::move(policies); }
  void Add(DeviceView view, const Sun& sun) {
    SetBattery(sun.capacity_wh, sun.charge_wh / sun.capacity_wh, &view);
    view.device.mutable_info()->set_idle_power_watts(sun.idle_watts);
    for (const double watts : sun.watts_by_hour) {
      view.device.mutable_ledger()->add_harvest_power_watts_by_hour(watts);
    }
    Add(std::move(view), 1);
    boards_.back().sun = sun;
  }
  // Fails the test if the expected start of the first waiting job moves to a later time, by more
  // than the grid on which starts are looked for. For queues in which nothing arrives and no
  // deadline reorders.
  void ExpectFirstPlaceToHold() { first_place_holds_ = true; }
  // The least charge of a board while it worked.
  [[nodiscard]] double LeastWorkingWh(size_t board) const { return boards_[board].least_wh; }

  // A board that runs a job of JobOf `speed` times as fast.
  void Add(DeviceView view, double speed) {
    view.device.mutable_info()->set_link_bytes_per_second(1e9);
    view.device.mutable_info()->set_emulated(false);
    view.device.mutable_heartbeat()->add_cached_artifact_ids("m");
    view.device.mutable_heartbeat()->add_cached_artifact_ids("d");
    Learn(view, speed);
    boards_.push_back({.view = std::move(view), .attempt = std::nullopt});
  }
  void Arrive(double hour, JobView job) {
    job.submitted = kTestNow + absl::Hours(hour);
    arrivals_.push_back(std::move(job));
  }

  // The plan at the begin.
  [[nodiscard]] std::vector<QueuePlacement> FirstPlan() {
    End();
    return PlanQueue(Now());
  }
  // Runs until no work is left.
  std::map<std::string, Outcome> Run() {
    while (true) {
      End();
      FailOverdue();
      Plan();
      const absl::Time next = NextEvent();
      if (next == absl::InfiniteFuture() || next > kTestNow + kWeek) {
        return outcomes_;
      }
      PassTo(next);
    }
  }

 private:
  struct Attempt {
    JobView job;
    absl::Time ends;
    absl::Time began;
    double done = 0;                        // Share of the job's steps before this attempt.
    std::optional<absl::Time> handed_over;  // Released: when the board is free.
    bool rests = false;                     // The guard stops it at the reserve.
  };
  struct Board {
    DeviceView view;
    std::optional<Attempt> attempt;
    std::optional<Sun> sun = std::nullopt;
    double least_wh = std::numeric_limits<double>::infinity();
  };
  static constexpr absl::Duration kWeek = absl::Hours(7 * 24);
  static constexpr absl::Duration kReplan = absl::Minutes(15);
  static constexpr absl::Duration kHandOver = absl::Minutes(1);
  static constexpr absl::Duration kMinute = absl::Minutes(1);

  void Learn(const DeviceView& view, double speed) {
    const JobView job = RealJob("j0", 1000);
    const absl::StatusOr<WorkAmount> work = WorkOf(job.spec, job.inputs, profiles_);
    ASSERT_THAT(work, IsOk());
    const v1::Receipt receipt =
        MeasuredReceipt(*work, 3600.0 / kExamplesPerHour / speed * work->examples, kLoopWatts);
    // Measured often, so that the interval is narrow.
    for (int i = 0; i < 20; ++i) {
      for (const v1::ProfileRow& row :
           LearnFromReceipt(profiles_, view.device.info(), receipt, kTestNow)) {
        ASSERT_THAT(profiles_.Put(row), IsOk());
      }
    }
  }

  // The sun is constant in an hour of the day.
  void PassTo(absl::Time next) {
    while (now_ < next) {
      const int64_t hour = absl::ToUnixSeconds(now_) / 3600;
      const absl::Time end = std::min(next, absl::FromUnixSeconds((hour + 1) * 3600));
      for (Board& board : boards_) {
        if (!board.sun.has_value()) {
          continue;
        }
        Sun& sun = *board.sun;
        const double watts = sun.watts_by_hour[static_cast<size_t>(hour % 24)];
        for (absl::Time at = now_; at < end; at += kMinute) {
          PassMinute(watts, std::min(kMinute, end - at), board);
        }
      }
      now_ = end;
    }
  }

  // The guard of a run that rests keeps some minutes of its draw above the reserve.
  void PassMinute(double sun_watts, absl::Duration time, Board& board) const {
    constexpr double kHeldBackWh = kLoopWatts / 20;
    Sun& sun = *board.sun;
    const double reserve =
        policies_.empty() ? 0 : policies_.front().reserve_state_of_charge_ratio();
    const bool rests = board.attempt.has_value() && board.attempt->rests &&
                       sun.charge_wh < reserve * sun.capacity_wh + kHeldBackWh;
    const bool works = board.attempt.has_value() && !rests;
    const double net = sun_watts - (works ? kLoopWatts : sun.idle_watts);
    sun.charge_wh =
        std::clamp(sun.charge_wh + net * absl::ToDoubleHours(time), 0.0, sun.capacity_wh);
    if (works) {
      board.least_wh = std::min(board.least_wh, sun.charge_wh);
    }
    if (rests) {
      board.attempt->ends += time;
    }
  }

  [[nodiscard]] double Hour() const { return absl::ToDoubleHours(now_ - kTestNow); }

  void End() {
    for (Board& board : boards_) {
      if (!board.attempt.has_value()) {
        continue;
      }
      Attempt& attempt = *board.attempt;
      if (attempt.handed_over.has_value() && *attempt.handed_over <= now_) {
        const double steps = WorkOf(attempt.job.spec, attempt.job.inputs, profiles_)->steps;
        const double share = absl::FDivDuration(now_ - attempt.began, attempt.ends - attempt.began);
        attempt.job.checkpoint_step =
            static_cast<int64_t>(steps * (attempt.done + share * (1 - attempt.done)));
        queue_.push_back(attempt.job);
        board.attempt.reset();
      } else if (attempt.ends <= now_) {
        outcomes_[attempt.job.id.value()].ended = Hour();
        board.attempt.reset();
      }
    }
    for (auto job = arrivals_.begin(); job != arrivals_.end();) {
      if (job->submitted <= now_) {
        queue_.push_back(std::move(*job));
        job = arrivals_.erase(job);
      } else {
        ++job;
      }
    }
  }

  static absl::Time DeadlineOf(const JobView& job) {
    return job.spec.deadline_seconds() > 0
               ? job.submitted + absl::Seconds(job.spec.deadline_seconds())
               : absl::InfiniteFuture();
  }

  void FailOverdue() {
    const auto overdue = std::partition(queue_.begin(), queue_.end(),
                                        [&](const JobView& job) { return DeadlineOf(job) > now_; });
    for (auto job = overdue; job != queue_.end(); ++job) {
      outcomes_[job->id.value()].failed = true;
    }
    queue_.erase(overdue, queue_.end());
  }

  // How much of the time until the moment lies within the board's windows.
  [[nodiscard]] absl::Duration WorkUntil(absl::Time end, const DeviceView& view) const {
    const auto times = WorkTimesOf(LimitsFor(policies_, view.device.info()));
    if (times == nullptr) {
      return end - now_;
    }
    std::vector<policy::WorkPiece> pieces =
        policy::PiecesUnder(times->windows, std::nullopt, {.start = now_, .work = end - now_});
    CutAt(end, pieces);
    absl::Duration work;
    for (const policy::WorkPiece& piece : pieces) {
      work += piece.end - piece.begin;
    }
    return work;
  }

  [[nodiscard]] Snapshot Now() {
    Snapshot snapshot = MakeSnapshot({}, profiles_);
    snapshot.now = now_;
    snapshot.queue = queue_;
    snapshot.policies = policies_;
    for (const Board& board : boards_) {
      DeviceView view = board.view;
      if (board.sun.has_value()) {
        SetBattery(board.sun->capacity_wh, board.sun->charge_wh / board.sun->capacity_wh, &view);
      }
      if (board.attempt.has_value()) {
        const Attempt& attempt = *board.attempt;
        view.device.set_running_attempt_id(attempt.job.id.value() + ".1");
        view.hands_over = attempt.handed_over.has_value();
        view.free_at =
            view.hands_over ? *attempt.handed_over : now_ + WorkUntil(attempt.ends, view);
        view.committed_energy = Watts(kLoopWatts) * (view.free_at - now_);
        if (attempt.rests) {
          view.rests_at_reserve = RestsAtReserve();
        }
        if (!attempt.handed_over.has_value()) {
          view.releasable = ReleasableAttempt{.id = AttemptId(attempt.job.id.value() + ".1"),
                                              .job = attempt.job.id,
                                              .priority = attempt.job.spec.priority(),
                                              .deadline = DeadlineOf(attempt.job),
                                              .remaining = attempt.ends - now_,
                                              .hand_over = kHandOver,
                                              .resume = kHandOver};
        }
      }
      snapshot.devices.push_back(std::move(view));
    }
    return snapshot;
  }

  void ExpectFirstPlaceHolds(const std::vector<QueuePlacement>& plan) {
    const auto first = std::find_if(plan.begin(), plan.end(), [](const QueuePlacement& placed) {
      return placed.placement.wait();
    });
    if (first == plan.end()) {
      return;
    }
    const double start = first->placement.expected_start_unix_seconds();
    if (first->job.value() == first_job_) {
      EXPECT_LE(start, first_start_ + 900) << first_job_ << ": " << first->placement.reason();
    }
    first_job_ = first->job.value();
    first_start_ = start;
  }

  void Plan() {
    const std::vector<QueuePlacement> plan = PlanQueue(Now());
    if (first_place_holds_) {
      ExpectFirstPlaceHolds(plan);
    }
    for (const QueuePlacement& placed : plan) {
      if (!placed.releases.value().empty()) {
        for (Board& board : boards_) {
          if (board.attempt.has_value() &&
              board.attempt->job.id.value() + ".1" == placed.releases.value()) {
            board.attempt->handed_over = now_ + kHandOver;
          }
        }
      }
      if (placed.placement.device_id().empty() || placed.placement.wait()) {
        continue;
      }
      const auto job = std::find_if(queue_.begin(), queue_.end(),
                                    [&](const JobView& one) { return one.id == placed.job; });
      const auto board = std::find_if(boards_.begin(), boards_.end(), [&](const Board& one) {
        return one.view.device.info().device_id() == placed.placement.device_id();
      });
      ASSERT_FALSE(board->attempt.has_value()) << "one attempt at a time";
      outcomes_[job->id.value()].starts.emplace_back(board->view.device.info().name(), Hour());
      const double steps = WorkOf(job->spec, job->inputs, profiles_)->steps;
      const v1::Candidate& run = placed.placement.best(0);
      const double rest_seconds = run.prediction().rest_seconds();
      board->attempt =
          Attempt{*job,         now_ + absl::Seconds(run.finish_in_seconds() - rest_seconds),
                  now_,         static_cast<double>(job->checkpoint_step) / steps,
                  std::nullopt, rest_seconds > 0};
      queue_.erase(job);
    }
  }

  [[nodiscard]] absl::Time NextEvent() const {
    absl::Time next = absl::InfiniteFuture();
    for (const Board& board : boards_) {
      if (board.attempt.has_value()) {
        next = std::min(next, board.attempt->handed_over.value_or(board.attempt->ends));
      }
    }
    for (const JobView& job : arrivals_) {
      next = std::min(next, job.submitted);
    }
    for (const JobView& job : queue_) {
      next = std::min(next, DeadlineOf(job));
    }
    if (!queue_.empty() && std::any_of(boards_.begin(), boards_.end(),
                                       [](const Board& board) { return board.sun.has_value(); })) {
      next = std::min(next, now_ + kReplan);
    }
    return next;
  }

  ProfileTable profiles_;
  bool first_place_holds_ = false;
  std::string first_job_;
  double first_start_ = 0;  // Unix seconds.
  std::vector<v1::Policy> policies_;
  std::vector<Board> boards_;
  std::vector<JobView> arrivals_;
  std::vector<JobView> queue_;
  std::map<std::string, Outcome> outcomes_;
  absl::Time now_ = kTestNow;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_TESTING_EVENT_LOOP_FOR_TEST_H_
