// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's disk in memory, with the faults of real disks: full, power lost at any operation,
// torn or lost tails, lost files, unreadable files, flipped bits. The disk outlives the Spool and
// the StateDirectory on it, as a disk outlives a process. The same calls with the same seed give
// the same bytes. One thread.
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

  enum class Fault { kNone, kFull, kReadOnly, kError };
  // While a fault is set, every Replace and Append answers like a disk with this fault.
  void set_fault(Fault fault) { fault_ = fault; }
  void set_full(bool full) { fault_ = full ? Fault::kFull : Fault::kNone; }
  // Cuts the power during a changing operation after `operations` more of them. If this operation
  // is an Append, `torn_bytes` of it reach the disk; any other operation has no effect. From then
  // on every call answers kUnavailable and changes nothing, until RestorePower.
  void CutPowerAfter(int64_t operations, size_t torn_bytes = 0);
  void RestorePower();
  [[nodiscard]] bool power_is_cut() const { return power_is_cut_; }
  // Reads of this file answer kInternal, as with a worn card.
  void SetUnreadable(const std::string& name, bool unreadable);
  // Removes the newest bytes of a file, like a disk that did not keep synced data. Does nothing if
  // the file is shorter or absent.
  void LoseTail(const std::string& name, size_t size_bytes);
  // Flips one bit of a file. Does nothing beyond its end.
  void FlipBit(const std::string& name, size_t bit);
  void Forget(const std::string& name);  // removes the file

  [[nodiscard]] const std::map<std::string, std::string>& files() const { return files_; }

 private:
  // Counts a changing operation. After an error the operation does not take place.
  absl::Status Operate();
  // The answer of the disk's fault to a write; OK: no fault.
  [[nodiscard]] absl::Status Refusal(const std::string& name) const;

  std::map<std::string, std::string> files_;  // by name
  std::map<std::string, int64_t>
      directories_;  // value: the operation that last changed the directory
  std::set<std::string> unreadable_;
  uint64_t random_;
  Fault fault_ = Fault::kNone;
  bool power_is_cut_ = false;
  std::optional<int64_t> operations_left_;
  size_t torn_bytes_ = 0;
  int64_t operations_ = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_MEMORY_DISK_H_
