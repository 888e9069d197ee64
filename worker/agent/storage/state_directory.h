// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's directory on disk: who it is, what it holds, what it measured.
//   lock  identity  spool  device.pb  desired.pb  attempts/ID/{state.pb,work/,output/}  cache/
// Small files are replaced whole: written aside, fsynced, renamed. One process and one thread.
#ifndef WATTLE_WORKER_AGENT_STORAGE_STATE_DIRECTORY_H_
#define WATTLE_WORKER_AGENT_STORAGE_STATE_DIRECTORY_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/worker_state.pb.h"

namespace wattle::agent {

// Replaces the file durably. kResourceExhausted: the disk is full, the old content stays.
absl::Status ReplaceFile(const std::string& path, absl::string_view content);

class StateDirectory {
 public:
  // Makes what is missing and takes the lock. kFailedPrecondition: another worker has it.
  static absl::StatusOr<std::unique_ptr<StateDirectory>> Open(const std::string& path);
  ~StateDirectory();
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  // Made at the first start, the same ever after: "d" and 16 hex digits.
  [[nodiscard]] const std::string& device_id() const { return device_id_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string spool_path() const { return path_ + "/spool"; }
  [[nodiscard]] std::string cache_path() const { return path_ + "/cache"; }

  // Absent or unreadable records read as empty ones: a worker must start after any accident.
  [[nodiscard]] v1::WorkerRecord ReadDevice() const;
  absl::Status WriteDevice(const v1::WorkerRecord& record);
  [[nodiscard]] v1::DesiredSet ReadDesired() const;
  absl::Status WriteDesired(const v1::DesiredSet& desired);

  // By attempt id. Directories without a whole record are not held: nothing was promised for them.
  std::map<std::string, v1::HeldAttemptRecord> ReadAttempts();
  absl::Status WriteAttempt(const v1::HeldAttemptRecord& record);  // makes its directories
  // The record and the output go. The work directory, with the last checkpoints, stays for whoever
  // wants to look or to go on by hand, but only those of the two newest such attempts.
  void RemoveAttempt(const std::string& attempt_id);
  void RemoveOutput(const std::string& attempt_id);
  [[nodiscard]] std::string WorkDirectory(const std::string& attempt_id) const;
  [[nodiscard]] std::string OutputDirectory(const std::string& attempt_id) const;

 private:
  StateDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  absl::Status LoadIdentity();
  void KeepNewest();
  [[nodiscard]] std::string AttemptDirectory(const std::string& attempt_id) const;

  std::string path_;
  int lock_;
  std::string device_id_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_STATE_DIRECTORY_H_
