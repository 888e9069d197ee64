// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated disk. At a power loss, the disk keeps a random number of the unsynced writes and a
// part of the next one, and loses the rest. The disk can be full and can flip a bit. Deterministic
// for one seed; single-threaded.
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
  // Durable files by path, the content of a backup.
  using Image = std::map<std::string, std::string>;

  // random: must outlive the disk.
  explicit Disk(Random& random) : random_(random) {}

  // The file as a running process sees it; null if there is none. The pointer is valid until the
  // next change.
  [[nodiscard]] const std::string* Find(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> List(absl::string_view prefix) const;

  // Write and Append create a missing file. Errors: kResourceExhausted: the disk is full, and
  // nothing was written.
  absl::Status Write(const std::string& path, int64_t offset, absl::string_view bytes);
  absl::Status Append(const std::string& path, absl::string_view bytes);
  void Truncate(const std::string& path, int64_t size_bytes);
  void Sync(const std::string& path);
  // Replaces the file by writing aside, syncing, renaming and syncing the directory. The new
  // content is durable when Replace returns OK, and readers see either the old or the new one.
  // Errors: kResourceExhausted: the old content stays.
  absl::Status Replace(const std::string& path, absl::string_view content);
  void Remove(const std::string& path);  // durable at once

  // The machine loses power: all unsynced writes after a random point are lost.
  void LosePower();
  void SetFull(bool full) { full_ = full; }
  [[nodiscard]] bool full() const { return full_; }
  // Flips one bit of one durable file whose path begins with `prefix`. Returns false if there is no
  // such file.
  bool Damage(absl::string_view prefix);

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
