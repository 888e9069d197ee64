// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's process: sensors, link, transfers, runner and metrics around the core. The thread of
// Run owns the core; other threads post events to it. The same thread starts the runners, so that
// they die with it.
#ifndef WATTLE_WORKER_AGENT_AGENT_H_
#define WATTLE_WORKER_AGENT_AGENT_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "artifacts/disk_budget.h"
#include "artifacts/signers/signers.h"
#include "base/line_socket.h"
#include "base/service_manager.h"
#include "telemetry/sensors/source.h"
#include "worker/agent/clock_watch.h"
#include "worker/agent/config.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/device_readings.h"
#include "worker/agent/emulation/emulated_time.h"
#include "worker/agent/emulation/emulator.h"
#include "worker/agent/event_queue.h"
#include "worker/agent/link/coordinator_link.h"
#include "worker/agent/link/credentials.h"
#include "worker/agent/link/directory_link.h"
#include "worker/agent/link/peer_server.h"
#include "worker/agent/link/transfers.h"
#include "worker/agent/metric_push.h"
#include "worker/agent/metrics_server.h"
#include "worker/agent/sampler.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/agent/storage_probe.h"
#include "worker/agent/system_time.h"
#include "worker/agent/worker_log.h"
#include "worker/child/runner_group.h"
#include "worker/child/runner_process.h"
#include "worker/power/board_power.h"
#include "worker/power/power_modes.h"
#include "worker/sandbox/level.h"
#include "worker/sandbox/sandbox.h"
#include "worker/upgrade/releases.h"

namespace wattle::agent {

class Agent final : public AgentPorts {
 public:
  // Opens everything whose opening can fail: state, board file, sensors, cache, metrics.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(const Config& config,
                                                       const std::string& version);
  ~Agent() override;

  // "worker NAME id=… metrics=host:port"
  [[nodiscard]] std::string ReadyLine() const;
  // Runs until RequestStop() and an orderly end. Each round of the loop that owns the core feeds
  // the manager's watchdog, so a worker whose loop hangs is restarted.
  void Run(const ServiceManager& manager);
  // Called on a signal handler's thread: the worker writes a checkpoint, saves and ends.
  void RequestStop();

  // AgentPorts, which the core calls on the thread of Run.
  absl::Status StartRunner(const v1::RunnerTask& task) override;
  void SendToRunner(const v1::RunnerCommand& command) override;
  void KillRunner() override;
  void StartFetch(const v1::Assignment& assignment) override;
  void StartUpload(const std::string& directory, const v1::ArtifactInfo& info) override;
  void CancelTransfer() override;
  void StartReleaseFetch(const v1::UpgradeOrder& order) override;
  [[nodiscard]] std::string CurrentRelease() const override;
  absl::Status SwitchRelease(const std::string& version) override;
  void KeepReleases(const std::set<std::string>& versions) override;
  void StartSelfTest() override;
  void MakeRoom(int64_t size_bytes) override;
  void ProbeStorage() override;
  absl::Status SetPowerMode(const std::string& mode) override;
  absl::Status RestorePowerMode() override;
  absl::Status PowerOffBoard() override { return board_power_->PowerOff(); }
  void KeepPowerMode() override;
  void Send(const v1::WorkerMessage& message) override;
  void Reconnect() override;
  void Follow(const std::string& coordinator) override;
  void TryNextCoordinator() override;
  void Note(const std::string& line) override;

 private:
  using Event = EventQueue::Event;

  Agent(const Config& config, std::string version);
  // The steps of Create, in this order.
  absl::Status Open();
  // Opens folder, spool and clock; returns the record of the previous run.
  absl::StatusOr<v1::WorkerRecord> OpenState();
  absl::Status OpenBoard(const v1::WorkerRecord& kept);
  // Opens the credentials, and the keys of --signers.
  absl::Status OpenCredentials();
  void DescribeByFlags();
  // Chooses the sandbox, the device and the rates of runners.
  absl::Status OpenRunner();
  absl::Status OpenTransfers();
  absl::Status OpenEmulation(const v1::WorkerRecord& kept);
  absl::Status DescribeReal();
  absl::Status OpenPowerModes();
  void OpenAccount(const v1::WorkerRecord& kept);
  // same_boot: the worker's last record is from this boot.
  absl::Status OpenMetrics(bool same_boot);
  void OpenCore(const v1::WorkerRecord& kept);
  // Queries the runner's version, and whether it can use the configured device.
  void AskRunner();
  // Handles a GPU that does not answer: the board offers only its cores.
  void UseCoresOnly(absl::string_view reason);
  void TellRates();
  // Determines the sandbox that runners get. Errors: kInvalidArgument if it is weaker than
  // --isolation-min.
  absl::Status DetectIsolation();
  // The sandbox of one start of the runner. task: the default if the runner only answers a
  // question.
  absl::StatusOr<sandbox::Sandbox> PrepareBox(const v1::RunnerTask& task);
  // The folder of the GPU's kernels that were compiled ahead (probe_kernels.h); empty: none.
  [[nodiscard]] std::string CompiledKernels() const;
  // Notes once if the kernel cannot limit the resources of a runner.
  void OpenRunnerGroup();
  // The process list of the runner's control group; -1: there is none.
  UniqueDescriptor MakeRunnerGroup();
  TransferCallbacks OnTransfers();
  // agent_peers.cc
  absl::Status OpenPeers();
  void AddPeerCallbacks(TransferCallbacks& callbacks);
  [[nodiscard]] PeerCredentialsSource PeerCredentialsOf() const;
  // The bytes exchanged with boards of the site, as counted in peers_.
  [[nodiscard]] PeerCounters PeersNow() const;
  // Adds a problem that a person can fix to this worker's log and to `wattle device show`.
  void AddFinding(const std::string& sentence);
  void TellWhatIsHidden();
  [[nodiscard]] artifacts::DiskBudget CacheBudget() const;
  // Puts the address to which the coordinator moved before those of the flags.
  void OrderCoordinators();
  void OpenOwnerSocket();
  // Called on the socket's thread; the core answers on the thread of Run.
  LineAnswer AnswerOwner(const std::string& request);
  void StartLink();
  // See EventQueue::Post.
  void Post(Event event, size_t size_bytes = 0);
  [[nodiscard]] Instant Now();
  // Shows the unusable sources in metrics and log, numbered after the usable ones.
  void ShowUnusableSources();
  void StartSampling();
  // On an emulated board: moves its clock, and now.device.
  void PassDeviceTime(Instant& now);
  // Whether every source has answered once or has had enough time to.
  [[nodiscard]] bool SensorsKnown(const Instant& now) const;
  void NoteHungSources();
  void WatchClocks();
  void WatchPowerMode(const Instant& now);
  // Not done on an emulated board, whose machine may have other work.
  void WatchMemory(const Instant& now);
  void WatchLoad(const Instant& now);
  void WatchOwnerPrograms(const Instant& now);
  [[nodiscard]] WorkerStatus Status(const Instant& now) const;
  void UpdateMetrics(const Instant& now);
  void PushMetrics(const Instant& now);
  [[nodiscard]] Monotonic NextWake(const Instant& now) const;

  const Config config_;
  const std::string version_;
  DeviceClock clock_;
  TimeKeeper time_;
  CoreSettings settings_;
  std::string device_;  // the runners' device: as configured, or cpu if the GPU does not answer
  std::unique_ptr<PosixDisk> disk_;
  std::unique_ptr<StateDirectory> state_;
  std::unique_ptr<Spool> spool_;
  std::vector<PowerModeRow> power_modes_;  // empty unless they may be set
  std::unique_ptr<BoardPower> board_power_;
  std::unique_ptr<PowerModeWatch> power_mode_watch_;  // null on an emulated board
  Monotonic next_power_mode_look_;                    // wall
  Monotonic next_memory_look_;                        // wall
  Monotonic next_load_look_;                          // wall
  Monotonic next_program_look_;                       // wall
  std::string wanted_power_mode_;  // --power-mode or the mode set later; empty: unchanged
  std::unique_ptr<Emulator> emulator_;
  std::unique_ptr<Pace> pace_;
  // On a real device the sampler owns the sources; an emulated board's source stays here.
  std::vector<std::unique_ptr<telemetry::Source>> sources_;
  std::vector<telemetry::Candidate> unusable_;  // present sources that cannot be used
  std::unique_ptr<EnergyAccount> account_;
  std::unique_ptr<AgentCore> core_;
  std::unique_ptr<DeviceReadings> readings_;
  std::unique_ptr<EmulatedTime> emulated_time_;  // null on a real board
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<MetricPush> push_;           // null unless metrics are pushed
  std::optional<artifacts::Signers> signers_;  // absent: every model is run
  std::unique_ptr<Credentials> credentials_;
  std::vector<std::string> coordinators_;  // host:port each, the likeliest first
  std::unique_ptr<Transfers> transfers_;
  PeerCounters peers_;                             // without what peer_server_ counts
  std::unique_ptr<DirectoryLink> directory_link_;  // null without --peer-listen, as the next
  std::unique_ptr<PeerServer> peer_server_;
  sandbox::Level isolation_ = sandbox::Level::kNone;
  std::unique_ptr<child::RunnerGroup> runner_group_;  // null where none is delegated; after runner_
  std::unique_ptr<child::RunnerProcess> runner_;
  std::unique_ptr<CoordinatorLink> link_;
  std::unique_ptr<StorageProbe> storage_probe_;
  upgrade::Releases releases_;
  std::thread self_test_;                     // of a release on trial
  std::unique_ptr<Sampler> sampler_;          // null on an emulated board
  std::unique_ptr<LineSocket> owner_socket_;  // null where it could not be made

  int64_t runner_number_ = 0;   // events of earlier runners are dropped
  Monotonic next_status_;       // wall
  Monotonic next_push_;         // wall
  Monotonic next_alive_;        // wall: the next sign of life for the service manager
  Monotonic sensors_known_by_;  // wall: after this time the link does not wait for sensors
  std::vector<size_t> hung_;    // hung sources that the log has named
  ClockWatch clock_watch_;
  bool connected_ = false;
  bool stop_begun_ = false;

  WorkerLog log_;

  EventQueue events_;  // closed before all that posts is destroyed
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_AGENT_H_
