// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// AgentCore makes the worker's decisions: which attempts the device holds (those that the
// coordinator desires), which of them runs, when the battery guard or the lease stops the run, and
// what the worker reports. AgentCore reads no clock, opens no socket and starts no process. The
// class acts through AgentPorts, Pace, and the Disk under its records and its spool, and every
// outside fact reaches it as an event. The simulation drives the same class. Use it from one
// thread.
#ifndef WATTLE_WORKER_AGENT_CORE_AGENT_CORE_H_
#define WATTLE_WORKER_AGENT_CORE_AGENT_CORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "base/backoff.h"
#include "policy/held_back.h"
#include "policy/limits.h"
#include "telemetry/battery/charge_counter.h"
#include "telemetry/battery/forecast.h"
#include "telemetry/battery/guard.h"
#include "telemetry/heat/heat_fit.h"
#include "wattle/v1/fleet.pb.h"
#include "worker/agent/core/agent_ports.h"
#include "worker/agent/core/attempt_run.h"
#include "worker/agent/core/contention.h"
#include "worker/agent/core/day_turn.h"
#include "worker/agent/core/device_clock.h"
#include "worker/agent/core/energy_account.h"
#include "worker/agent/core/link_meter.h"
#include "worker/agent/core/memory_pressure.h"
#include "worker/agent/core/owner_hold.h"
#include "worker/agent/core/pace.h"
#include "worker/agent/core/power_off.h"
#include "worker/agent/core/storage_health.h"
#include "worker/agent/core/time_keeper.h"
#include "worker/agent/core/upgrader.h"
#include "worker/agent/storage/spool.h"
#include "worker/agent/storage/state_directory.h"

namespace wattle::agent {

// A power cut loses at most this much of an attempt's measured energy. Each save writes and syncs
// two small files: about 45 kB of pages on the card, with those of the file system. Half of this
// period takes more than 100 MB a day.
inline constexpr absl::Duration kSavePeriod = absl::Seconds(50);
// Between two tries on a disk that takes no writes.
inline constexpr absl::Duration kDiskRetryPeriod = absl::Seconds(15);

// Everything but `kept` must outlive the core.
struct CoreDependencies {
  StateDirectory* state;
  Spool* spool;
  AgentPorts* ports;
  EnergyAccount* account;
  Pace* pace;
  const DeviceClock* clock;
  TimeKeeper* time;       // gives the times of the events
  v1::WorkerRecord kept;  // from ReadKeptDevice; the account begins with its ledger
};

// Reads the energy that earlier processes counted on this device. If the record cannot be read, the
// function notes that, and the ledger begins anew under a new counter id: the coordinator refuses a
// ledger whose sums go back.
v1::WorkerRecord ReadKeptDevice(StateDirectory& state, AgentPorts& ports);

struct CoreSettings {
  v1::DeviceInfo info;
  int threads = 1;  // of the runner
  std::string runner_device = "cpu";
  std::string boot_id;  // from the kernel; distinguishes a restart of the agent from a reboot
  RunnerWatchLimits watch;
  // The ledger is reported this often, and at the end of each attempt.
  absl::Duration ledger_period = absl::Minutes(15);
  // Until the coordinator's welcome names its own. An offline worker that holds an attempt wakes
  // this often, also without readings.
  absl::Duration heartbeat_period = absl::Seconds(1);
  bool powers_off = false;      // the worker may switch its board off
  bool takes_releases = false;  // the worker has a folder of releases, and wattle-launch starts it
  // A power cut while nothing runs loses at most this much of the device's counters.
  absl::Duration idle_save_period = absl::Minutes(5);
  absl::Duration storage_probe_period = absl::Minutes(1);  // infinite: the disk is not tried
  int64_t free_space_reserve_bytes = 0;  // checkpoints leave this much of the disk free
  telemetry::GuardSettings guard;
  Fraction initial_charge;  // of an emulated battery, as the flags say
  // With several addresses of its coordinator the worker follows only its own journal: a stranger
  // at one of them must not make it drop its work. With one address it follows whatever journal is
  // there, because that is what its operator started it for.
  bool several_coordinators = false;
};

// The core's figures for /metrics.
struct CoreCounters {
  int64_t tokens = 0;
  std::map<v1::AttemptState, int64_t>
      attempts;  // that ended in this state since the device got its identity
  bool attempt_running = false;
  int64_t spooled_reports = 0;
  bool spool_repaired = false;  // since the process started; reports may have been lost
  Joules energy_since_boot;     // measured since the board booted; a restart of the agent keeps it
};

class AgentCore {
 public:
  AgentCore(const CoreDependencies& dependencies, CoreSettings settings);

  // Takes over the attempts of an earlier process. Call it once, before anything else.
  void Start(const Instant& now);

  // Events of the link.
  // Sends the hello. coordinator: the host:port of the stream.
  void OnConnected(const Instant& now, const std::string& coordinator = "");
  void OnMessage(const v1::CoordinatorMessage& message, const Instant& came);
  void OnDisconnected(const Instant& now);

  // Events of the present attempt's runner and transfers.
  void OnFetched(const FetchResult& result, const Instant& now);
  void OnUploadProgress(const UploadProgress& progress);
  void OnUploaded(const UploadResult& result, const Instant& now);
  void OnFrame(const v1::RunnerFrame& frame, const Instant& now);
  void OnRunnerLine(const std::string& line, const Instant& now);
  void OnRunnerExit(const child::RunnerExit& exit, const Instant& now);

  // Events of an upgrade.
  void OnReleaseFetched(const FetchResult& result, const Instant& now);
  void OnReleaseProgress(int64_t fetched_bytes, int64_t size_bytes) {
    upgrader_.OnProgress(fetched_bytes, size_bytes);
  }
  void OnSelfTested(const absl::Status& status, const Instant& now);

  // Bytes went over the link since the last call, artifacts included. A transfer ends with the
  // last bytes that a policy allows.
  void OnLinkBytes(const v1::LinkBytes& bytes, const Instant& now);

  // The write of ProbeStorage ended.
  void OnStorageProbed(const absl::Status& status, const Instant& now);

  // For how long all programs of the machine have waited for memory, since boot.
  void OnMemoryStalled(absl::Duration stalled, const Instant& now);

  // The processor time of the board and of its worker. What others take of a run is in its receipt.
  void OnBoardLoad(const BoardLoad& load, const Instant& now);

  // MakeRoom did not free enough: the disk's budget still lacks this many bytes. The core deletes
  // checkpoints of attempts that it no longer holds.
  void OnShortOfRoom(int64_t size_bytes);

  // Sensor readings, with the device time at which each was taken. (Power goes directly to the
  // energy account.) A failed reading makes no call: the last value grows old.
  // throttles_at: where the hottest part of the board slows down; absent: not known.
  void OnTemperature(Monotonic at, Celsius temperature,
                     std::optional<Celsius> throttles_at = std::nullopt);
  // The supply's voltage was too low.
  void OnUnderVoltage(Monotonic at);
  // discharge: the power that leaves the battery, negative while the battery charges; absent where
  // the gauge does not measure power. error: of this charge; absent: as the guard's settings say.
  void OnCharge(Monotonic at, Fraction state_of_charge, std::optional<Joules> capacity,
                std::optional<Watts> discharge = std::nullopt,
                std::optional<Fraction> error = std::nullopt);
  // A reading of a battery without a gauge, whose charge the core counts and keeps over restarts.
  void OnBatteryCurrent(const telemetry::BatteryCurrent& current, Watts discharge);
  // Facts that heartbeats carry.
  void SetMemoryAvailable(int64_t size_bytes) { memory_available_bytes_ = size_bytes; }
  // Free space of the disk that holds the state and the cache; 0 = unknown.
  void SetDiskFree(int64_t size_bytes) { disk_free_bytes_ = size_bytes; }
  void SetCache(std::vector<std::string> artifact_ids, int64_t used_bytes);

  // Sensors that are stuck and a supply that is too weak, for people; "" for none. Heartbeats carry
  // it.
  void SetSensorWarning(std::string warning) { sensor_warning_ = std::move(warning); }
  // Why the board's certificate is not renewed; empty: it is. Heartbeats tell it.
  void SetCertificateProblem(std::string problem) { certificate_problem_ = std::move(problem); }

  // The device's owner takes the board for this time: running work checkpoints and pauses, none
  // begins, and the leases of what the device holds stand still. Errors: kInvalidArgument
  // (CheckOwnerHold); any other error is the disk's: the board is held nevertheless, but a restart
  // of the worker forgets that.
  absl::Status Hold(absl::Duration time, const Instant& now);
  // Ends the hold, also where there is none. Errors: kFailedPrecondition while a program of the
  // owner runs; any other is the disk's: after a restart of the worker the board is held again.
  absl::Status EndHold(const Instant& now);
  // A program of the owner that has the board to itself while it runs, as a hold; "": none runs.
  void OnOwnerProgram(const std::string& program, const Instant& now);
  [[nodiscard]] const OwnerHold& owner_hold() const { return owner_hold_; }
  // What the worker does, in lines for the person at the board.
  [[nodiscard]] std::string OwnerStatus(const Instant& now) const;

  // Somebody else has set the board's power mode: what runs and what comes is measured under the
  // new name, and the mode stays when the worker ends.
  void OnPowerModeSetByOthers(const std::string& mode, const Instant& now);

  // Does everything that is due by now.
  void Step(const Instant& now);
  [[nodiscard]] Monotonic NextStep(const Instant& now) const;  // wall
  // How far an emulated board's clock may move before this machine has done more; nullopt: nothing
  // is scheduled.
  [[nodiscard]] std::optional<Monotonic> busy_until() const;
  // Whether nothing runs because there is nothing to run, and not because work has to wait.
  [[nodiscard]] bool rests() const { return run_ == nullptr && MayWork(); }

  // Checkpoints and stops the run. done() turns true once nothing runs and everything is on the
  // disk. An upgrade does so by itself.
  void Shutdown(const Instant& now);
  [[nodiscard]] bool shutting_down() const { return shutting_down_; }
  [[nodiscard]] bool done() const {
    return shutting_down_ && run_ == nullptr && !upgrader_.switches();
  }

  // The artifacts that must stay in the cache.
  [[nodiscard]] std::vector<std::string> NeededArtifacts() const;
  // Whether nothing runs although an attempt is held that could; never so after a Step. The
  // simulation asks.
  [[nodiscard]] bool IdlesOverWork(const Instant& now) const;
  // Whether boards of the site may fetch from this one: it has energy for its own work, nobody
  // holds it, its disk is healthy, and no policy counts the bytes of its link.
  [[nodiscard]] bool MayServePeers() const;
  // Whether results wait for the link, or to return to a restored coordinator.
  // Whether it follows what this stream desires: not before the welcome, nor a journal that is not
  // its own, nor a restored one that its disk does not take yet.
  [[nodiscard]] bool takes_desired() const { return !greeting_ && !refuses_stream_; }
  [[nodiscard]] bool results_wait() const { return !ended_.results_to_return().empty(); }
  [[nodiscard]] v1::Heartbeat MakeHeartbeat(const Instant& now) const;
  [[nodiscard]] CoreCounters Counters() const;
  // Whether an attempt runs, and needs power samples at the sensor's full rate.
  [[nodiscard]] bool busy() const { return run_ != nullptr; }
  // The mode that the board should be in: the running attempt's, or its own.
  [[nodiscard]] const std::string& power_mode() const { return settings_.info.power_mode(); }
  [[nodiscard]] const std::string& coordinator() const { return coordinator_; }  // of the stream
  [[nodiscard]] std::optional<Watts> PredictedPower() const;  // of the running attempt

 private:
  // How the coordinator's journal relates to the journal that this worker last worked for.
  enum class JournalChange {
    kNone,
    kFirst,     // this worker has worked for no journal yet
    kRestored,  // the same journal, restored from a copy of an earlier state
    kOutdated,  // the same journal, but a restored copy of it has gone on elsewhere
    kOther,     // another journal
  };

  // agent_core_journal.cc
  [[nodiscard]] JournalChange CompareJournal(const v1::Welcome& welcome) const;
  // Whether the coordinator has a report under one of this spool's numbers that this board did not
  // make.
  [[nodiscard]] bool IsAnotherBoards(const v1::Welcome& welcome) const;
  // Returns false if reports must not flow: either not yet, because a new hello was sent, or not at
  // all.
  bool EnterJournal(const v1::Welcome& welcome, const Instant& now);
  void BeginAnew(const v1::Welcome& welcome, bool restored, const Instant& now);
  void TellAgain(const Instant& now);
  void DropEverything(const Instant& now);
  void RememberJournal(const v1::Welcome& welcome);
  void SaveLineage();
  [[nodiscard]] bool FollowsOwnJournalAlone() const;
  // The present address is not of this worker's journal: on to the next one.
  void TurnAway();
  // address: the host:port to which the coordinator moved; "" if it did not. The address is kept
  // only once this worker's own journal was found there.
  void FollowCoordinator(const std::string& address);
  void RememberAddress();
  // The attempt and the token whose end the report carries; "" and 0 for every other report.
  static std::pair<std::string, int64_t> EndOf(const v1::Report& report);
  void RememberEnd(const v1::Report& report);
  void AddEnd(const v1::Report& report);  // RememberEnd without a write, and with the curve
  void SaveEnded();
  [[nodiscard]] bool HasEnded(const v1::Assignment& assignment) const;

  // agent_core_ends.cc
  // The longest wait for the reading that settles an attempt's last joules, in device time. With a
  // slower sensor those joules are missing.
  static constexpr absl::Duration kLastReadingWait = absl::Seconds(3);
  void SetIdle(const Instant& now);
  void TellLostEnds(const Instant& now);
  // Whether the receipt of the ended attempt can be closed: the energy up to its end is known, or
  // the wait for it is over.
  bool BooksClosed(const Instant& now);
  void HandleEnd(const Instant& now);
  [[nodiscard]] std::string PauseReason(StopReason reason, const Instant& now) const;
  void EndRun(v1::HeldAttemptRecord record, const AttemptEnd& end, const Instant& now);
  void CountEnd(v1::AttemptState state);

  // agent_core_link.cc
  [[nodiscard]] absl::Duration HeartbeatInterval() const;
  void SendHeartbeat(const Instant& now);
  // Why no artifact may come or leave now, for people; "" if one may.
  [[nodiscard]] std::string LinkClosed(const Instant& now) const;
  // Whether the attempt's inputs and its checkpoint are all here.
  [[nodiscard]] bool HasInputs(const v1::HeldAttemptRecord& record) const;
  // Ends a transfer beside the run once the link is closed.
  void CheckTransfer(const Instant& now);
  // Takes the time from the welcome. Returns the moment with what is known of the time now.
  Instant TakeTime(const v1::Welcome& welcome, const Instant& now);
  // The time of a report. Without a welcome, while nobody knows the time: the boot time, which is
  // before TimeKeeper::kWritten, until DateReports replaces it.
  [[nodiscard]] double StampOf(const Instant& now);
  void DateReports(const Instant& now);
  void SendPending();
  void DateReportsOfEarlierBoots();

  // agent_core_limits.cc
  [[nodiscard]] policy::StopEstimate SeenStopOf(const std::string& attempt_id) const;
  [[nodiscard]] policy::StopEstimate StopEstimateNow() const;
  void CountBudget(const Instant& now);
  // In its day; absent: no day has begun.
  [[nodiscard]] std::optional<Joules> BudgetSpent() const;
  // Counts how long the next attempt has been held since the last CheckGuard.
  void CountPause(const Instant& now);
  void CheckGuard(const Instant& now);
  [[nodiscard]] absl::Duration LeaseUsed(Monotonic wall) const;
  void CheckLease(const Instant& now);
  void CheckPowerOff(const Instant& now);
  // Warnings of the guard and the sensors, and of a policy that asks for what the board cannot do;
  // "": none.
  [[nodiscard]] std::string Warnings() const;

  // agent_core_owner.cc
  void ResumeHold(const Instant& now);
  void CheckHold(const Instant& now);
  void NoteHold(const Instant& now);
  absl::Status SaveHold(const Instant& now);

  // agent_core_storage.cc
  void CheckStorage(const Instant& now);
  [[nodiscard]] bool WritesMuch() const;  // a checkpoint or a fetch is written now
  void EndFetchForProbe(const Instant& now);

  // agent_core_upgrade.cc
  void StartUpgrader(std::string unreadable, const Instant& now);
  void StepUpgrade(const Instant& now);
  // REQUIRES: a release is ready.
  [[nodiscard]] bool MayEndRunForUpgrade(const Instant& now) const;
  void FinishSwitch(const Instant& now);

  // agent_core_memory.cc
  void CheckMemory(const Instant& now);

  // agent_core_queue.cc
  // Whether nothing that concerns the whole device keeps it from work.
  [[nodiscard]] bool MayWork() const;
  // Whether the held attempt has not ended, does not run, and may by its lease.
  [[nodiscard]] bool CouldBegin(const std::string& attempt_id, const Instant& now) const;
  // The attempt that begins once the present one has ended; "": none may.
  [[nodiscard]] std::string NextToStart(const Instant& now) const;
  [[nodiscard]] bool Runs(const std::string& attempt_id) const;
  // Whether a transfer may begin beside the run.
  [[nodiscard]] bool LineIsFree() const;
  // Whether the run may begin a transfer. If not, the one beside it is ended.
  bool ClaimLine();
  void TellLineIsFree(const Instant& now);
  void PrefetchNext(const Instant& now);
  void OnPrefetched(const FetchResult& result, const Instant& now);
  void MakeWay(const Instant& now);
  void KeepForUpload(v1::HeldAttemptRecord record, const v1::ArtifactInfo& output,
                     const Instant& now);
  // Whether the attempt has finished, and the coordinator gets its result and its end later.
  [[nodiscard]] bool WaitsForUpload(const std::string& attempt_id) const;
  void HoldResults();
  void ResumeWaitingResults();
  [[nodiscard]] bool IsUnwanted(const v1::Report& ended) const;
  // The end of an attempt whose result waited, after its upload.
  static v1::Report EndWithResult(const v1::Report& ended, const UploadResult& result);
  void AddWaiting(v1::Heartbeat& heartbeat) const;

  // agent_core_results.cc
  void KeepResult(const std::string& attempt_id, const Instant& now);
  void ReturnNextResult(const Instant& now);
  void OnResultReturned(const UploadResult& result, const Instant& now);
  void OnUnwantedResult(const std::string& attempt_id, const Instant& now);
  void TellEnd(const v1::Report& told, const Instant& now);
  // Whether the attempt's result is kept here. If so, notes that the coordinator is to get it.
  bool WillReturn(const v1::Report& ended);
  [[nodiscard]] const v1::Report* EndRemembered(const std::string& attempt_id) const;

  // agent_core_hand_over.cc
  [[nodiscard]] const v1::ReleaseAttempt* ReleaseOf(const std::string& attempt_id) const;
  // Whether the coordinator still takes a late result of this job.
  [[nodiscard]] bool JobIsOpen(const std::string& job_id) const;
  [[nodiscard]] bool MayUpload(const Instant& now) const;
  // The attempt that is to be handed over first; null: none.
  [[nodiscard]] const v1::HeldAttemptRecord* NextToHandOver() const;
  void ReportNotBegun(const Instant& now);
  void HandOverNext(const Instant& now);
  void OnCheckpointUploaded(const UploadResult& result, const Instant& now);
  void ReportHandOver(const std::string& attempt_id, const v1::ArtifactInfo* checkpoint,
                      const Instant& now);
  // Deletes the attempt from this device without a report.
  void Forget(const std::string& attempt_id);
  // Forgets an attempt whose end was reported, but only once the report is on the disk: until then
  // the attempt's record is the only copy that survives a kill.
  void LetGo(const std::string& attempt_id);

  void SaveDesired(const Instant& now);
  void Reconcile(const Instant& now);
  void Accept(const v1::Assignment& assignment, const Instant& now);
  void DropUnwanted(const Instant& now);
  void ActivateNext(const Instant& now);
  void EnterPowerMode(const v1::Assignment& assignment);
  [[nodiscard]] const std::string& PlacedMode(const v1::Assignment& assignment) const;
  // The guard's first step: near a limit the running attempt goes on in a lower mode.
  void FollowStrain(const Instant& now);
  void FollowMode();  // Tells the run of the mode that the guard chose for it.
  void LeavePowerMode(const Instant& now);
  void AddLostEnergy(const v1::HeldAttemptRecord& record, const Instant& now);
  void Report(v1::Report report, const Instant& now);
  void ReportEndAgain(const v1::HeldAttemptRecord& record, const Instant& now);
  void ReportHeldAgain(const Instant& now);
  void RenumberReports(const std::string& why, const Instant& now);
  void FlushReports(const Instant& now);
  void ReportLedger(const Instant& now);
  [[nodiscard]] bool HasUnacknowledgedLedger() const;
  void AddForecast(Monotonic now, v1::Heartbeat& heartbeat) const;
  void AddHeat(Monotonic at, Celsius temperature);
  [[nodiscard]] v1::HeatModel HeatModel() const;  // REQUIRES: heat_ is fitted.
  void ResumeHeat(const Instant& now);
  void SaveHeat(const Instant& now);
  void AddOlderHarvest(v1::Heartbeat& heartbeat) const;
  void SaveDevice(const Instant& now);
  void ResumeChargeCounter(const v1::ChargeRecord& kept, const Instant& now);
  void KeepMeasured(const Instant& now);
  void TakeMeasured();
  void SaveRun(const Instant& now);
  void SaveAttempt(const v1::HeldAttemptRecord& record, const Instant& now);
  void NoteDisk(const absl::Status& status, const Instant& now);
  void SendHello(const Instant& now);

  StateDirectory& state_;
  Spool& spool_;
  AgentPorts& ports_;
  EnergyAccount& account_;
  Pace& pace_;
  const DeviceClock& clock_;
  TimeKeeper& time_;
  CoreSettings settings_;
  v1::DesiredSet desired_;
  std::map<std::string, v1::HeldAttemptRecord> held_;
  std::vector<std::string> order_;  // in which they begin: by token
  std::unique_ptr<AttemptRun> run_;
  std::deque<v1::Report> unsaved_;  // reports that the disk refused
  bool device_unsaved_ = false;     // the disk refused the ledger
  bool desired_unsaved_ = false;    // the disk refused desired_: a restart would work by old limits
  bool ended_unsaved_ = false;      // the disk refused the ends
  std::set<std::string> records_unsaved_;  // attempts whose record the disk refused
  v1::WorkerRecord device_;
  v1::LineageRecord lineage_;
  std::string coordinator_;                     // the host:port of the present stream
  std::string told_coordinator_;                // where the coordinator moved, as it said; unproved
  std::set<std::string> refused_coordinators_;  // addresses without this worker's journal
  v1::EndedRecord ended_;
  std::string own_power_mode_;   // The board's mode while no attempt runs.
  bool strained_ = false;        // A limit of the guard is near, as of the last FollowStrain.
  bool mode_of_others_ = false;  // Others have set the mode while the attempt runs.
  const std::string process_id_;
  std::optional<Monotonic> greet_again_;  // wall; the disk refused what the welcome asked for
  // A hello awaits its welcome; a desired set that comes now answers the hello before.
  bool greeting_ = false;
  Monotonic greeted_;  // wall; when the latest hello went out
  // The present stream is of another journal, or of this one before it is begun anew: nothing that
  // it says counts.
  bool refuses_stream_ = false;
  bool forget_runs_ =
      false;  // the present run belongs to another journal, so its end is not reported
  // The first wait before a checkpoint or a kept result is uploaded again.
  static constexpr absl::Duration kUploadRetryMin = absl::Seconds(5);
  std::string handing_over_;     // the attempt whose checkpoint is being uploaded; empty = none
  bool transfer_ended_ = false;  // beside the run; its result has not come yet
  Backoff hand_over_backoff_;
  UploadProgress handed_over_;       // the most so far, of the attempt that is handed over
  int64_t handed_before_bytes_ = 0;  // by the tries before the present one
  Monotonic next_hand_over_;         // wall
  std::string returning_;  // the attempt whose kept result is being uploaded; empty = none
  Backoff return_backoff_;
  Monotonic next_return_;    // wall
  std::string prefetching_;  // the attempt whose inputs come while another one runs; empty = none
  std::set<std::string> prefetched_;  // held attempts whose inputs this process has fetched
  Backoff prefetch_backoff_;
  Monotonic next_prefetch_;  // wall
  bool gave_way_ = false;    // the upload of the present run's result was ended for the next one
  OwnerHold owner_hold_;
  PowerOff power_off_;
  LinkMeter link_;
  StorageHealth storage_;
  Upgrader upgrader_;
  std::string storage_told_;  // the problem at the last step
  std::string storage_stop_;  // the problem for which the run was last stopped
  MemoryPressure memory_pressure_;
  Contention contention_;
  std::string memory_stop_;  // the problem for which the run was last stopped
  policy::Limits limits_;
  CheckpointCadence cadence_;
  telemetry::Guard guard_;
  Monotonic pause_looked_at_;  // device time; of the last CountPause
  telemetry::BatteryForecast forecast_;
  telemetry::HeatFit heat_;
  std::optional<Celsius> throttles_at_;
  Joules heat_energy_;        // of the account at the latest sample of heat_
  Monotonic heat_energy_at_;  // device time
  Monotonic next_heat_save_;  // wall
  telemetry::ChargeCounter charge_counter_;
  absl::Time civil_;       // at the last Step; 1970 if nobody knew the time
  Joules budget_counted_;  // the part of the account's work energy that the budget has counted
  // Drawn while nobody knew the day, and counted in the budget's day so far: it may belong to the
  // next one.
  Joules undated_energy_;
  bool undated_reports_ = false;                // some wait for DateReports
  bool reports_wait_ = false;                   // for it, on this stream
  std::optional<v1::ChargeRecord> old_charge_;  // of an earlier boot, until the time is known
  DayTurn budget_day_turn_;
  std::string seen_stop_of_;  // the attempt of the latest run
  policy::StopEstimate seen_stop_;
  std::optional<Monotonic> ended_at_;  // device time; run_ has ended and awaits its last reading
  int64_t memory_available_bytes_ = 0;
  int64_t disk_free_bytes_ = 0;
  int64_t cache_used_bytes_ = 0;
  std::vector<std::string> cached_;

  bool spool_repaired_ = false;  // since the process started
  // The heartbeat that the coordinator has from the present stream; absent: it accepts only whole
  // ones, or has none yet.
  std::optional<v1::Heartbeat> told_heartbeat_;
  bool takes_heartbeat_changes_ = false;  // the coordinator does
  bool connected_ = false;
  bool welcomed_ = false;
  bool reconciled_ = true;  // every desired attempt is held
  bool shutting_down_ = false;
  absl::Duration heartbeat_period_;  // as the coordinator wants them
  absl::Duration lease_used_;        // used by lease_since_
  Monotonic lease_since_;            // wall; when contact was lost
  Monotonic next_heartbeat_;         // wall, as all below
  Monotonic next_ledger_;
  bool ledger_waits_ = false;  // One is due, and the one before is not acknowledged.
  Monotonic next_save_;
  Monotonic next_mode_try_;  // The board's own power mode could not be restored.
  Monotonic next_retry_;
  Monotonic next_flush_;  // next try to write the reports that the disk refused
  std::string sensor_warning_;
  std::string certificate_problem_;
  Monotonic next_disk_note_;  // no note about the disk before then, since the log is on the same
                              // full disk
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_AGENT_CORE_H_
