// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Small synced writes to the file "health" in a directory, on a separate thread, because a failing
// card may delay a write for minutes. Begin is thread-safe.
#ifndef WATTLE_WORKER_AGENT_STORAGE_PROBE_H_
#define WATTLE_WORKER_AGENT_STORAGE_PROBE_H_

#include <sys/statvfs.h>

#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace wattle::agent {

// Whether new files of the size of records fit a disk with these figures; overwriting in place
// needs no room. Errors: kResourceExhausted, with the path.
absl::Status CheckRoom(const std::string& path, const struct statvfs& disk);

// Makes one write: creates the file if it is missing, overwrites 4 KiB in place and syncs them.
// Errors: those of base/file.h and CheckRoom.
absl::Status WriteHealthFile(const std::string& directory);

class StorageProbe {
 public:
  // done: called on the probe's thread with the outcome of each write.
  StorageProbe(std::string directory, std::function<void(absl::Status)> done);
  ~StorageProbe();  // waits for the write under way
  StorageProbe(const StorageProbe&) = delete;
  StorageProbe& operator=(const StorageProbe&) = delete;

  void Begin();

 private:
  void Run();

  const std::string directory_;
  const std::function<void(absl::Status)> done_;
  absl::Mutex mutex_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_PROBE_H_
