// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's process: sensors, link, transfers, runner and metrics around the core. The thread of
// Run owns the core; other threads post events to it. This thread also starts the runners, so that
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
  // What the worker needs before Run, by these steps in their order.
  absl::Status Open();
  // Folder, spool and clock; returns what the worker kept of its last run.
  absl::StatusOr<v1::WorkerRecord> OpenState();
  absl::Status OpenBoard(const v1::WorkerRecord& kept);
  // Also the keys of --signers.
  absl::Status OpenCredentials();
  void DescribeByFlags();
  // The sandbox, the device and the rates of runners here.
  absl::Status OpenRunner();
  absl::Status OpenTransfers();
  absl::Status OpenEmulation(const v1::WorkerRecord& kept);
  absl::Status DescribeReal();
  absl::Status OpenPowerModes();
  void OpenAccount(const v1::WorkerRecord& kept);
  // same_boot: as the worker's last record.
  absl::Status OpenMetrics(bool same_boot);
  void OpenCore(const v1::WorkerRecord& kept);
  // Asks the runner for its version, and whether it can use the configured device.
  void AskRunner();
  // A GPU that does not answer: the board offers its cores alone.
  void UseCoresOnly(absl::string_view reason);
  void TellRates();
  // Finds out which sandbox the runners here get. Errors: kInvalidArgument, where it is less than
  // --isolation-min.
  absl::Status DetectIsolation();
  // The sandbox of one start of the runner. task: the default, where it only answers a question.
  absl::StatusOr<sandbox::Sandbox> PrepareBox(const v1::RunnerTask& task);
  // The folder of the GPU's kernels that were compiled ahead (probe_kernels.h); empty: none.
  [[nodiscard]] std::string CompiledKernels() const;
  // Notes once where the kernel does not bound what a runner takes.
  void OpenRunnerGroup();
  // The list of processes of the runner's control group; -1: it has none.
  UniqueDescriptor MakeRunnerGroup();
  TransferCallbacks OnTransfers();
  // agent_peers.cc
  absl::Status OpenPeers();
  void AddPeerCallbacks(TransferCallbacks& callbacks);
  [[nodiscard]] PeerCredentialsSource PeerCredentialsOf() const;
  // What boards of the site gave and got, as peers_ counts it.
  [[nodiscard]] PeerCounters PeersNow() const;
  // Adds a problem that a person can fix to this worker's log and to `wattle device show`.
  void AddFinding(const std::string& sentence);
  void TellWhatIsHidden();
  [[nodiscard]] artifacts::DiskBudget CacheBudget() const;
  // Where the coordinator moved to comes first, then the flags'.
  void OrderCoordinators();
  void OpenOwnerSocket();
  // Called on the socket's thread; the core answers on the thread of Run.
  LineAnswer AnswerOwner(const std::string& request);
  void StartLink();
  // As EventQueue::Post.
  void Post(Event event, size_t size_bytes = 0);
  [[nodiscard]] Instant Now();
  // Shows the unusable sources in metrics and log. Their numbers follow those of the usable ones.
  void ShowUnusableSources();
  void StartSampling();
  // On an emulated board: moves its clock, and now.device.
  void PassDeviceTime(Instant& now);
  // Whether every source has answered once or has had enough time to.
  [[nodiscard]] bool SensorsKnown(const Instant& now) const;
  void NoteHungSources();
  void WatchClocks();
  void WatchPowerMode(const Instant& now);
  // An emulated board stays on a machine that has other work.
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
  std::string device_;  // what runners use: as configured, or cpu where the GPU does not answer
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
  std::string wanted_power_mode_;  // --power-mode, until others set one; empty: as the board was
  std::unique_ptr<Emulator> emulator_;
  std::unique_ptr<Pace> pace_;
  // On a real device the sources move to the sampler; the source of an emulated board stays here.
  std::vector<std::unique_ptr<telemetry::Source>> sources_;
  std::vector<telemetry::Candidate> unusable_;  // present sources that cannot be used
  std::unique_ptr<EnergyAccount> account_;
  std::unique_ptr<AgentCore> core_;
  std::unique_ptr<DeviceReadings> readings_;
  std::unique_ptr<EmulatedTime> emulated_time_;  // null on a real board
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<MetricPush> push_;           // null unless metrics are pushed
  std::optional<artifacts::Signers> signers_;  // None: every model is run.
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
  Monotonic next_alive_;        // wall: the service manager wants a sign of life
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
