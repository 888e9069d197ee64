// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated disk. What was written and not synced may be lost from its end when the power goes:
// the disk then keeps a random number of the writes and a part of the next one. It can be full, and
// it can flip a byte. Deterministic for one seed; single-threaded.
#ifndef WATTLE_SIM_DISK_H_
#define WATTLE_SIM_DISK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "sim/random.h"

namespace wattle::sim {

class Disk {
 public:
  // Durable files by path: what a backup copies.
  using Image = std::map<std::string, std::string>;

  // random: outlives the disk.
  explicit Disk(Random& random) : random_(random) {}

  // As a running process sees them. Null where there is no such file; holds until the next change.
  [[nodiscard]] const std::string* Find(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> List(absl::string_view prefix) const;

  // Make the file where it is missing. kResourceExhausted: the disk is full, nothing was written.
  absl::Status Write(const std::string& path, int64_t offset, absl::string_view bytes);
  absl::Status Append(const std::string& path, absl::string_view bytes);
  void Truncate(const std::string& path, int64_t size_bytes);
  void Sync(const std::string& path);
  // Written aside, synced, renamed and the directory synced: durable when it returns OK, and at no
  // moment half there. kResourceExhausted: the old content stays.
  absl::Status Replace(const std::string& path, absl::string_view content);
  void Remove(const std::string& path);  // durable at once

  // The machine stops here: what was not synced is lost from a random point on.
  void LosePower();
  void SetFull(bool full) { full_ = full; }
  [[nodiscard]] bool full() const { return full_; }
  // Flips one bit of one durable file whose path begins so; false where there is none.
  bool Damage(absl::string_view prefix);
  void Wipe() { files_.clear(); }

  [[nodiscard]] Image Copy() const;
  void Restore(const Image& image);

 private:
  struct Change {
    int64_t offset = -1;  // -1: a truncation
    int64_t size_bytes = 0;
    std::string bytes;
  };
  struct File {
    std::string durable;
    std::string content;
    std::vector<Change> unsynced;
  };
  static void Apply(const Change& change, std::string& content);

  Random& random_;
  std::map<std::string, File> files_;
  bool full_ = false;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_DISK_H_
