// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/child/runner_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::child {
namespace {

constexpr absl::string_view kControllers[] = {"memory", "cpu", "io"};

std::string TextOf(const std::string& path) {
  return ReadWholeFile(path).value_or("");
}

// The kernel's files exist already and accept one value for each write.
absl::Status Set(const std::string& path, absl::string_view value) {
  const UniqueDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) {
    return FileError(errno, path, "cannot open");
  }
  if (write(file.get(), value.data(), value.size()) < 0) {
    return FileError(errno, path, absl::StrCat("cannot write ", value));
  }
  return absl::OkStatus();
}

absl::Status MakeGroup(const std::string& directory) {
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return FileError(errno, directory, "cannot make the control group");
  }
  return absl::OkStatus();
}

std::vector<std::string> WordsOf(const std::string& path) {
  return absl::StrSplit(TextOf(path), absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

// Enables each of the group's controllers for its children. Returns those that its children lack.
std::string HandOn(const std::string& directory) {
  std::string missing;
  const std::vector<std::string> available = WordsOf(directory + "/cgroup.controllers");
  for (const absl::string_view controller : kControllers) {
    bool handed = false;
    for (const std::string& name : available) {
      handed |= name == controller &&
                Set(directory + "/cgroup.subtree_control", absl::StrCat("+", controller)).ok();
    }
    if (!handed) {
      absl::StrAppend(&missing, missing.empty() ? "" : ", ", controller);
    }
  }
  return missing;
}

}  // namespace

absl::StatusOr<std::string> OwnGroupDirectory(const std::string& root) {
  std::string mount;
  // "cgroup2 /sys/fs/cgroup cgroup2 rw,…"
  for (const absl::string_view line : absl::StrSplit(TextOf(root + "/proc/self/mounts"), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() > 2 && words[2] == "cgroup2") {
      mount = std::string(words[1]);
      break;
    }
  }
  for (const absl::string_view line : absl::StrSplit(TextOf(root + "/proc/self/cgroup"), '\n')) {
    if (absl::StartsWith(line, "0::/") && line != "0::/" && !mount.empty()) {
      return absl::StrCat(root, mount, absl::StripPrefix(line, "0::"));
    }
  }
  return absl::NotFoundError(
      mount.empty() ? "this kernel has no control groups of version 2"
                    : "the worker is in the root control group, which nobody delegates");
}

absl::StatusOr<std::unique_ptr<RunnerGroup>> RunnerGroup::Open(const std::string& directory) {
  if (access((directory + "/cgroup.procs").c_str(), W_OK) != 0 ||
      access((directory + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(directory, ": is not delegated"));
  }
  const std::string own = directory + "/agent";
  WATTLE_RETURN_IF_ERROR(MakeGroup(own));
  WATTLE_RETURN_IF_ERROR(Set(own + "/cgroup.procs", "0"));
  const std::string missing = HandOn(directory);
  if (!WordsOf(directory + "/cgroup.procs").empty()) {
    // Other processes are in the group, such as a shell that started the worker.
    (void)Set(directory + "/cgroup.procs", "0");
    rmdir(own.c_str());
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": has other processes, so it is not the worker's alone"));
  }
  return std::unique_ptr<RunnerGroup>(new RunnerGroup(directory, missing));
}

RunnerGroup::~RunnerGroup() {
  Remove();
}

absl::StatusOr<UniqueDescriptor> RunnerGroup::Make(const GroupLimits& limits) const {
  const std::string group = directory_ + "/runner";
  WATTLE_RETURN_IF_ERROR(MakeGroup(group));
  const std::array<std::pair<absl::string_view, std::string>, 4> values = {
      {{"memory.max", limits.memory_bytes > 0 ? absl::StrCat(limits.memory_bytes) : "max"},
       {"memory.oom.group", "1"},
       {"cpu.weight", absl::StrCat(limits.cpu_weight)},
       {"io.weight", absl::StrCat("default ", limits.io_weight)}}};
  for (const auto& [name, value] : values) {
    const std::string path = absl::StrCat(group, "/", name);
    if (access(path.c_str(), F_OK) == 0) {  // absent if the controller is missing
      WATTLE_RETURN_IF_ERROR(Set(path, value));
    }
  }
  const std::string processes = group + "/cgroup.procs";
  UniqueDescriptor file(open(processes.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) {
    return FileError(errno, processes, "cannot open");
  }
  return file;
}

void RunnerGroup::Remove() const {
  rmdir((directory_ + "/runner").c_str());
}

}  // namespace wattle::child
