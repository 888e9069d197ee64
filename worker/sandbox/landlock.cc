// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::sandbox {
namespace {

// Debian 12's headers end at version 2 of the interface (Documentation/userspace-api/landlock.rst).
constexpr uint64_t kTruncate = 1ULL << 14;       // version 3
constexpr uint64_t kControlDevice = 1ULL << 15;  // version 5
constexpr uint64_t kBindAndConnect = 3;          // version 4: TCP
constexpr uint64_t kSocketsAndSignals = 3;       // version 6: abstract sockets, signals
struct RulesetAttributes {
  uint64_t files;
  uint64_t network;
  uint64_t scopes;
};

constexpr uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kReadAll = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
// Without device nodes, sockets and symbolic links: a link could lead the agent's own reads
// outside.
constexpr uint64_t kChangeDirectory = LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                      LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                      LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER;
// The rights that a rule for a file may name.
constexpr uint64_t kOfFiles = kReadFile | kWriteFile | LANDLOCK_ACCESS_FS_EXECUTE | kControlDevice;

// All file rights of a version of the interface.
uint64_t Handled(int version) {
  const uint64_t first = (1ULL << 13) - 1;
  return first | (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (version >= 3 ? kTruncate : 0) |
         (version >= 5 ? kControlDevice : 0);
}

uint64_t Rights(Access access) {
  switch (access) {
    case Access::kRead:
      return kReadAll;
    case Access::kExecute:
      return kReadAll | LANDLOCK_ACCESS_FS_EXECUTE;
    case Access::kWrite:
      return kReadAll | kWriteFile | kChangeDirectory;
    case Access::kDevice:
      return kReadAll | kWriteFile | kControlDevice;
  }
  return 0;
}

int AddRule(int rules, int path, uint64_t rights) {
  landlock_path_beneath_attr rule = {};
  rule.allowed_access = rights;
  rule.parent_fd = path;
  return static_cast<int>(
      syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U));
}

}  // namespace

Landlock::Landlock(UniqueDescriptor rules, int version)
    : rules_(std::move(rules)), version_(version) {}

absl::StatusOr<Landlock> Landlock::Create() {
  const auto version = static_cast<int>(
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (version < 1) {
    return absl::UnimplementedError(
        absl::StrCat("Landlock: ", errno == ENOSYS ? "this kernel is built without it"
                                                   : "it is not switched on in this kernel"));
  }
  const RulesetAttributes attributes = {Handled(version), version >= 4 ? kBindAndConnect : 0,
                                        version >= 6 ? kSocketsAndSignals : 0};
  // An older kernel reads a shorter structure.
  const size_t size = version >= 6   ? sizeof(attributes)
                      : version >= 4 ? 2 * sizeof(uint64_t)
                                     : sizeof(uint64_t);
  UniqueDescriptor rules(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0U)));
  if (rules.get() < 0) {
    return absl::UnimplementedError(
        absl::StrCat("Landlock: ", std::generic_category().message(errno)));
  }
  return Landlock(std::move(rules), version);
}

absl::Status Landlock::Allow(const std::string& path, Access access) {
  const UniqueDescriptor descriptor(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status = {};
  if (descriptor.get() < 0 || fstat(descriptor.get(), &status) != 0) {
    return FileError(errno, path, "cannot let the runner have it");
  }
  uint64_t rights = Rights(access) & Handled(version_);
  if (!S_ISDIR(status.st_mode)) {
    rights &= kOfFiles;
  }
  if (AddRule(rules_.get(), descriptor.get(), rights) != 0) {
    return FileError(errno, path, "Landlock takes no rule for it");
  }
  return absl::OkStatus();
}

absl::Status Landlock::AllowIfThere(const std::string& path, Access access) {
  const absl::Status status = Allow(path, access);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

bool Landlock::AllowOwn(const char* path, uint64_t rights) const {
  const int own = open(path, O_PATH | O_CLOEXEC);
  if (own < 0) {
    return false;
  }
  const bool added = AddRule(rules_.get(), own, rights & Handled(version_)) == 0;
  close(own);
  return added;
}

bool Landlock::AllowOwnProcess() const {
  return AllowOwn("/proc/self", kReadAll);
}

bool Landlock::AllowOwnThreads() const {
  return AllowOwn("/proc/self/task", kReadAll | kWriteFile);
}

bool Landlock::Enter() const {
  return syscall(SYS_landlock_restrict_self, rules_.get(), 0U) == 0;
}

}  // namespace wattle::sandbox
