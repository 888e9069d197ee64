// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's own files as bytes under names such as "spool" or "attempts/j1.1/state.pb". Spool
// and StateDirectory stand on this interface, so that a simulation runs their very code on a disk
// that loses, refuses and damages: PosixDisk is a directory of this machine, MemoryDisk is the
// other one. One thread owns a disk.
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
  int64_t size_bytes = 0;  // of a directory: of all files below it
  absl::Time changed;      // of a directory: when a name in it was made or removed
};

class Disk {
 public:
  virtual ~Disk() = default;

  // The whole file. kNotFound: there is no such file. Every other error: the file is there and
  // cannot be read.
  virtual absl::StatusOr<std::string> Read(const std::string& name) = 0;
  // Makes or replaces a file, and the directories that its name wants. Durable after OK. After an
  // error the old content stands; kResourceExhausted: the disk is full.
  virtual absl::Status Replace(const std::string& name, absl::string_view content) = 0;
  // Adds bytes at the end of a file. Durable after OK. After kResourceExhausted (the disk is full)
  // the file ends where it did before; after another error a part of the bytes may stand there.
  virtual absl::Status Append(const std::string& name, absl::string_view bytes) = 0;
  // Lets `copy` name the present content of `name` as well: a later Replace of `name` leaves `copy`
  // alone. Costs no space. Durable with the next Replace in the same directory.
  virtual absl::Status KeepAs(const std::string& name, const std::string& copy) = 0;

  // Gives a directory another name, whose parents are made; there must be none of that name.
  // Durable after OK. kNotFound: there is no such directory.
  virtual absl::Status RenameDirectory(const std::string& from, const std::string& to) = 0;
  virtual absl::Status MakeDirectory(const std::string& name) = 0;  // with its parents
  // Removes a file, or a directory with all that is in it. What cannot be removed stays.
  virtual void Remove(const std::string& name) = 0;
  // What stands in a directory, by name; nothing where there is no such directory.
  virtual std::vector<DiskEntry> List(const std::string& directory) = 0;
  // Where a name lies for another process, such as the runner.
  [[nodiscard]] virtual std::string PathOf(const std::string& name) const = 0;

  // 64 random bits, for identities and incarnations.
  virtual uint64_t Random() = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_DISK_H_
