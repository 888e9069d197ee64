// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's records: its identity, the coordinator's desired set, the held attempts, and the
// measurements.
//   identity  device.pb  desired.pb  rates.pb  heat.pb  attempts/ID/{state.pb,work/,output/}
// The same directory has the spool (spool.h) and cache/. A record is replaced as a whole. Each
// record has a second copy, so that a card that loses one block loses no record:
//   identity.copy, desired.pb.copy         the same content
//   device.pb.previous …                   the content before the last save
// One thread owns an object.
#ifndef WATTLE_WORKER_AGENT_STORAGE_STATE_DIRECTORY_H_
#define WATTLE_WORKER_AGENT_STORAGE_STATE_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message_lite.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/storage/disk.h"

namespace wattle::agent {

// The outcome of reading a record.
enum class RecordState {
  kAbsent,      // never written: a new device
  kWhole,       // the last content
  kCopy,        // the newest content is unreadable; this is the second copy
  kUnreadable,  // the record exists, and no copy can be read
};
template <typename Record>
struct StoredRecord {
  Record record;  // empty if absent or unreadable
  RecordState state = RecordState::kAbsent;
  std::string problem;  // for kCopy and kUnreadable: one line for people
  // With kUnreadable: the disk refused to read a copy, which may be whole.
  bool refused = false;
};

class StateDirectory {
 public:
  // disk: must outlive the object. Makes the identity at the first start. Errors: kDataLoss if the
  // identity cannot be read; kInvalidArgument if another version wrote the state in an unknown
  // format, in which case nothing is written. kUnavailable if the disk refuses to read a record of
  // this device or of an attempt, whose bytes may be intact: starting without the record would
  // replace it.
  static absl::StatusOr<std::unique_ptr<StateDirectory>> Open(Disk* disk);
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  // The identity, made at the first start and never changed: "d" and 16 hex digits.
  [[nodiscard]] const std::string& device_id() const { return device_id_; }
  [[nodiscard]] Disk& disk() { return *disk_; }

  // An unreadable record never counts as one that was never written: unreadable limits do not mean
  // "no limits". The worker still starts if the bytes were read but are wrong.
  StoredRecord<v1::WorkerRecord> ReadDevice();
  absl::Status WriteDevice(const v1::WorkerRecord& record);
  StoredRecord<v1::DesiredSet> ReadDesired();
  absl::Status WriteDesired(const v1::DesiredSet& desired);

  // The measured rates of the processor, with the cores and power modes at that time
  // (probe_rates.h).
  StoredRecord<v1::DeviceInfo> ReadRates();
  absl::Status WriteRates(const v1::DeviceInfo& record);
  // The model of the board's temperature by its watts, from the samples of earlier processes.
  StoredRecord<v1::HeatModel> ReadHeat();
  absl::Status WriteHeat(const v1::HeatModel& record);

  // The journal for which this device works, and the ends of its latest attempts. Without the
  // journal's lineage the worker accepts the next coordinator as its first.
  StoredRecord<v1::LineageRecord> ReadLineage();
  absl::Status WriteLineage(const v1::LineageRecord& record);
  StoredRecord<v1::EndedRecord> ReadEnded();
  absl::Status WriteEnded(const v1::EndedRecord& record);

  // The held attempts by id. A directory without a readable record is not held. A record is removed
  // only if its bytes were read and are wrong.
  std::map<std::string, v1::HeldAttemptRecord> ReadAttempts();
  absl::Status WriteAttempt(const v1::HeldAttemptRecord& record);  // also makes its directories
  // Removes the record and the output. The work directory with the last checkpoints stays: for open
  // jobs (KeepWorkOf) those of the eight newest attempts, for a later attempt; for other jobs those
  // of the two newest, for inspection.
  void RemoveAttempt(const std::string& attempt_id);
  void KeepWorkOf(std::set<std::string> job_ids) { open_jobs_ = std::move(job_ids); }
  // Lets an attempt resume from the checkpoints of another one, which is no longer held. Errors:
  // kNotFound if that attempt left none here, kInvalidArgument for an invalid attempt id.
  absl::Status TakeWork(const std::string& from_attempt_id, const std::string& to_attempt_id);
  // Frees `wanted_bytes` on a full disk: removes work directories of attempts that are no longer
  // held and whose jobs are not open, then kept results, then work directories of open jobs; the
  // oldest of each kind first. Returns the freed bytes.
  int64_t FreeLeftWork(int64_t wanted_bytes);
  // Removes the work directories of attempts that are no longer held, and all kept results.
  void RemoveAllWork();
  void RemoveOutput(const std::string& attempt_id);
  // Keeps the uploaded output of an attempt, in case the coordinator is restored from an older
  // backup. Errors: those of the disk; the output is then removed.
  absl::Status KeepResult(const std::string& attempt_id);
  // Protects the results of these attempts, which are not uploaded yet, from every removal.
  void HoldResults(std::set<std::string> attempt_ids) { held_results_ = std::move(attempt_ids); }
  // Keeps the results of these attempts, newest first, up to 1 GiB together. Removes all others.
  void KeepResultsOf(const std::vector<std::string>& attempt_ids);
  // Bytes of the kept result; 0 = none.
  [[nodiscard]] int64_t ResultSizeBytes(const std::string& attempt_id);
  // Bytes of the result's files; 0 if the job has no result.
  [[nodiscard]] int64_t OutputSizeBytes(const std::string& attempt_id);
  // Paths for the runner.
  [[nodiscard]] std::string WorkDirectory(const std::string& attempt_id) const;
  [[nodiscard]] std::string OutputDirectory(const std::string& attempt_id) const;
  [[nodiscard]] std::string ResultDirectory(const std::string& attempt_id) const;

 private:
  explicit StateDirectory(Disk* disk) : disk_(disk) {}
  absl::Status LoadIdentity();
  absl::Status CheckReadable();
  absl::Status WriteIdentity();
  template <typename Record>
  StoredRecord<Record> ReadRecord(const std::string& name, const std::string& copy);
  absl::Status WriteAndKeepPrevious(const std::string& name,
                                    const google::protobuf::MessageLite& record);
  void KeepNewest();
  // The directory of an attempt that is not held and has checkpoints.
  struct Left {
    std::string attempt_id;
    int64_t size_bytes = 0;
    bool job_is_open = false;
  };
  std::multimap<absl::Time, Left> LeftWork();  // oldest first

  Disk* disk_;
  std::string device_id_;
  std::set<std::string> open_jobs_;
  std::set<std::string> held_results_;
  std::set<std::string> whole_;  // names whose present content this process has read or written
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_STATE_DIRECTORY_H_
