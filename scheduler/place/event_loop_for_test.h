// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fleet over hours for the tests of this folder: jobs arrive, the shipped PlanQueue plans after
// each event, boards run what the plan starts and hand over what it releases. Truth is the
// planner's own mean, so no outcome comes from a wrong prediction.
#ifndef WATTLE_SCHEDULER_PLACE_EVENT_LOOP_FOR_TEST_H_
#define WATTLE_SCHEDULER_PLACE_EVENT_LOOP_FOR_TEST_H_

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "scheduler/place/fleet_for_test.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

inline constexpr double kLoopWatts = 10;
// Of the jobs that JobOf makes.
inline constexpr double kExamplesPerHour = 1000;

// A job that takes `length` on a board of speed 1, when nothing has to be fetched.
inline JobView JobOf(const std::string& id, absl::Duration length,
                     v1::Objective objective = v1::OBJECTIVE_ENERGY) {
  return RealJob(id, static_cast<int64_t>(kExamplesPerHour * absl::ToDoubleHours(length)),
                 objective);
}

class EventLoop {
 public:
  // What became of a job, in hours since the begin.
  struct Outcome {
    std::vector<std::pair<std::string, double>> starts;  // Board, hour.
    double ended = -1;                                   // -1: it did not end.
    bool failed = false;                                 // Its deadline passed before it started.
  };

  // A board that runs a job of JobOf `speed` times as fast.
  void Add(DeviceView view, double speed) {
    view.device.mutable_info()->set_link_bytes_per_second(1e9);
    view.device.mutable_info()->set_emulated(false);
    view.device.mutable_heartbeat()->add_cached_artifact_ids("m");
    view.device.mutable_heartbeat()->add_cached_artifact_ids("d");
    Learn(view, speed);
    boards_.push_back({std::move(view), std::nullopt});
  }
  void Arrive(double hour, JobView job) {
    job.submitted = kTestNow + absl::Hours(hour);
    arrivals_.push_back(std::move(job));
  }

  // Until nothing is left to do.
  std::map<std::string, Outcome> Run() {
    while (true) {
      End();
      FailOverdue();
      Plan();
      const absl::Time next = NextEvent();
      if (next == absl::InfiniteFuture()) {
        return outcomes_;
      }
      now_ = next;
    }
  }

 private:
  struct Attempt {
    JobView job;
    absl::Time ends;
    absl::Time began;
    double done = 0;                        // Share of the job's steps before this attempt.
    std::optional<absl::Time> handed_over;  // Released: when the board is free.
  };
  struct Board {
    DeviceView view;
    std::optional<Attempt> attempt;
  };
  static constexpr absl::Duration kHandOver = absl::Minutes(1);

  void Learn(const DeviceView& view, double speed) {
    const JobView job = RealJob("j0", 1000);
    const absl::StatusOr<WorkAmount> work = WorkOf(job.spec, job.inputs, profiles_);
    ASSERT_THAT(work, IsOk());
    v1::Receipt receipt;
    receipt.set_attempt_id("j0.1");
    v1::EnergyMeasurement& run = *receipt.mutable_run();
    run.set_seconds(3600.0 / kExamplesPerHour / speed * work->examples);
    run.set_mean_power_watts(kLoopWatts);
    run.set_coverage_ratio(1);
    run.set_source(v1::ENERGY_SOURCE_INA3221);
    v1::WorkDone& done = *receipt.mutable_work();
    *done.mutable_signature() = work->signature;
    done.set_unit(work->unit);
    done.set_units(work->units);
    done.set_tokens(static_cast<int64_t>(work->units));
    done.set_examples(static_cast<int64_t>(work->examples));
    done.set_steps(static_cast<int64_t>(work->steps));
    // Measured often: the interval is narrow.
    for (int i = 0; i < 20; ++i) {
      for (const v1::ProfileRow& row :
           LearnFromReceipt(profiles_, view.device.info(), receipt, kTestNow)) {
        ASSERT_THAT(profiles_.Put(row), IsOk());
      }
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

  [[nodiscard]] Snapshot Now() {
    Snapshot snapshot = MakeSnapshot({}, profiles_);
    snapshot.now = now_;
    snapshot.queue = queue_;
    for (const Board& board : boards_) {
      DeviceView view = board.view;
      if (board.attempt.has_value()) {
        const Attempt& attempt = *board.attempt;
        view.device.set_running_attempt_id(attempt.job.id.value() + ".1");
        view.free_at = attempt.handed_over.value_or(attempt.ends);
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

  void Plan() {
    for (const QueuePlacement& placed : PlanQueue(Now())) {
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
      board->attempt =
          Attempt{*job, now_ + absl::Seconds(placed.placement.best(0).finish_in_seconds()), now_,
                  static_cast<double>(job->checkpoint_step) / steps, std::nullopt};
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
    return next;
  }

  ProfileTable profiles_;
  std::vector<Board> boards_;
  std::vector<JobView> arrivals_;
  std::vector<JobView> queue_;
  std::map<std::string, Outcome> outcomes_;
  absl::Time now_ = kTestNow;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_EVENT_LOOP_FOR_TEST_H_
