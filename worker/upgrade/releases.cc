// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/upgrade/releases.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::upgrade {
namespace {

namespace fs = std::filesystem;

constexpr char kCurrent[] = "current";
constexpr char kPartial[] = ".partial";
constexpr const char* kPrograms[] = {"wattle-worker", "wattle-runner"};
constexpr mode_t kProgramMode = 0755;
constexpr mode_t kFileMode = 0644;

// Gives the copied files their modes, and makes them durable with their folders.
absl::Status Settle(const fs::path& release) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(release, error)) {
    const std::string path = entry.path().string();
    if (entry.is_directory(error)) {
      continue;
    }
    const bool program = entry.path().parent_path() == release / "bin";
    if (chmod(path.c_str(), program ? kProgramMode : kFileMode) != 0) {
      return FileError(errno, path, "cannot change its mode");
    }
  }
  return error ? FileError(error.value(), release.string(), "cannot list")
               : SyncTree(release.string());
}

}  // namespace

std::string Releases::PathOf(const std::string& name) const {
  return absl::StrCat(directory_, "/", name);
}

std::string Releases::Program(const std::string& name) const {
  return ProgramOf(kCurrent, name);
}

std::string Releases::ProgramOf(const std::string& version, const std::string& name) const {
  return absl::StrCat(PathOf(version), "/bin/", name);
}

std::set<std::string> Releases::Kept() const {
  std::set<std::string> versions;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    if (entry.is_directory(error) && !entry.is_symlink(error) &&
        entry.path().extension() != kPartial) {
      versions.insert(entry.path().filename().string());
    }
  }
  return versions;
}

std::string Releases::Current() const {
  std::error_code error;
  return fs::read_symlink(PathOf(kCurrent), error).filename().string();
}

absl::Status Releases::Switch(const std::string& version) const {
  if (version == Current()) {
    return absl::OkStatus();
  }
  const std::string link = PathOf(kCurrent);
  CrashPoint("release:switch");
  if (version.empty()) {
    if (unlink(link.c_str()) != 0) {
      return FileError(errno, link, "cannot remove");
    }
  } else {
    const std::string aside = link + kPartial;
    unlink(aside.c_str());
    if (symlink(version.c_str(), aside.c_str()) != 0) {
      return FileError(errno, aside, "cannot make a link");
    }
    CrashPoint("release:linked");
    WATTLE_RETURN_IF_ERROR(RenameFile(aside, link));
  }
  CrashPoint("release:switch", FileOperationMoment::kAfter);
  return SyncDirectory(directory_);
}

absl::Status Releases::Install(const std::string& version, const std::string& source) const {
  std::error_code error;
  for (const char* program : kPrograms) {
    if (!fs::is_regular_file(absl::StrCat(source, "/bin/", program), error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("release ", version, ": has no bin/", program,
                       "; push a folder with the programs of `cmake --install` in bin/"));
    }
  }
  WATTLE_RETURN_IF_ERROR(MakeDirectories(directory_));
  const std::string release = PathOf(version);
  const std::string partial = release + kPartial;
  fs::remove_all(partial, error);
  CrashPoint("release:copy");
  fs::copy(source, partial, fs::copy_options::recursive, error);
  if (error) {
    const absl::Status failed = FileError(error.value(), partial, "cannot copy the release");
    fs::remove_all(partial, error);
    return failed;
  }
  WATTLE_RETURN_IF_ERROR(Settle(partial));
  fs::remove_all(release, error);
  CrashPoint("release:rename");
  WATTLE_RETURN_IF_ERROR(RenameFile(partial, release));
  return SyncDirectory(directory_);
}

void Releases::KeepOnly(const std::set<std::string>& versions) const {
  std::error_code error;
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    if (name != kCurrent && versions.count(name) == 0) {
      others.push_back(entry.path());
    }
  }
  for (const fs::path& other : others) {
    fs::remove_all(other, error);
  }
}

}  // namespace wattle::upgrade
