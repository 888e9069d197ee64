// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's own files as bytes under names such as "spool" or "attempts/j1.1/state.pb". Spool
// and StateDirectory use this interface, so that a simulation can run their code on a disk that
// loses, refuses and damages data. PosixDisk is a directory of this machine; MemoryDisk is in
// memory. One thread owns a disk.
#ifndef WATTLE_WORKER_AGENT_STORAGE_DISK_H_
#define WATTLE_WORKER_AGENT_STORAGE_DISK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace wattle::agent {

struct DiskEntry {
  std::string name;  // within its directory
  bool is_directory = false;
  int64_t size_bytes = 0;  // for a directory: sum of all files below it
  absl::Time changed;      // for a directory: when a name in it was made or removed
};

class Disk {
 public:
  virtual ~Disk() = default;

  // The whole file. Errors: kNotFound if there is no such file; any other error means that the file
  // exists and cannot be read.
  virtual absl::StatusOr<std::string> Read(const std::string& name) = 0;
  // Makes or replaces a file, and makes its directories. Durable after OK. After an error the old
  // content stays; kResourceExhausted: the disk is full.
  virtual absl::Status Replace(const std::string& name, absl::string_view content) = 0;
  // Appends bytes to a file. Durable after OK. After kResourceExhausted (the disk is full) the file
  // is unchanged; after another error it may end with a part of the bytes.
  virtual absl::Status Append(const std::string& name, absl::string_view bytes) = 0;
  // Makes `copy` a second name of the present content of `name`; a later Replace of `name` leaves
  // `copy` unchanged. Costs no space. Durable with the next Replace in the same directory.
  virtual absl::Status KeepAs(const std::string& name, const std::string& copy) = 0;

  // Renames a directory and makes the new name's parents. REQUIRES: there is no directory `to`.
  // Durable after OK. Errors: kNotFound if there is no directory `from`.
  virtual absl::Status RenameDirectory(const std::string& from, const std::string& to) = 0;
  virtual absl::Status MakeDirectory(const std::string& name) = 0;  // and its parents
  // Removes a file, or a directory with its content. Ignores errors.
  virtual void Remove(const std::string& name) = 0;
  // The entries of a directory, ordered by name; empty if there is no such directory.
  virtual std::vector<DiskEntry> List(const std::string& directory) = 0;
  // The path of a name for another process, such as the runner.
  [[nodiscard]] virtual std::string PathOf(const std::string& name) const = 0;

  // 64 random bits, for identities and incarnations.
  virtual uint64_t Random() = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_DISK_H_
