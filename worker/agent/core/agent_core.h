// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a worker decides: which attempts it holds (those that the coordinator desires), which one
// runs, when the battery guard or the lease stops it, what it reports. Reads no clock, opens no
// socket, starts no process: it acts through AgentPorts, Pace, and the Disk under its records and
// its spool, and hears of everything as an event. A simulation drives the same class. One thread.
#ifndef WATTLE_WORKER_AGENT_CORE_AGENT_CORE_H_
#define WATTLE_WORKER_AGENT_CORE_AGENT_CORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "policy/held_back.h"
#include "policy/limits.h"
#include "telemetry/battery/forecast.h"
#include "telemetry/battery/guard.h"
#include "wattle/v1/fleet.pb.h"
#include "worker/agent/core/agent_ports.h"
#include "worker/agent/core/attempt_run.h"
#include "worker/agent/core/device_clock.h"
#include "worker/agent/core/energy_account.h"
#include "worker/agent/core/pace.h"
#include "worker/agent/storage/spool.h"
#include "worker/agent/storage/state_directory.h"

namespace wattle::agent {

// What a power cut may cost of an attempt's measured energy. Each save is two small fsynced files.
inline constexpr absl::Duration kSavePeriod = absl::Seconds(15);

// All but `kept` outlive the core.
struct CoreDependencies {
  StateDirectory* state;
  Spool* spool;
  AgentPorts* ports;
  EnergyAccount* account;
  Pace* pace;
  const DeviceClock* clock;
  v1::WorkerRecord kept;  // ReadKeptDevice; the account begins with its ledger
};

// What the device counted in earlier lives of the process. A record that cannot be read is noted,
// and the ledger begins anew under a new counter id: a sum that goes back would be refused.
v1::WorkerRecord ReadKeptDevice(StateDirectory& state, AgentPorts& ports);

struct CoreSettings {
  v1::DeviceInfo info;
  int threads = 1;  // of a runner
  std::string runner_device = "cpu";
  std::string boot_id;  // the kernel's, to tell a restart from a reboot
  RunnerWatchLimits watch;
  // The ledger's report, besides the one at each attempt's end.
  absl::Duration ledger_period = absl::Minutes(15);
  // What a power cut may cost of the device's counters while nothing runs.
  absl::Duration idle_save_period = absl::Minutes(5);
  int64_t free_space_reserve_bytes = 0;  // of the disk, which checkpoints leave free
  telemetry::GuardSettings guard;
  Fraction initial_charge;  // of an emulated battery, as the flags say
};

// What /metrics shows of the core.
struct CoreCounters {
  int64_t tokens = 0;
  std::map<v1::AttemptState, int64_t>
      attempts;  // that came to this end since the identity was made
  bool attempt_running = false;
  int64_t spooled_reports = 0;
  bool spool_repaired = false;  // since the process started: reports may have been lost
};

class AgentCore {
 public:
  AgentCore(const CoreDependencies& dependencies, CoreSettings settings);

  // Takes up what an earlier process held. Call once, first.
  void Start(const Instant& now);

  // The link.
  void OnConnected(const Instant& now);  // says hello
  void OnMessage(const v1::CoordinatorMessage& message, const Instant& now);
  void OnDisconnected(const Instant& now);

  // The present attempt's runner and transfers.
  void OnFetched(const FetchResult& result, const Instant& now);
  void OnUploaded(const UploadResult& result, const Instant& now);
  void OnFrame(const v1::RunnerFrame& frame, const Instant& now);
  void OnRunnerLine(const std::string& line, const Instant& now);
  void OnRunnerExit(const child::RunnerExit& exit, const Instant& now);

  // After MakeRoom: the disk's budget still lacks this many bytes. Checkpoints that no held attempt
  // owns go.
  void OnShortOfRoom(int64_t size_bytes);

  // Sensors, with the device time at which the value was read. Power goes to the energy account
  // directly. A value that is not there is not told: the last one grows old.
  void OnTemperature(Monotonic at, Celsius temperature);
  // discharge: out of the battery; negative: into it; absent where the gauge tells none.
  void OnCharge(Monotonic at, Fraction state_of_charge, std::optional<Joules> capacity,
                std::optional<Watts> discharge = std::nullopt);
  // Facts for heartbeats.
  void SetMemoryAvailable(int64_t size_bytes) { memory_available_bytes_ = size_bytes; }
  // Where the worker keeps its state and cache; 0: not known.
  void SetDiskFree(int64_t size_bytes) { disk_free_bytes_ = size_bytes; }
  void SetCache(std::vector<std::string> artifact_ids, int64_t used_bytes);

  // Time passed.
  void Step(const Instant& now);
  [[nodiscard]] Monotonic NextStep(const Instant& now) const;  // wall

  // Checkpoint and leave; done() once nothing runs and all is on disk.
  void Shutdown(const Instant& now);
  [[nodiscard]] bool shutting_down() const { return shutting_down_; }
  [[nodiscard]] bool done() const { return shutting_down_ && run_ == nullptr; }

  // Artifacts that must stay in the cache.
  [[nodiscard]] std::vector<std::string> NeededArtifacts() const;
  [[nodiscard]] v1::Heartbeat MakeHeartbeat(const Instant& now) const;
  [[nodiscard]] CoreCounters Counters() const;
  // Whether an attempt wants power samples at the sensor's full rate.
  [[nodiscard]] bool busy() const { return run_ != nullptr; }
  [[nodiscard]] std::optional<Watts> PredictedPower() const;  // of the running attempt

 private:
  // How the coordinator's journal relates to the one that this worker last worked for.
  enum class JournalChange {
    kNone,
    kFirst,     // this worker worked for none yet
    kRestored,  // a copy of an earlier state of the same journal
    kOutdated,  // the same journal, of which a copy went on elsewhere
    kOther,     // another journal
  };

  // agent_core_journal.cc
  [[nodiscard]] JournalChange CompareJournal(const v1::Welcome& welcome) const;
  // The coordinator has reports of this numbering that this board did not make.
  [[nodiscard]] bool IsAnotherBoards(const v1::Welcome& welcome) const;
  // False where reports must not flow: not yet (a new hello was said), or not at all.
  bool EnterJournal(const v1::Welcome& welcome, const Instant& now);
  void BeginAnew(const v1::Welcome& welcome, bool restored, const Instant& now);
  void TellAgain(const Instant& now);
  void DropEverything(const Instant& now);
  void RememberJournal(const v1::Welcome& welcome);
  // The attempt and token whose end the report tells; "" and 0: another fact.
  static std::pair<std::string, int64_t> EndOf(const v1::Report& report);
  void RememberEnd(const v1::Report& report);
  void SaveEnded();
  [[nodiscard]] bool HasEnded(const v1::Assignment& assignment) const;

  // agent_core_hand_over.cc
  [[nodiscard]] const v1::ReleaseAttempt* ReleaseOf(const std::string& attempt_id) const;
  // Whether the job is still open at the coordinator, and a late result of it is welcome.
  [[nodiscard]] bool JobIsOpen(const std::string& job_id) const;
  void HandOverNext(const Instant& now);
  void OnCheckpointUploaded(const UploadResult& result, const Instant& now);
  void ReportHandOver(const std::string& attempt_id, const v1::ArtifactInfo* checkpoint,
                      const Instant& now);
  // The attempt is held no more; nothing is reported.
  void Forget(const std::string& attempt_id);
  // Forgets an attempt whose end was reported, once the report is on the disk: until then its
  // record is all that a kill leaves of it.
  void LetGo(const std::string& attempt_id);

  void Reconcile(const Instant& now);
  void Accept(const v1::Assignment& assignment, const Instant& now);
  void DropUnwanted(const Instant& now);
  void ActivateNext(const Instant& now);
  void EnterPowerMode(const v1::Assignment& assignment);
  void AddLostEnergy(const v1::HeldAttemptRecord& record, const Instant& now);
  void HandleEnd(const Instant& now);
  void EndRun(v1::HeldAttemptRecord record, const AttemptEnd& end, const Instant& now);
  void CountEnd(v1::AttemptState state);
  void CheckGuard(const Instant& now);
  void CountBudget(const Instant& now);
  void CheckLease(const Instant& now);
  [[nodiscard]] policy::StopEstimate StopEstimateNow() const;
  // Whether the attempt that has ended can be closed: the energy of its end is known.
  bool BooksClosed(const Instant& now);
  void SetIdle(const Instant& now);
  void Report(v1::Report report, const Instant& now);
  void ReportEndAgain(const v1::HeldAttemptRecord& record, const Instant& now);
  void ReportHeldAgain(const Instant& now);
  void RenumberReports(const std::string& why, const Instant& now);
  void FlushReports(const Instant& now);
  void ReportLedger(const Instant& now);
  void AddForecast(Monotonic now, v1::Heartbeat& heartbeat) const;
  void SaveDevice(const Instant& now);
  void SaveRun(const Instant& now);
  void SaveAttempt(const v1::HeldAttemptRecord& record, const Instant& now);
  void NoteDisk(const absl::Status& status, const Instant& now);
  void SendHello();
  [[nodiscard]] absl::Duration LeaseUsed(Monotonic wall) const;

  StateDirectory& state_;
  Spool& spool_;
  AgentPorts& ports_;
  EnergyAccount& account_;
  Pace& pace_;
  const DeviceClock& clock_;
  CoreSettings settings_;
  v1::DesiredSet desired_;
  std::map<std::string, v1::HeldAttemptRecord> held_;
  std::vector<std::string> order_;  // of acceptance
  std::unique_ptr<AttemptRun> run_;
  std::deque<v1::Report> unsaved_;  // the disk was full
  bool device_unsaved_ = false;     // the same, of the ledger
  v1::WorkerRecord device_;
  v1::LineageRecord lineage_;
  v1::EndedRecord ended_;
  const std::string process_id_;
  std::optional<Monotonic> greet_again_;  // wall: the disk refused what the welcome asks for
  bool greeting_ = false;     // a hello has no welcome yet: a desired set is of the hello before
  bool forget_runs_ = false;  // the present run is of another journal: its end is told to nobody
  std::string handing_over_;  // the attempt whose checkpoint is being uploaded; empty: none
  int hand_over_tries_ = 0;
  Monotonic next_hand_over_;  // wall
  policy::Limits limits_;
  telemetry::Guard guard_;
  telemetry::BatteryForecast forecast_;
  absl::Time civil_;       // at the last Step
  Joules budget_counted_;  // of the account's work energy
  std::optional<Monotonic>
      clock_behind_;                   // wall: since when the clock shows a day before the budget's
  std::optional<Monotonic> ended_at_;  // device time: run_ has ended, its last joules are awaited
  int64_t memory_available_bytes_ = 0;
  int64_t disk_free_bytes_ = 0;
  int64_t cache_used_bytes_ = 0;
  std::vector<std::string> cached_;

  bool spool_repaired_ = false;  // reports were numbered anew since the process started
  bool connected_ = false;
  bool welcomed_ = false;
  bool reconciled_ = true;  // everything desired is held
  bool shutting_down_ = false;
  absl::Duration heartbeat_period_ = absl::Seconds(1);
  absl::Duration lease_used_;  // at lease_since_
  Monotonic lease_since_;      // wall: contact was lost
  Monotonic next_heartbeat_;   // wall, as all below
  Monotonic next_ledger_;
  Monotonic next_save_;
  Monotonic next_retry_;
  Monotonic next_flush_;      // of reports that the disk refused
  Monotonic next_disk_note_;  // earlier ones are not told: the log lies on the same full disk
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_AGENT_CORE_H_
