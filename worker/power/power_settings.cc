// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/power/power_settings.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "telemetry/sensors/sysfs.h"
#include "worker/agent/storage/record_file.h"

namespace wattle::agent {
namespace {

constexpr char kFile[] = "power_settings.pb";

std::string Folder(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

// The highest value of the hardware for a file that caps a frequency; empty: unknown.
std::string Highest(const std::string& path) {
  if (absl::EndsWith(path, "scaling_max_freq")) {
    return telemetry::ReadText(Folder(path) + "/cpuinfo_max_freq").value_or("");
  }
  const std::string listed =
      telemetry::ReadText(Folder(path) + "/available_frequencies").value_or("");
  int64_t highest = 0;
  for (const absl::string_view word : absl::StrSplit(listed, ' ', absl::SkipEmpty())) {
    int64_t frequency = 0;
    if (absl::SimpleAtoi(word, &frequency)) {
      highest = std::max(highest, frequency);
    }
  }
  return highest > 0 ? absl::StrCat(highest) : "";
}

}  // namespace

PowerSettings::PowerSettings(std::string root, std::string boot_id, Disk* disk)
    : root_(std::move(root)), boot_id_(std::move(boot_id)), disk_(*disk) {
  const absl::StatusOr<std::string> bytes = disk_.Read(kFile);
  if (!bytes.ok() || !DecodeRecord(*bytes, record_).ok() || record_.boot_id() != boot_id_) {
    record_.Clear();
    record_.set_boot_id(boot_id_);
  }
}

std::vector<PowerSettings::Change> PowerSettings::ChangesOf(const PowerModeRow& mode) const {
  std::vector<Change> changes;
  for (const PowerSetting& setting : mode.settings) {
    for (const std::string& path : setting.paths) {
      // A core that is off has no frequency yet; the mode switches the core on first.
      const bool there = telemetry::ReadText(root_ + path).ok();
      const bool comes = absl::StrContains(path, "/cpufreq/") &&
                         telemetry::ReadText(root_ + Folder(Folder(path)) + "/online").ok();
      if (there || comes) {
        changes.emplace_back(path, setting.value);
        break;
      }
    }
  }
  return changes;
}

absl::Status PowerSettings::Remember(const std::vector<Change>& changes) {
  bool added = false;
  for (const auto& [path, value] : changes) {
    const bool known =
        std::any_of(record_.originals().begin(), record_.originals().end(),
                    [&path = path](const auto& original) { return original.path() == path; });
    const absl::StatusOr<std::string> present = telemetry::ReadText(root_ + path);
    if (!known && present.ok()) {
      auto& original = *record_.add_originals();
      original.set_path(path);
      original.set_value(*present);
      added = true;
    }
  }
  return added ? disk_.Replace(kFile, EncodeRecord(record_)) : absl::OkStatus();
}

absl::Status PowerSettings::Write(const Change& change) const {
  const std::string path = root_ + change.first;
  const std::string value = change.second.empty() ? Highest(path) : change.second;
  if (value.empty() || telemetry::ReadText(path).value_or("") == value) {
    return absl::OkStatus();
  }
  const int file = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (file < 0) {
    const int error = errno;
    return error == EACCES || error == EPERM ? absl::PermissionDeniedError(absl::StrCat(
                                                   path,
                                                   ": cannot be written; --allow-power-modes wants "
                                                   "wattle-powerd, or a worker that "
                                                   "runs as root"))
                                             : FileError(error, path, "cannot open");
  }
  const bool written =
      write(file, value.data(), value.size()) == static_cast<ssize_t>(value.size());
  const int error = errno;
  close(file);
  return written ? absl::OkStatus() : FileError(error, path, "cannot write");
}

// Writes all changes, and refused ones a second time: the kernel refuses a cap below the present
// floor, and the floor may come later in the list.
absl::Status PowerSettings::WriteAll(const std::vector<Change>& changes) const {
  std::vector<Change> refused;
  for (const Change& change : changes) {
    if (!Write(change).ok()) {
      refused.push_back(change);
    }
  }
  for (const Change& change : refused) {
    WATTLE_RETURN_IF_ERROR(Write(change));
  }
  return absl::OkStatus();
}

absl::Status PowerSettings::Set(const PowerModeRow& mode) {
  const std::vector<Change> changes = ChangesOf(mode);
  WATTLE_RETURN_IF_ERROR(Remember(changes));
  const absl::Status written = WriteAll(changes);
  if (!written.ok()) {
    (void)Restore();  // the first error matters
  }
  return written;
}

absl::Status PowerSettings::Restore() {
  if (record_.originals().empty()) {
    return absl::OkStatus();
  }
  // In reverse order, so that a core is on before its frequency is written.
  std::vector<Change> changes;
  for (auto original = record_.originals().rbegin(); original != record_.originals().rend();
       ++original) {
    changes.emplace_back(original->path(), original->value());
  }
  WATTLE_RETURN_IF_ERROR(WriteAll(changes));
  return Forget();
}

absl::Status PowerSettings::Forget() {
  record_.clear_originals();
  disk_.Remove(kFile);
  return absl::OkStatus();
}

}  // namespace wattle::agent
