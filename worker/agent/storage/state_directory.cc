// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/state_directory.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/crc32c.h"
#include "base/status_macros.h"
#include "worker/agent/storage/record_file.h"

namespace wattle::agent {
namespace {

constexpr size_t kKeptMax = 2;
constexpr size_t kKeptOpenMax = 8;
constexpr char kIdentity[] = "identity";
constexpr char kIdentityCopy[] = "identity.copy";
constexpr char kDevice[] = "device.pb";
constexpr char kDesired[] = "desired.pb";
constexpr char kAttempts[] = "attempts";
constexpr char kResults[] = "results";
constexpr int64_t kKeptResultsBytesMax = int64_t{1} << 30;
constexpr char kLineage[] = "lineage.pb";
constexpr char kEnded[] = "ended.pb";
constexpr char kRates[] = "rates.pb";
constexpr char kHeat[] = "heat.pb";
constexpr char kFormat[] = "format";
// The formats of the state that this version reads. An incompatible format gets a higher number,
// and the version that writes it makes the file `format`; without the file the format is 1.
constexpr int kFormatOldest = 1;
constexpr int kFormatNewest = 1;

std::string PreviousOf(const std::string& name) {
  return name + ".previous";
}
std::string DesiredCopy() {
  return absl::StrCat(kDesired, ".copy");
}
// The coordinator sends the id, which becomes the name of a directory, so it must not be a path.
absl::Status CheckAttemptId(const std::string& id) {
  if (id.empty() || id[0] == '.' || id.find('/') != std::string::npos || id.size() > 100) {
    return absl::InvalidArgumentError(absl::StrCat("\"", id, "\" is not an attempt id"));
  }
  return absl::OkStatus();
}
std::string DirectoryOf(const std::string& attempt_id) {
  return absl::StrCat(kAttempts, "/", attempt_id);
}
std::string ResultOf(const std::string& attempt_id) {
  return absl::StrCat(kResults, "/", attempt_id);
}
std::string RecordOf(const std::string& attempt_id) {
  return DirectoryOf(attempt_id) + "/state.pb";
}

// Two lines: the id and its checksum.
std::string FormatIdentity(const std::string& device_id) {
  return absl::StrFormat("%s\ncrc32c %08x\n", device_id, Crc32c(device_id));
}
// Also reads the file of older workers, which has only the id.
absl::StatusOr<std::string> ParseIdentity(const std::string& text) {
  const std::string id = text.substr(0, text.find('\n'));
  const bool is_id =
      id.size() == 17 && id[0] == 'd' && std::all_of(id.begin() + 1, id.end(), [](char c) {
        return absl::ascii_isxdigit(static_cast<unsigned char>(c));
      });
  if (!is_id || (text != FormatIdentity(id) && text != id + "\n")) {
    return absl::DataLossError(text.empty() ? "empty" : "damaged");
  }
  return id;
}

// Checked before any write: another version's records would look damaged and be replaced.
absl::Status CheckFormat(Disk& disk) {
  const absl::StatusOr<std::string> text = disk.Read(kFormat);
  if (absl::IsNotFound(text.status())) {
    return absl::OkStatus();
  }
  WATTLE_RETURN_IF_ERROR(text.status());
  int format = 0;
  if (!absl::SimpleAtoi(*text, &format) || format < kFormatOldest || format > kFormatNewest) {
    return absl::InvalidArgumentError(
        absl::StrCat(disk.PathOf(kFormat), ": the state has format ",
                     absl::StripAsciiWhitespace(*text), ", and this worker reads ", kFormatOldest,
                     " to ", kFormatNewest, "; start the version of the worker that wrote it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateDirectory>> StateDirectory::Open(Disk* disk) {
  WATTLE_RETURN_IF_ERROR(CheckFormat(*disk));
  std::unique_ptr<StateDirectory> directory(new StateDirectory(disk));
  WATTLE_RETURN_IF_ERROR(disk->MakeDirectory(kAttempts));
  WATTLE_RETURN_IF_ERROR(directory->LoadIdentity());
  WATTLE_RETURN_IF_ERROR(directory->CheckReadable());
  return directory;
}

absl::Status StateDirectory::LoadIdentity() {
  absl::Status problem;
  for (const char* name : {kIdentity, kIdentityCopy}) {
    const absl::StatusOr<std::string> text = disk_->Read(name);
    const absl::StatusOr<std::string> id =
        text.ok() ? ParseIdentity(*text) : absl::StatusOr<std::string>(text.status());
    if (id.ok()) {
      device_id_ = *id;
      // Restores both copies if one was damaged or missing. After an error the next start tries
      // again.
      (void)WriteIdentity();
      return absl::OkStatus();
    }
    if (!absl::IsNotFound(id.status())) {
      problem = absl::DataLossError(absl::StrCat(
          disk_->PathOf(name), ": ", id.status().message(),
          "; restore it from a backup or remove it and its copy to become a new device"));
    }
  }
  WATTLE_RETURN_IF_ERROR(problem);
  const uint64_t random = disk_->Random();
  std::array<char, sizeof(random)> bytes = {};
  std::memcpy(bytes.data(), &random, sizeof(random));
  device_id_ = absl::StrCat("d", absl::BytesToHexString({bytes.data(), bytes.size()}));
  return WriteIdentity();
}

absl::Status StateDirectory::WriteIdentity() {
  const std::string text = FormatIdentity(device_id_);
  for (const char* name : {kIdentity, kIdentityCopy}) {
    const absl::StatusOr<std::string> present = disk_->Read(name);
    if (!present.ok() || *present != text) {
      WATTLE_RETURN_IF_ERROR(disk_->Replace(name, text));
    }
  }
  return absl::OkStatus();
}

template <typename Record>
StoredRecord<Record> StateDirectory::ReadRecord(const std::string& name, const std::string& copy) {
  StoredRecord<Record> stored;
  const auto read = [&](const std::string& from) {
    const absl::StatusOr<std::string> bytes = disk_->Read(from);
    return bytes.ok() ? DecodeRecord(*bytes, stored.record) : bytes.status();
  };
  const absl::Status newest = read(name);
  if (newest.ok()) {
    whole_.insert(name);
    stored.state = RecordState::kWhole;
    return stored;
  }
  whole_.erase(name);
  const absl::Status second = read(copy);
  if (second.ok()) {
    stored.state = RecordState::kCopy;
    stored.problem = absl::StrCat(disk_->PathOf(name), ": ", newest.message(), "; read ", copy);
  } else if (!absl::IsNotFound(newest) || !absl::IsNotFound(second)) {
    stored.state = RecordState::kUnreadable;
    const auto refused = [](const absl::Status& status) {
      return !absl::IsNotFound(status) && !absl::IsDataLoss(status);
    };
    stored.refused = refused(newest) || refused(second);
    stored.problem = absl::StrCat(disk_->PathOf(name), ": ", newest.message(),
                                  "; no copy of it can ", "be read either");
  }
  return stored;
}

absl::Status StateDirectory::CheckReadable() {
  const auto check = [](const auto& stored) {
    return stored.refused ? absl::UnavailableError(absl::StrCat(
                                stored.problem,
                                ": look at the disk; the worker begins once the file can be "
                                "read, or without it once it and its copy are removed"))
                          : absl::OkStatus();
  };
  WATTLE_RETURN_IF_ERROR(check(ReadDevice()));
  WATTLE_RETURN_IF_ERROR(check(ReadLineage()));
  WATTLE_RETURN_IF_ERROR(check(ReadEnded()));
  for (const DiskEntry& attempt : disk_->List(kAttempts)) {
    const std::string name = RecordOf(attempt.name);
    WATTLE_RETURN_IF_ERROR(check(ReadRecord<v1::HeldAttemptRecord>(name, PreviousOf(name))));
  }
  return absl::OkStatus();
}

// The present content becomes the second copy, unless it is damaged; then the copy is better.
absl::Status StateDirectory::WriteAndKeepPrevious(const std::string& name,
                                                  const google::protobuf::MessageLite& record) {
  if (whole_.count(name) > 0) {
    // A record without a second copy is only less safe.
    (void)disk_->KeepAs(name, PreviousOf(name));
  }
  WATTLE_RETURN_IF_ERROR(disk_->Replace(name, EncodeRecord(record)));
  whole_.insert(name);
  return absl::OkStatus();
}

StoredRecord<v1::WorkerRecord> StateDirectory::ReadDevice() {
  return ReadRecord<v1::WorkerRecord>(kDevice, PreviousOf(kDevice));
}
absl::Status StateDirectory::WriteDevice(const v1::WorkerRecord& record) {
  return WriteAndKeepPrevious(kDevice, record);
}

StoredRecord<v1::DesiredSet> StateDirectory::ReadDesired() {
  return ReadRecord<v1::DesiredSet>(kDesired, DesiredCopy());
}
absl::Status StateDirectory::WriteDesired(const v1::DesiredSet& desired) {
  // The copy has the same content, because an older copy might lack newer limits.
  const std::string bytes = EncodeRecord(desired);
  WATTLE_RETURN_IF_ERROR(disk_->Replace(kDesired, bytes));
  return disk_->Replace(DesiredCopy(), bytes);
}

std::string StateDirectory::WorkDirectory(const std::string& attempt_id) const {
  return disk_->PathOf(DirectoryOf(attempt_id) + "/work");
}
std::string StateDirectory::OutputDirectory(const std::string& attempt_id) const {
  return disk_->PathOf(DirectoryOf(attempt_id) + "/output");
}
std::string StateDirectory::ResultDirectory(const std::string& attempt_id) const {
  return disk_->PathOf(ResultOf(attempt_id));
}

std::map<std::string, v1::HeldAttemptRecord> StateDirectory::ReadAttempts() {
  std::map<std::string, v1::HeldAttemptRecord> attempts;
  for (const DiskEntry& entry : disk_->List(kAttempts)) {
    const std::string& id = entry.name;
    auto stored = ReadRecord<v1::HeldAttemptRecord>(RecordOf(id), PreviousOf(RecordOf(id)));
    if (stored.record.assignment().attempt_id() == id) {
      attempts[id] = std::move(stored.record);
    } else if (stored.state != RecordState::kAbsent && !stored.refused) {
      disk_->Remove(RecordOf(id));
      disk_->Remove(PreviousOf(RecordOf(id)));
    }
  }
  KeepNewest();
  return attempts;
}

absl::Status StateDirectory::WriteAttempt(const v1::HeldAttemptRecord& record) {
  const std::string& id = record.assignment().attempt_id();
  WATTLE_RETURN_IF_ERROR(CheckAttemptId(id));
  if (whole_.count(RecordOf(id)) == 0) {
    WATTLE_RETURN_IF_ERROR(disk_->MakeDirectory(DirectoryOf(id) + "/work"));
  }
  return WriteAndKeepPrevious(RecordOf(id), record);
}

void StateDirectory::RemoveAttempt(const std::string& attempt_id) {
  // Removes the copy first: a copy without the record would restore the attempt at the next start.
  disk_->Remove(PreviousOf(RecordOf(attempt_id)));
  disk_->Remove(RecordOf(attempt_id));
  whole_.erase(RecordOf(attempt_id));
  RemoveOutput(attempt_id);
  KeepNewest();
}

std::multimap<absl::Time, StateDirectory::Left> StateDirectory::LeftWork() {
  std::multimap<absl::Time, Left> by_age;
  for (const DiskEntry& entry : disk_->List(kAttempts)) {
    Left left = {.attempt_id = entry.name};
    left.job_is_open = open_jobs_.count(entry.name.substr(0, entry.name.find('.'))) > 0;
    bool is_held = false;
    absl::Time changed = absl::InfinitePast();
    for (const DiskEntry& part : disk_->List(DirectoryOf(entry.name))) {
      is_held = is_held || part.name == "state.pb" || part.name == "state.pb.previous";
      if (part.name == "work") {
        left.size_bytes = part.size_bytes;
        changed = part.changed;
      }
    }
    if (is_held) {
      continue;
    }
    if (left.size_bytes > 0) {
      by_age.emplace(changed, std::move(left));
    } else {
      disk_->Remove(DirectoryOf(entry.name));
    }
  }
  return by_age;
}

void StateDirectory::KeepNewest() {
  const std::multimap<absl::Time, Left> by_age = LeftWork();
  size_t open = 0;
  size_t others = 0;
  for (auto newest = by_age.rbegin(); newest != by_age.rend(); ++newest) {
    const Left& left = newest->second;
    if (left.job_is_open ? ++open > kKeptOpenMax : ++others > kKeptMax) {
      disk_->Remove(DirectoryOf(left.attempt_id));
    }
  }
}

int64_t StateDirectory::FreeLeftWork(int64_t wanted_bytes) {
  const std::multimap<absl::Time, Left> by_age = LeftWork();
  int64_t freed_bytes = 0;
  const auto free_work = [&](bool of_open_jobs) {
    for (const auto& [changed, left] : by_age) {
      if (left.job_is_open == of_open_jobs && freed_bytes < wanted_bytes) {
        disk_->Remove(DirectoryOf(left.attempt_id));
        freed_bytes += left.size_bytes;
      }
    }
  };
  // Cheapest loss first: no attempt resumes from the work of closed jobs.
  free_work(/*of_open_jobs=*/false);
  // A kept result has been uploaded and matters only if the coordinator is restored.
  std::multimap<absl::Time, DiskEntry> results;
  for (const DiskEntry& result : disk_->List(kResults)) {
    if (held_results_.count(result.name) == 0) {
      results.emplace(result.changed, result);
    }
  }
  for (const auto& [changed, result] : results) {
    if (freed_bytes < wanted_bytes) {
      disk_->Remove(ResultOf(result.name));
      freed_bytes += result.size_bytes;
    }
  }
  // Last, because a later attempt of an open job would have to start over.
  free_work(/*of_open_jobs=*/true);
  return freed_bytes;
}

absl::Status StateDirectory::TakeWork(const std::string& from_attempt_id,
                                      const std::string& to_attempt_id) {
  WATTLE_RETURN_IF_ERROR(CheckAttemptId(from_attempt_id));
  WATTLE_RETURN_IF_ERROR(CheckAttemptId(to_attempt_id));
  return disk_->RenameDirectory(DirectoryOf(from_attempt_id) + "/work",
                                DirectoryOf(to_attempt_id) + "/work");
}

void StateDirectory::RemoveAllWork() {
  for (const auto& [changed, left] : LeftWork()) {
    disk_->Remove(DirectoryOf(left.attempt_id));
  }
  disk_->Remove(kResults);
}

StoredRecord<v1::DeviceInfo> StateDirectory::ReadRates() {
  return ReadRecord<v1::DeviceInfo>(kRates, PreviousOf(kRates));
}
absl::Status StateDirectory::WriteRates(const v1::DeviceInfo& record) {
  return WriteAndKeepPrevious(kRates, record);
}

StoredRecord<v1::HeatModel> StateDirectory::ReadHeat() {
  return ReadRecord<v1::HeatModel>(kHeat, PreviousOf(kHeat));
}
absl::Status StateDirectory::WriteHeat(const v1::HeatModel& record) {
  return WriteAndKeepPrevious(kHeat, record);
}
StoredRecord<v1::LineageRecord> StateDirectory::ReadLineage() {
  return ReadRecord<v1::LineageRecord>(kLineage, PreviousOf(kLineage));
}
absl::Status StateDirectory::WriteLineage(const v1::LineageRecord& record) {
  return WriteAndKeepPrevious(kLineage, record);
}
StoredRecord<v1::EndedRecord> StateDirectory::ReadEnded() {
  return ReadRecord<v1::EndedRecord>(kEnded, PreviousOf(kEnded));
}
absl::Status StateDirectory::WriteEnded(const v1::EndedRecord& record) {
  return WriteAndKeepPrevious(kEnded, record);
}

int64_t StateDirectory::OutputSizeBytes(const std::string& attempt_id) {
  for (const DiskEntry& part : disk_->List(DirectoryOf(attempt_id))) {
    if (part.name == "output") {
      return part.size_bytes;
    }
  }
  return 0;
}

void StateDirectory::RemoveOutput(const std::string& attempt_id) {
  disk_->Remove(DirectoryOf(attempt_id) + "/output");
}

absl::Status StateDirectory::KeepResult(const std::string& attempt_id) {
  disk_->Remove(ResultOf(attempt_id));
  const absl::Status kept =
      disk_->RenameDirectory(DirectoryOf(attempt_id) + "/output", ResultOf(attempt_id));
  if (!kept.ok()) {
    RemoveOutput(attempt_id);
  }
  return kept;
}

void StateDirectory::KeepResultsOf(const std::vector<std::string>& attempt_ids) {
  std::map<std::string, int64_t> there;
  for (const DiskEntry& result : disk_->List(kResults)) {
    if (held_results_.count(result.name) == 0) {
      there[result.name] = result.size_bytes;
    }
  }
  int64_t kept_bytes = 0;
  for (const std::string& id : attempt_ids) {
    const auto result = there.find(id);
    if (result != there.end() && kept_bytes + result->second <= kKeptResultsBytesMax) {
      kept_bytes += result->second;
      there.erase(result);
    }
  }
  for (const auto& [id, size_bytes] : there) {
    disk_->Remove(ResultOf(id));
  }
}

int64_t StateDirectory::ResultSizeBytes(const std::string& attempt_id) {
  for (const DiskEntry& result : disk_->List(kResults)) {
    if (result.name == attempt_id) {
      return result.size_bytes;
    }
  }
  return 0;
}

}  // namespace wattle::agent
