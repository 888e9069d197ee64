// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The runner's own control group (the kernel's cgroup v2), so that the kernel bounds its memory and
// lets other programs go before it at the processor and the disk. The agent's group must be
// delegated to it, as Delegate= of systemd does. A group with controllers may hold no process
// itself, so the agent moves into one child of its group and the runner into another. Use it from
// one thread.
#ifndef WATTLE_WORKER_CHILD_RUNNER_GROUP_H_
#define WATTLE_WORKER_CHILD_RUNNER_GROUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"

namespace wattle::child {

struct GroupLimits {
  int64_t memory_bytes = 0;  // beyond it the kernel ends the whole group; 0: no limit
  int cpu_weight = 100;      // 1 to 10,000; a group has 100 unless somebody says otherwise
  int io_weight = 100;       // as above
};

// The directory of this process's group. root: "" for this machine, or the file tree whose proc/ is
// read; the directory begins with it. Errors: kNotFound where the kernel has no cgroup v2, or the
// process is in the root group, which nobody delegates.
absl::StatusOr<std::string> OwnGroupDirectory(const std::string& root);

class RunnerGroup {
 public:
  // Moves this process into a child of its group, and gives the group's controllers to its
  // children. Errors: kPermissionDenied, kFailedPrecondition: the group is not delegated; the
  // process is then where it was.
  static absl::StatusOr<std::unique_ptr<RunnerGroup>> Open(const std::string& directory);
  // Removes the runner's group, as Remove. This process stays in its child.
  ~RunnerGroup();
  RunnerGroup(const RunnerGroup&) = delete;
  RunnerGroup& operator=(const RunnerGroup&) = delete;

  // Makes the runner's group with these limits; one that an earlier runner left is used again.
  // Returns its list of processes: who writes "0" to it is in the group. Errors: those of files.
  [[nodiscard]] absl::StatusOr<UniqueDescriptor> Make(const GroupLimits& limits) const;
  // After the last process of the group has ended. Nothing happens where there is none.
  void Remove() const;
  // The limits that the kernel does not keep here, "cpu, io"; "": it keeps all.
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  RunnerGroup(std::string directory, std::string missing)
      : directory_(std::move(directory)), missing_(std::move(missing)) {}

  const std::string directory_;  // of the agent's group
  const std::string missing_;
};

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_RUNNER_GROUP_H_
