// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated worker: speaks the protocol of fleet.proto, spools reports, counts its lease, loses
// its memory in a crash and keeps its disk. Single-threaded.
#ifndef WATTLE_SIM_WORKER_H_
#define WATTLE_SIM_WORKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "sim/event_loop.h"
#include "sim/options.h"
#include "sim/random.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::sim {

// What the worker needs of the world. The functions may be called while the worker is connected.
struct WorkerPort {
  std::function<void()> dial;  // opens a stream: Connected follows, and the hello goes out
  std::function<void(const v1::WorkerMessage&)> send;
  // Commits the artifact; `done` is called when it is durable, or never.
  std::function<void(const v1::ArtifactInfo&, std::function<void()> done)> upload;
};

class Worker {
 public:
  Worker(int number, EventLoop& loop, Random& random, const Options& options);

  void Start(WorkerPort port);
  void Crash();     // loses what is not on disk
  void LoseDisk();  // while crashed: a new incarnation, nothing held, counters at zero
  void Restart();
  void Connected(int64_t stream);
  void Disconnected();  // found out; dials again after a while
  void Receive(const v1::CoordinatorMessage& message);
  void StopFaults() { faults_ = false; }

  [[nodiscard]] const v1::DeviceInfo& info() const { return info_; }
  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] int64_t stream() const { return stream_; }  // 0: none
  [[nodiscard]] int64_t incarnation() const { return incarnation_; }
  [[nodiscard]] const std::deque<v1::Report>& spool() const { return spool_; }
  [[nodiscard]] int64_t reports_made() const { return next_report_ - 1; }
  [[nodiscard]] int64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] bool lost_disk() const { return lost_disk_; }
  [[nodiscard]] std::set<std::string> Held() const;
  [[nodiscard]] double attempt_energy_joules() const { return attempt_energy_joules_; }

 private:
  struct HeldRun {
    v1::Assignment assignment;
    v1::AttemptState state = v1::ATTEMPT_STATE_FETCHING;
    double steps_done = 0.0;   // in memory
    double steps_saved = 0.0;  // in the checkpoint on disk
    double steps_total = 0.0;
    double energy_joules = 0.0;   // on disk
    double device_seconds = 0.0;  // on disk
    bool uploading = false;       // in memory
    double paused_until_seconds = 0.0;
    int restarts = 0;
  };

  void Every(double interval_seconds, void (Worker::*action)());
  void Step();
  void SendHeartbeat();
  void SendSpool();
  void Apply(const v1::DesiredSet& desired);
  void Stop(HeldRun& held);
  void Finish(HeldRun& held);
  void Fail(HeldRun& held);
  v1::Receipt MakeReceipt(const HeldRun& held) const;
  v1::Report& Spool();
  void Ended(const std::string& attempt_id);

  EventLoop& loop_;
  Random& random_;
  const Options& options_;
  WorkerPort port_;
  v1::DeviceInfo info_;
  double power_watts_;
  double steps_per_device_second_;
  bool faults_ = true;
  bool lost_disk_ = false;

  // On disk.
  int64_t incarnation_;
  int64_t next_report_ = 1;
  int64_t acknowledged_ = 0;
  std::deque<v1::Report> spool_;
  std::map<std::string, HeldRun> held_;
  std::set<std::string> ended_;  // attempts that are never taken again
  double attempt_energy_joules_ = 0.0;
  double idle_energy_joules_ = 0.0;

  // In memory.
  bool alive_ = false;
  int64_t life_ = 0;  // counts restarts, so that timers of an earlier life do nothing
  int64_t stream_ = 0;
  double last_contact_seconds_ = 0.0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_WORKER_H_
