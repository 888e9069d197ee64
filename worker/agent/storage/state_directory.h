// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's records: who it is, what the coordinator wants of it, what it holds, what it
// measured.
//   identity  device.pb  desired.pb  attempts/ID/{state.pb,work/,output/}
// (Beside them stand spool, see spool.h, and cache/.) Records are replaced whole. Of each there is
// a second copy, so that a card that loses one block loses no record:
//   identity.copy, desired.pb.copy         the same content
//   device.pb.previous, state.pb.previous  the content before the last save
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

#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/storage/disk.h"

namespace wattle::agent {

// What reading a record gave.
enum class RecordState {
  kAbsent,      // never written: a new device
  kWhole,       // as it was last written
  kCopy,        // the newest one cannot be read; this is the second copy
  kUnreadable,  // there was one, and no copy of it can be read
};
template <typename Record>
struct StoredRecord {
  Record record;  // empty where absent or unreadable
  RecordState state = RecordState::kAbsent;
  std::string problem;  // of kCopy and kUnreadable: one line for people
};

class StateDirectory {
 public:
  // disk: outlives the object. Makes the identity at the first start. kDataLoss: the identity
  // cannot be read.
  static absl::StatusOr<std::unique_ptr<StateDirectory>> Open(Disk* disk);
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  // Made at the first start, the same ever after: "d" and 16 hex digits.
  [[nodiscard]] const std::string& device_id() const { return device_id_; }
  [[nodiscard]] Disk& disk() { return *disk_; }

  // A worker starts after any accident, but never takes a record that it cannot read for one that
  // was never written: limits that cannot be read are not "no limits".
  StoredRecord<v1::WorkerRecord> ReadDevice();
  absl::Status WriteDevice(const v1::WorkerRecord& record);
  StoredRecord<v1::DesiredSet> ReadDesired();
  absl::Status WriteDesired(const v1::DesiredSet& desired);

  // Which journal this device works for, and the ends of its latest attempts. Absent or unreadable:
  // empty; the worker then meets the next coordinator as its first.
  v1::LineageRecord ReadLineage();
  absl::Status WriteLineage(const v1::LineageRecord& record);
  v1::EndedRecord ReadEnded();
  absl::Status WriteEnded(const v1::EndedRecord& record);

  // By attempt id. A directory without a record that can be read is not held.
  std::map<std::string, v1::HeldAttemptRecord> ReadAttempts();
  absl::Status WriteAttempt(const v1::HeldAttemptRecord& record);  // makes its directories
  // The record and the output go. The work directory, with the last checkpoints, stays: of jobs
  // that are open (KeepWorkOf) for a later attempt of the job, those of the eight newest such
  // attempts; of others for whoever wants to look, those of the two newest.
  void RemoveAttempt(const std::string& attempt_id);
  void KeepWorkOf(std::set<std::string> job_ids) { open_jobs_ = std::move(job_ids); }
  // An attempt goes on from the checkpoints of another, which is no longer held. kNotFound: it left
  // none here.
  absl::Status TakeWork(const std::string& from_attempt_id, const std::string& to_attempt_id);
  // The disk lacks room: of the work directories of attempts that are no longer held, those of jobs
  // that are not open go first, the oldest first, until `wanted_bytes` are free. Returns the bytes
  // freed.
  int64_t FreeLeftWork(int64_t wanted_bytes);
  // The work directories of attempts that are no longer held.
  void RemoveAllWork();
  void RemoveOutput(const std::string& attempt_id);
  // Bytes of the result's files; 0: the job made none.
  [[nodiscard]] int64_t OutputSizeBytes(const std::string& attempt_id);
  // Paths for the runner.
  [[nodiscard]] std::string WorkDirectory(const std::string& attempt_id) const;
  [[nodiscard]] std::string OutputDirectory(const std::string& attempt_id) const;

 private:
  explicit StateDirectory(Disk* disk) : disk_(disk) {}
  absl::Status LoadIdentity();
  absl::Status WriteIdentity();
  template <typename Record>
  StoredRecord<Record> ReadRecord(const std::string& name, const std::string& copy);
  absl::Status WriteAndKeepPrevious(const std::string& name,
                                    const google::protobuf::MessageLite& record);
  void KeepNewest();
  // A directory of an attempt that is not held and has checkpoints.
  struct Left {
    std::string attempt_id;
    int64_t size_bytes = 0;
    bool job_is_open = false;
  };
  std::multimap<absl::Time, Left> LeftWork();  // oldest first

  Disk* disk_;
  std::string device_id_;
  std::set<std::string> open_jobs_;
  std::set<std::string> whole_;  // names whose present content this process read or wrote
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_STATE_DIRECTORY_H_
