// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The runner's own control group (the kernel's cgroup v2), so that the kernel limits its memory and
// gives other programs precedence at the processor and the disk. The agent's group must be
// delegated to it, as systemd does with Delegate=. A group with controllers may hold no process
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
  int cpu_weight = 100;      // 1 to 10,000; the kernel's default is 100
  int io_weight = 100;       // 1 to 10,000, like cpu_weight
};

// The directory of this process's group. root: "" for this machine, or the file tree whose proc/ is
// read; the directory begins with it. Errors: kNotFound if the kernel has no cgroup v2, or the
// process is in the root group, which is never delegated.
absl::StatusOr<std::string> OwnGroupDirectory(const std::string& root);

class RunnerGroup {
 public:
  // Moves this process into a child of its group, and gives the group's controllers to its
  // children. Errors: kPermissionDenied, kFailedPrecondition: the group is not delegated; the
  // process then stays in its group.
  static absl::StatusOr<std::unique_ptr<RunnerGroup>> Open(const std::string& directory);
  // Calls Remove. This process stays in its child group.
  ~RunnerGroup();
  RunnerGroup(const RunnerGroup&) = delete;
  RunnerGroup& operator=(const RunnerGroup&) = delete;

  // Makes the runner's group with these limits, or reuses one left by an earlier runner. Returns
  // its list of processes: a process that writes "0" to it joins the group. Errors: those of files.
  [[nodiscard]] absl::StatusOr<UniqueDescriptor> Make(const GroupLimits& limits) const;
  // Removes the runner's group; call it after the last process has ended. No effect without a
  // group.
  void Remove() const;
  // The limits that the kernel does not enforce here, such as "cpu, io"; "": all are enforced.
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  RunnerGroup(std::string directory, std::string missing)
      : directory_(std::move(directory)), missing_(std::move(missing)) {}

  const std::string directory_;  // directory of the agent's group
  const std::string missing_;
};

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_RUNNER_GROUP_H_
