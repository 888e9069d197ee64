// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// SQLite on a simulated disk, so that the real journal (coordinator/store) is tested with lost,
// refused and damaged writes. The process has one virtual file system. Each world mounts its disk
// under its own name, and a path that begins with this name is on that disk. One thread for the
// process.
#ifndef WATTLE_SIM_SQLITE_DISK_H_
#define WATTLE_SIM_SQLITE_DISK_H_

#include <memory>
#include <string>

#include "sim/disk.h"

namespace wattle::sim {

// The name of the file system, for sqlite3_open_v2's last argument.
extern const char* const kSqliteVfsName;

class SqliteMount {
 public:
  // disk: must outlive the mount. Databases on the disk must be closed before the mount is
  // destroyed.
  SqliteMount(Disk& disk, Random& random);
  ~SqliteMount();
  SqliteMount(const SqliteMount&) = delete;
  SqliteMount& operator=(const SqliteMount&) = delete;

  // "/sim-3": the beginning of every path on this disk.
  [[nodiscard]] const std::string& root() const { return root_; }
  // While unplugged, every access fails, so that a test can close the databases of a dead process
  // without letting them write.
  void Unplug(bool unplugged);
  // Unplugs the disk at a random one of the next `operations` writes, truncations and syncs.
  void UnplugSoon(int operations);

 private:
  Random& random_;
  std::string root_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SQLITE_DISK_H_
