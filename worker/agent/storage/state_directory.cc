// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/agent/storage/crash_point.h"

namespace wattle::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeptMax = 2;

template <typename Record>
Record ReadRecord(const std::string& path) {
  Record record;
  const absl::StatusOr<std::string> content = ReadWholeFile(path);
  if (!content.ok() || !record.ParseFromString(*content)) {
    record.Clear();
  }
  return record;
}

}  // namespace

absl::Status ReplaceFile(const std::string& path, absl::string_view content) {
  return WriteFileDurably(
      path, content, [](FileOperation operation, FileOperationMoment moment, const std::string&) {
        if (moment == FileOperationMoment::kBefore) {
          CrashPoint(absl::StrCat("state:", FileOperationName(operation)));
        }
      });
}

absl::StatusOr<std::unique_ptr<StateDirectory>> StateDirectory::Open(const std::string& path) {
  WATTLE_RETURN_IF_ERROR(MakeDirectories(path + "/attempts"));
  const std::string lock_path = path + "/lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return FileError(errno, lock_path, "cannot open");
  }
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": in use by another wattle-worker; stop it or give this one its own --state-dir"));
  }
  std::unique_ptr<StateDirectory> directory(new StateDirectory(path, lock));
  WATTLE_RETURN_IF_ERROR(directory->LoadIdentity());
  return directory;
}

StateDirectory::~StateDirectory() {
  close(lock_);
}

absl::Status StateDirectory::LoadIdentity() {
  const std::string path = path_ + "/identity";
  const absl::StatusOr<std::string> text = ReadWholeFile(path);
  if (text.ok()) {
    device_id_ = std::string(absl::StripAsciiWhitespace(*text));
    if (device_id_.empty()) {
      return absl::DataLossError(absl::StrCat(
          path, ": empty; restore it from a backup or remove it to become a new device"));
    }
    return absl::OkStatus();
  }
  if (!absl::IsNotFound(text.status())) {
    return text.status();
  }
  std::array<char, 8> random = {};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return FileError(errno, path, "cannot draw an identity");
  }
  device_id_ = absl::StrCat("d", absl::BytesToHexString({random.data(), random.size()}));
  return ReplaceFile(path, device_id_ + "\n");
}

v1::WorkerRecord StateDirectory::ReadDevice() const {
  return ReadRecord<v1::WorkerRecord>(path_ + "/device.pb");
}
absl::Status StateDirectory::WriteDevice(const v1::WorkerRecord& record) {
  return ReplaceFile(path_ + "/device.pb", record.SerializeAsString());
}
v1::DesiredSet StateDirectory::ReadDesired() const {
  return ReadRecord<v1::DesiredSet>(path_ + "/desired.pb");
}
absl::Status StateDirectory::WriteDesired(const v1::DesiredSet& desired) {
  return ReplaceFile(path_ + "/desired.pb", desired.SerializeAsString());
}

std::string StateDirectory::AttemptDirectory(const std::string& attempt_id) const {
  return absl::StrCat(path_, "/attempts/", attempt_id);
}
std::string StateDirectory::WorkDirectory(const std::string& attempt_id) const {
  return AttemptDirectory(attempt_id) + "/work";
}
std::string StateDirectory::OutputDirectory(const std::string& attempt_id) const {
  return AttemptDirectory(attempt_id) + "/output";
}

std::map<std::string, v1::HeldAttemptRecord> StateDirectory::ReadAttempts() {
  std::map<std::string, v1::HeldAttemptRecord> attempts;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ + "/attempts", error)) {
    const std::string id = entry.path().filename();
    auto record = ReadRecord<v1::HeldAttemptRecord>(AttemptDirectory(id) + "/state.pb");
    if (record.assignment().attempt_id() == id) {
      attempts[id] = std::move(record);
    } else {
      fs::remove(entry.path() / "state.pb", error);
    }
  }
  KeepNewest();
  return attempts;
}

absl::Status StateDirectory::WriteAttempt(const v1::HeldAttemptRecord& record) {
  const std::string& id = record.assignment().attempt_id();
  // The id becomes a directory's name.
  if (id.empty() || id[0] == '.' || id.find('/') != std::string::npos || id.size() > 100) {
    return absl::InvalidArgumentError(absl::StrCat("\"", id, "\" is not an attempt id"));
  }
  WATTLE_RETURN_IF_ERROR(MakeDirectories(WorkDirectory(id)));
  return ReplaceFile(AttemptDirectory(id) + "/state.pb", record.SerializeAsString());
}

void StateDirectory::RemoveAttempt(const std::string& attempt_id) {
  std::error_code ignored;  // what stays is removed at the next start
  fs::remove(AttemptDirectory(attempt_id) + "/state.pb", ignored);
  RemoveOutput(attempt_id);
  KeepNewest();
}

// Of the directories whose attempt is no longer held, those with checkpoints, the newest ones.
void StateDirectory::KeepNewest() {
  std::error_code error;
  std::multimap<fs::file_time_type, fs::path> by_age;
  for (const auto& entry : fs::directory_iterator(path_ + "/attempts", error)) {
    if (fs::exists(entry.path() / "state.pb", error)) {
      continue;
    }
    const fs::path work = entry.path() / "work";
    if (fs::is_directory(work, error) && !fs::is_empty(work, error)) {
      by_age.emplace(fs::last_write_time(work, error), entry.path());
    } else {
      fs::remove_all(entry.path(), error);
    }
  }
  while (by_age.size() > kKeptMax) {
    fs::remove_all(by_age.begin()->second, error);
    by_age.erase(by_age.begin());
  }
}

void StateDirectory::RemoveOutput(const std::string& attempt_id) {
  std::error_code ignored;
  fs::remove_all(OutputDirectory(attempt_id), ignored);
}

}  // namespace wattle::agent
