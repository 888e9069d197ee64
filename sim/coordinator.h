// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator's process and machine in virtual time: a loop around the event loop
// (coordinator/event_loop), where the real coordinator has threads. The loop commits in batches,
// releases durable outcomes and plans with a delay. The process can stop at any step, lose unsynced
// writes, and be replaced by a backup. Single-threaded.
#ifndef WATTLE_SIM_COORDINATOR_H_
#define WATTLE_SIM_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/core/command.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/standstill_detector.h"
#include "coordinator/core/state.h"
#include "coordinator/event_loop/event_loop.h"
#include "sim/disk.h"
#include "sim/event_log.h"
#include "sim/event_loop.h"
#include "sim/invariants.h"
#include "sim/options.h"
#include "sim/plan_judge.h"
#include "sim/random.h"
#include "sim/sqlite_disk.h"
#include "sim/time_limits.h"

namespace wattle::sim {

class Coordinator {
 public:
  // Sends a message to the device's present stream.
  using Send = std::function<void(const DeviceId&, const v1::CoordinatorMessage&)>;

  // How the queue is planned.
  struct Planning {
    // Empty: the production planner.
    std::function<core::PlanComputed(const scheduler::Snapshot&)> compute{};
    core::MemoryEstimator estimate_memory{};  // empty: plans do not check memory
  };
  struct World {
    EventLoop& loop;
    Random& random;
    const Options& options;
    Counts& counts;
    Invariants& invariants;
    Planning planning{};
  };
  // stopped: called when the process has ended, and every stream with it.
  Coordinator(const World& world, Send send, std::function<void()> stopped);
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // Calls `done` when the answer is durable, or never if the process stops first.
  void Post(core::Command command, event_loop::AnswerCallback done);
  // The messages of a stream. welcomed: true when the hello is durable and the welcome is sent;
  // false if the hello is refused.
  void Hello(const v1::Hello& hello, std::function<void(bool welcomed)> done);
  void Heard(const DeviceId& device, const v1::Heartbeat* heartbeat);
  void Disconnected(const DeviceId& device);
  void TookReport(const DeviceId& device, const v1::Report& report);

  // Ends the process. At a power cut its disk loses unsynced writes.
  void Stop(ProcessStop how);
  void Restart();
  // Copies the journal. In a world with the real journal the power can fail during the copy.
  // Returns false if there is no new backup.
  bool Backup();
  // Stops and restarts on the disk of the last backup. Returns false if there is no backup.
  bool Restore();
  // The process does nothing until Resume; arriving messages wait for it. Returns false if the
  // process is not running or already stands still.
  bool StandStill();
  void Resume();
  void StepClock(double seconds) {
    clock_offset_seconds_ += seconds;
    time_limits_.OnClockStep();
  }
  bool EvictSomeArtifact();  // false: there is no artifact
  Disk& disk() { return disk_; }

  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] bool stands_still() const { return stands_still_; }
  [[nodiscard]] int64_t life() const { return life_; }  // the process's number
  [[nodiscard]] int64_t restores() const { return restores_; }
  // The durable state.
  [[nodiscard]] const core::State& durable() const { return durable_; }
  // Observations of the devices by the present process.
  [[nodiscard]] const core::Observations& observations() const { return observations_; }
  // Jobs that left the state, by idempotency key: what the journal's history should answer.
  [[nodiscard]] const std::map<std::string, v1::Job>& history() const { return history_; }
  // Compares history() with the answers of the real journal's history, if the process runs.
  void CheckHistory();
  // Searches like the API: the durable state, then the history. Null: no submit has used the key.
  [[nodiscard]] const v1::Job* FindJobOfKey(const std::string& idempotency_key) const;
  [[nodiscard]] double SilenceSeconds(const std::string& device_id) const;
  [[nodiscard]] core::Instant Now() const;

 private:
  // Opens a new journal or a copy under its epoch, before any other decision.
  bool OpenLineage();
  // False: the disk prevents opening, and the process will start again later.
  bool OpenLog();
  void RestartLater();
  void WriteSnapshot();
  void Commit();
  void Release(const event_loop::Released& released);
  // Calls `action` now, or once the process resumes; never if the process ends before.
  void WhenRunning(std::function<void()> action);
  // WhenRunning after this time.
  void After(double seconds, std::function<void()> action);
  void Every(double interval_seconds, void (Coordinator::*action)());
  void Listen();
  [[nodiscard]] double BreakSeconds() const { return 5.0 * world_.options.tick_seconds; }
  void Tick();
  void Plan();
  core::PlanComputed Compute();
  // Updates the durable state with the events.
  void Took(const std::vector<v1::Event>& events);
  void Count(const std::vector<v1::Event>& events);
  void CountRun(const v1::AttemptStateChanged& event);

  World world_;
  Send send_;
  std::function<void()> stopped_;

  Disk disk_;
  std::optional<SqliteMount> mount_;  // in a world with the real journal
  std::unique_ptr<EventLog> log_;
  struct Kept {
    Disk::Image disk;
    Invariants::Past past;
    core::State durable;
    std::map<std::string, v1::Job> history;
  };
  std::optional<Kept> backup_;
  TimeLimits time_limits_;
  int64_t restores_ = 0;
  int64_t epoch_min_ = 0;

  // The process's memory:
  bool alive_ = false;
  int64_t life_ = 0;
  bool stands_still_ = false;
  std::vector<std::function<void()>> waiting_;  // actions for when the process resumes
  double standstill_seconds_ = 0.0;             // when the last standstill began
  double listens_seconds_ = 0.0;                // the start, or the end of the last break
  double clock_offset_seconds_ = 0.0;
  std::optional<event_loop::EventLoop> event_loop_;
  std::optional<core::StandstillDetector> standstill_;
  core::Observations observations_;
  std::map<std::string, double> heard_seconds_;
  std::map<DeviceId, int64_t> last_report_;  // the device's last report at its hello
  event_loop::Ready pending_;
  core::State durable_;
  std::map<std::string, v1::Job> history_;
  event_loop::PlanFilter plan_filter_;
  PlanJudge plan_judge_;
  bool commit_scheduled_ = false;
  bool plan_under_way_ = false;
  int64_t events_since_snapshot_ = 0;
  int64_t commits_since_check_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_COORDINATOR_H_
