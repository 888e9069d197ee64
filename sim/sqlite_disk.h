// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// SQLite on a simulated disk, so that the real journal (coordinator/store) meets lost, refused and
// damaged writes. One virtual file system for the process; each world mounts its disk under a name
// of its own, and a path that begins with that name lies on that disk. One thread for the process.
#ifndef WATTLE_SIM_SQLITE_DISK_H_
#define WATTLE_SIM_SQLITE_DISK_H_

#include <memory>
#include <string>

#include "sim/disk.h"

namespace wattle::sim {

// The name to open databases with (sqlite3_open_v2's last argument).
extern const char* const kSqliteVfsName;

class SqliteMount {
 public:
  // disk: outlives the mount. Databases on it must be closed before the mount goes.
  SqliteMount(Disk& disk, Random& random);
  ~SqliteMount();
  SqliteMount(const SqliteMount&) = delete;
  SqliteMount& operator=(const SqliteMount&) = delete;

  // "/sim-3": the path of everything on the disk begins so.
  [[nodiscard]] const std::string& root() const { return root_; }
  // From now on every access fails, as for a process that is dead: to close its databases without
  // letting them write.
  void Unplug(bool unplugged);
  // Unplugs itself at a random one of the next `operations` writes, truncations and syncs.
  void UnplugSoon(int operations);

 private:
  Random& random_;
  std::string root_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SQLITE_DISK_H_
