// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A worker's machine in virtual time around the real agent (worker/agent/core,
// worker/agent/storage): board, sensors, runner, transfers, disk and link. The process can stop at
// any disk operation and restart. Single-threaded.
#ifndef WATTLE_SIM_WORKER_H_
#define WATTLE_SIM_WORKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/addresses.h"
#include "sim/board.h"
#include "sim/event_loop.h"
#include "sim/hourly_link.h"
#include "sim/invariants.h"
#include "sim/link_watch.h"
#include "sim/machine.h"
#include "sim/options.h"
#include "sim/policy_watch.h"
#include "sim/random.h"
#include "sim/runner.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/agent_ports.h"
#include "worker/agent/core/device_clock.h"
#include "worker/agent/core/device_readings.h"
#include "worker/agent/core/energy_account.h"
#include "worker/agent/core/pace.h"
#include "worker/agent/core/time_keeper.h"
#include "worker/agent/storage/memory_disk.h"
#include "worker/agent/storage/spool.h"
#include "worker/agent/storage/state_directory.h"

namespace wattle::sim {

class Worker final : public agent::AgentPorts {
 public:
  struct World {
    EventLoop& loop;
    Random& random;
    const Options& options;
    Counts& counts;
    Invariants& invariants;
  };
  // The machine's connections to the world.
  struct Link {
    std::function<void()> dial;  // Connected follows, or Disconnected
    std::function<void(const v1::WorkerMessage&)> send;
    // Commits the artifact. Calls `done` with the outcome, or never.
    std::function<void(const v1::ArtifactInfo&, std::function<void(const absl::Status&)> done)>
        upload;
    // The content of the artifact in the coordinator's store; null if missing.
    std::function<const std::string*(const std::string& artifact_id)> blob;
    std::function<void(const std::string& artifact_id, const std::string& content)> keep_blob;
    std::function<void()> stopped;  // the machine stopped by itself
    // The device with this id will not return: its card was replaced.
    std::function<void(const std::string& device_id)> gone;
  };
  // machine: from a scenario; null: drawn from the seed.
  Worker(int number, const World& world, Link link, const Machine* machine);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start();
  // Ends the process.
  void Stop(ProcessStop how);
  // Removes the power; the machine cannot start until it is back.
  void SetSwitchedOff(bool off);
  // Cuts the power during one of the next disk operations.
  void CutPowerSoon();
  void LoseDisk();    // while stopped: replaces the card with an empty one
  bool DamageFile();  // false: there is no file
  enum class RunnerFault { kCrash, kHang };
  bool BreakRunner(RunnerFault fault);  // false: no runner runs
  enum class Disk { kHealthy, kFull, kReadOnly, kError, kSlow };
  void SetDisk(Disk disk);
  void StepClock(double seconds);
  // Removes the time service and makes the clock late by this; 0: restores both. Not while the
  // process lives, unless the clock becomes right.
  void SetClockLate(double seconds);
  void EvictCache() {
    cache_empty_ = true;
    fetched_bytes_ = 0;
    parts_bytes_.clear();
  }
  // Limits the link to this many bytes a second; absent: restores the drawn board's rate.
  void SetNarrowLink(std::optional<double> bytes_per_second) {
    narrow_bytes_per_second_ = bytes_per_second;
  }
  // Other programs share the board's cores with the runner, whose steps take twice as long.
  void SetOtherLoad(bool on);
  void SetWeakSupply(bool on);
  // The owner sets another power mode, and the worker notices. Returns false if there is no other
  // mode or no worker.
  bool SetModeByOwner();
  void SetMemoryTaken(bool on);
  // The owner reserves the board for this time, or releases it. Returns false if no worker runs.
  bool HoldByOwner(double seconds);
  void ReleaseByOwner();
  void StopFaults();
  // Ends the machine for good.
  void Die();

  void Connected(int64_t stream);
  void Disconnected(int64_t stream);  // the worker noticed; it dials again after a while
  void Receive(const v1::CoordinatorMessage& message);

  [[nodiscard]] int number() const { return number_; }
  // Factor by which a step in the board's slowest power mode is longer than the world's mean.
  [[nodiscard]] double SlowestBy();
  // The windows of the policies that the worker has.
  [[nodiscard]] const std::vector<policy::WindowLimit>& windows() const {
    return policies_.limits().windows;
  }
  // Reading of its clock.
  [[nodiscard]] absl::Time Clock() const;
  // Power of a drawn board's work in its modes.
  [[nodiscard]] std::optional<Truth::WorkPower> work_power() const;
  [[nodiscard]] bool alive() const { return core_ != nullptr; }
  [[nodiscard]] int64_t stream() const { return stream_; }  // 0: none
  // The present address in its rounds over the known coordinator addresses.
  [[nodiscard]] const std::string& address() const { return addresses_[address_]; }
  // Whether the worker itself recognizes another journal than its own, and then disconnects.
  [[nodiscard]] bool tells_strangers() const;
  [[nodiscard]] const std::string& device_id() const { return device_id_; }
  [[nodiscard]] int64_t incarnation() const { return incarnation_; }
  [[nodiscard]] bool lost_something() const { return lost_something_; }
  [[nodiscard]] bool at_rest() const;
  [[nodiscard]] std::string what_it_does();  // for people
  [[nodiscard]] Board& board() { return board_; }
  [[nodiscard]] Runner* runner() { return runner_.get(); }
  [[nodiscard]] agent::AgentCore* core() { return core_.get(); }
  [[nodiscard]] agent::Spool* spool() { return spool_.get(); }
  [[nodiscard]] const agent::MemoryDisk& disk() const { return disk_; }
  // Bytes of artifacts that crossed its link.
  [[nodiscard]] int64_t link_bytes() const { return links_.bytes(); }
  void AdvanceBoard();

  // AgentPorts, called by the core.
  absl::Status StartRunner(const v1::RunnerTask& task) override;
  void SendToRunner(const v1::RunnerCommand& command) override;
  void KillRunner() override;
  absl::Status SetPowerMode(const std::string& mode) override;
  absl::Status RestorePowerMode() override;
  void StartFetch(const v1::Assignment& assignment) override;
  void StartUpload(const std::string& directory, const v1::ArtifactInfo& info) override;
  void CancelTransfer() override;
  void ProbeStorage() override;
  void StartReleaseFetch(const v1::UpgradeOrder& order) override;
  [[nodiscard]] std::string CurrentRelease() const override { return release_; }
  absl::Status SwitchRelease(const std::string& version) override;
  void KeepReleases(const std::set<std::string>& versions) override;
  void StartSelfTest() override;
  void Send(const v1::WorkerMessage& message) override;
  void Reconnect() override;
  void Follow(const std::string& coordinator) override;
  void TryNextCoordinator() override;
  void Note(const std::string& line) override;

 private:
  using CoreCall = std::function<void(const agent::Instant&)>;

  // Factor of a step's time while other programs keep the cores busy.
  static constexpr double kBesideOthersSlower = 2.0;

  [[nodiscard]] agent::Instant Now();
  [[nodiscard]] std::string BootId() const;
  // Whether the worker's last information about the time is true.
  [[nodiscard]] bool TimeIsTold() const;
  // The processor time of the board.
  [[nodiscard]] agent::BoardLoad Load() const;
  // Time that its programs have waited for memory.
  [[nodiscard]] absl::Duration MemoryStalled() const;
  // Samples the board, calls the core, and handles the consequences: the next wake, a power cut.
  void Call(const CoreCall& call);
  void Sample(const agent::Instant& now);
  void Later(double seconds, std::function<void()> action);  // only if the process still lives
  void SetWorking(bool working);
  void EndTransfer(int64_t transfer, const absl::Status& status);
  // Moves the rest of the transfer after a wait, then calls `moved`. A transfer that the link cuts
  // off ends.
  void Move(int64_t transfer, double wait_seconds, const std::function<void()>& moved);
  [[nodiscard]] WatchMoment Moment();
  [[nodiscard]] double StepSeconds();
  // How long a runner may run on after the order to stop.
  [[nodiscard]] double StopSeconds();
  void CheckLease();
  void CheckPowerMode();
  void CheckOwnerHold();
  void CheckShortages();
  void CheckIdle(const agent::Instant& now);
  void CheckStorage(const agent::Instant& now);
  void CheckRelease();
  [[nodiscard]] Monotonic Boottime() const;
  void Launch();
  void WatchTrial();
  void RestartSoon();
  void PlaceCheckpoint(const v1::Assignment& assignment);
  // Makes the agent from the content of the disk.
  void MakeCore();
  void ScheduleWake(const agent::Instant& now);
  void Dial();
  [[nodiscard]] std::string Engine() const;
  [[nodiscard]] double SlowerBy();
  [[nodiscard]] v1::DeviceInfo Describe() const;
  [[nodiscard]] agent::CoreSettings Settings() const;
  [[nodiscard]] absl::Duration StorageProbePeriod() const;

  // Size of an artifact of the store, or of one that a scenario's job made.
  [[nodiscard]] int64_t ArtifactBytes(const std::string& artifact_id) const;
  [[nodiscard]] int64_t UploadBytes(v1::ArtifactKind kind) const;
  // The next piece of the present transfer.
  [[nodiscard]] HourlyLink::Piece NextPiece(double at_seconds) const;
  [[nodiscard]] bool IsCached(const std::string& artifact_id) const;
  // For a scenario's machine: records that these bytes of its files arrived, file after file.
  void KeepParts(const std::vector<std::string>& artifact_ids, int64_t bytes);
  void KeepInCache(const agent::FetchResult& result);

  // The present transfer.
  struct Moving {
    int64_t left_bytes = 0;
    int64_t moved_bytes = 0;
    double seconds = 0.0;  // duration of the move
    bool uploads = false;
    std::function<void(int64_t)> came{};  // called with the bytes of a piece
  };

  const int number_;
  World world_;
  Link link_;
  const std::optional<Machine> machine_;
  const bool emulated_;  // of a drawn board, like the next
  const bool has_modes_;
  Board board_;
  agent::MemoryDisk disk_;
  bool faults_ = true;
  bool dead_ = false;
  bool switched_off_ = false;

  // The machine since its power came on:
  bool powered_ = false;
  double booted_seconds_ = 0.0;
  int64_t boots_ = 0;
  double clock_offset_seconds_ = 0.0;
  double late_seconds_ = 0.0;     // above 0: no time service keeps the clock
  bool told_wrong_time_ = false;  // by a coordinator, since the last boot
  bool other_load_ = false;
  double other_load_since_seconds_ = 0.0;
  double others_seconds_ = 0.0;  // with all cores busy with other programs
  bool weak_supply_ = false;
  double weak_supply_since_seconds_ = 0.0;
  bool memory_taken_ = false;
  double memory_taken_since_seconds_ = 0.0;
  double stalled_seconds_ = 0.0;  // until then
  std::optional<double> narrow_bytes_per_second_;

  // The process; gone when it stops:
  int64_t life_ = 0;
  double life_since_seconds_ = 0.0;
  int64_t stream_ = 0;
  std::vector<std::string> addresses_{Addresses::kFirst};
  size_t address_ = 0;
  std::string device_id_;
  int64_t incarnation_ = 0;
  agent::DeviceClock clock_;
  agent::TimeKeeper time_;
  std::unique_ptr<agent::Pace> pace_;
  std::unique_ptr<agent::StateDirectory> state_;
  std::unique_ptr<agent::Spool> spool_;
  std::unique_ptr<agent::EnergyAccount> account_;
  std::unique_ptr<agent::AgentCore> core_;
  std::unique_ptr<agent::DeviceReadings> readings_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<Runner> left_runner_;  // a runner that ended during one of its own calls
  int64_t transfer_ = 0;                 // number of the present transfer; 0: none
  int64_t transfers_ = 0;
  std::function<void(const absl::Status&)> transfer_done_;
  Moving moving_;
  double wake_seconds_ = 0.0;
  bool wake_scheduled_ = false;
  bool cache_empty_ = true;
  int64_t fetched_bytes_ = 0;                      // bytes of an unfinished fetch, on the card
  std::map<std::string, int64_t> parts_bytes_;     // the same for a scenario's machine, by artifact
  std::map<std::string, int64_t> uploaded_bytes_;  // bytes that the coordinator has, by artifact
  std::set<std::string> cached_;                   // artifacts, of a scenario's machine
  std::optional<Workload> workload_;               // of the scenario machine's present run
  bool lost_something_ = false;
  // The owner's hold, while nothing has happened that may lose it; both 0: the worker owes no hold.
  double held_since_seconds_ = 0.0;
  double held_until_seconds_ = 0.0;
  bool new_software_ = false;      // of the process
  std::string power_mode_;         // the board's present one; empty: it has none
  std::string own_mode_ = "MAXN";  // last set by its owner
  Disk disk_state_ = Disk::kHealthy;
  double disk_so_since_seconds_ = 0.0;  // in one process; if slow, without work
  double idle_since_seconds_ = 0.0;
  // Releases of the worker: those on the card, the one that the link names ("": the installed
  // programs), and the one that the process runs.
  std::set<std::string> releases_;
  std::string release_;
  std::string version_;
  std::optional<double> bad_release_since_seconds_;  // of power
  // 0: no work that the process holds and may do is idle.
  double idles_over_work_since_seconds_ = 0.0;
  PolicyWatch policies_;
  bool desired_may_be_lost_ = false;  // the disk may not have kept the latest desired set
  LinkWatch links_;
  // For the check of the worker's own lease:
  double contact_seconds_ = 0.0;
  double lease_checked_seconds_ = 0.0;
  std::map<std::string, double> leases_seconds_;  // key: attempt; as the assignment says
  double running_lease_seconds_ = 0.0;
};

// The artifact ids of a result and of a checkpoint.
std::string OutputId(const std::string& weights);
std::string CheckpointId(const std::string& content);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_WORKER_H_
