// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A directory of this machine as the worker's disk. A lock on the file "lock" makes one process its
// owner; one thread owns the object. Tests kill the process at the places "spool:…" and "state:…"
// of base/crash_point.h.
#ifndef WATTLE_WORKER_AGENT_STORAGE_POSIX_DISK_H_
#define WATTLE_WORKER_AGENT_STORAGE_POSIX_DISK_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/agent/storage/disk.h"

namespace wattle::agent {

// Makes the worker's folder. Only the worker's user may read its content. The group may open known
// names in it, such as the socket of the board's owner, but not list it. On a disk that went
// read-only, a folder that others cannot read is left unchanged.
absl::Status MakeStateFolder(const std::string& path);

class PosixDisk final : public Disk {
 public:
  // Makes the directory if it is missing, and takes the lock. Errors: kFailedPrecondition if
  // another worker holds the lock for a second.
  static absl::StatusOr<std::unique_ptr<PosixDisk>> Open(const std::string& path);
  ~PosixDisk() override;
  PosixDisk(const PosixDisk&) = delete;
  PosixDisk& operator=(const PosixDisk&) = delete;

  absl::StatusOr<std::string> Read(const std::string& name) override;
  absl::Status Replace(const std::string& name, absl::string_view content) override;
  absl::Status Append(const std::string& name, absl::string_view bytes) override;
  absl::Status KeepAs(const std::string& name, const std::string& copy) override;
  absl::Status RenameDirectory(const std::string& from, const std::string& to) override;
  absl::Status MakeDirectory(const std::string& name) override;
  void Remove(const std::string& name) override;
  std::vector<DiskEntry> List(const std::string& directory) override;
  [[nodiscard]] std::string PathOf(const std::string& name) const override;
  uint64_t Random() override;

 private:
  PosixDisk(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  const std::string path_;
  const int lock_;  // a file descriptor
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_POSIX_DISK_H_
