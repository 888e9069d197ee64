// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's disk in memory, with the faults of real ones: full, cut off at any operation, with a
// torn tail, forgetful, unreadable, with flipped bits. It outlives the Spool and the StateDirectory
// that stand on it, as a disk outlives a process. Same calls, same seed: same bytes. One thread.
#ifndef WATTLE_WORKER_AGENT_STORAGE_MEMORY_DISK_H_
#define WATTLE_WORKER_AGENT_STORAGE_MEMORY_DISK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "worker/agent/storage/disk.h"

namespace wattle::agent {

class MemoryDisk final : public Disk {
 public:
  explicit MemoryDisk(uint64_t seed) : random_(seed) {}

  absl::StatusOr<std::string> Read(const std::string& name) override;
  absl::Status Replace(const std::string& name, absl::string_view content) override;
  absl::Status Append(const std::string& name, absl::string_view bytes) override;
  absl::Status KeepAs(const std::string& name, const std::string& copy) override;
  absl::Status RenameDirectory(const std::string& from, const std::string& to) override;
  absl::Status MakeDirectory(const std::string& name) override;
  void Remove(const std::string& name) override;
  std::vector<DiskEntry> List(const std::string& directory) override;
  [[nodiscard]] std::string PathOf(const std::string& name) const override { return name; }
  uint64_t Random() override;

  // From now on every Replace and Append answers kResourceExhausted.
  void set_full(bool full) { full_ = full; }
  // The power goes within the operation that changes something after `operations` more: of an
  // Append `torn_bytes` reach the disk, of anything else nothing. From then on every call answers
  // kUnavailable and changes nothing, until RestorePower.
  void CutPowerAfter(int64_t operations, size_t torn_bytes = 0);
  void RestorePower();
  [[nodiscard]] bool power_is_cut() const { return power_is_cut_; }
  // Reading this file answers kInternal, as a worn card does.
  void SetUnreadable(const std::string& name, bool unreadable);
  // The disk did not keep what it said it had: the newest bytes of a file are gone. Nothing happens
  // to a file that is shorter or not there.
  void LoseTail(const std::string& name, size_t size_bytes);
  // Flips one bit of a file. Nothing happens beyond its end.
  void FlipBit(const std::string& name, size_t bit);
  void Forget(const std::string& name);  // the file is gone

  [[nodiscard]] const std::map<std::string, std::string>& files() const { return files_; }

 private:
  // Counts an operation that changes something; an error where it does not take place.
  absl::Status Operate();

  std::map<std::string, std::string> files_;    // by name
  std::map<std::string, int64_t> directories_;  // and the operation that last changed each
  std::set<std::string> unreadable_;
  uint64_t random_;
  bool full_ = false;
  bool power_is_cut_ = false;
  std::optional<int64_t> operations_left_;
  size_t torn_bytes_ = 0;
  int64_t operations_ = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_MEMORY_DISK_H_
