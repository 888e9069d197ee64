// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/memory_disk.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"

namespace wattle::agent {
namespace {

std::string ParentOf(const std::string& name) {
  const size_t slash = name.rfind('/');
  return slash == std::string::npos ? "" : name.substr(0, slash);
}

}  // namespace

absl::Status MemoryDisk::Operate() {
  if (power_is_cut_) {
    return absl::UnavailableError("the power is cut");
  }
  ++operations_;
  if (operations_left_ && (*operations_left_)-- == 0) {
    operations_left_.reset();
    power_is_cut_ = true;
    return absl::UnavailableError("the power is cut");
  }
  return absl::OkStatus();
}

absl::Status MemoryDisk::Refusal(const std::string& name) const {
  switch (fault_) {
    case Fault::kNone:
      break;
    case Fault::kFull:
      return absl::ResourceExhaustedError(
          absl::StrCat(name, ": cannot write: no space left on device"));
    case Fault::kReadOnly:
      return absl::PermissionDeniedError(
          absl::StrCat(name, ": cannot open: Read-only file system"));
    case Fault::kError:
      return absl::InternalError(absl::StrCat(name, ": cannot write: Input/output error"));
  }
  return absl::OkStatus();
}

void MemoryDisk::CutPowerAfter(int64_t operations, size_t torn_bytes) {
  operations_left_ = operations;
  torn_bytes_ = torn_bytes;
}

void MemoryDisk::RestorePower() {
  operations_left_.reset();
  power_is_cut_ = false;
}

absl::StatusOr<std::string> MemoryDisk::Read(const std::string& name) {
  if (power_is_cut_) {
    return absl::UnavailableError("the power is cut");
  }
  if (unreadable_.count(name) > 0) {
    return absl::InternalError(absl::StrCat(name, ": cannot read: input/output error"));
  }
  const auto file = files_.find(name);
  if (file == files_.end()) {
    return absl::NotFoundError(absl::StrCat(name, ": no such file"));
  }
  return file->second;
}

absl::Status MemoryDisk::Replace(const std::string& name, absl::string_view content) {
  WATTLE_RETURN_IF_ERROR(Operate());
  WATTLE_RETURN_IF_ERROR(Refusal(name));
  files_[name] = std::string(content);
  unreadable_.erase(name);  // the new content uses other blocks of the card
  directories_[ParentOf(name)] = operations_;
  return absl::OkStatus();
}

absl::Status MemoryDisk::Append(const std::string& name, absl::string_view bytes) {
  const bool was_cut = power_is_cut_;
  const absl::Status status = Operate();
  const auto file = files_.find(name);
  if (!status.ok()) {
    if (!was_cut && file != files_.end()) {
      file->second += std::string(bytes.substr(0, torn_bytes_));
    }
    return status;
  }
  WATTLE_RETURN_IF_ERROR(Refusal(name));
  if (file == files_.end()) {
    return absl::NotFoundError(absl::StrCat(name, ": no such file"));
  }
  file->second += std::string(bytes);
  return absl::OkStatus();
}

absl::Status MemoryDisk::KeepAs(const std::string& name, const std::string& copy) {
  WATTLE_RETURN_IF_ERROR(Operate());
  const auto file = files_.find(name);
  if (file == files_.end()) {
    return absl::NotFoundError(absl::StrCat(name, ": no such file"));
  }
  files_[copy] = file->second;
  directories_[ParentOf(copy)] = operations_;
  return absl::OkStatus();
}

absl::Status MemoryDisk::MakeDirectory(const std::string& name) {
  WATTLE_RETURN_IF_ERROR(Operate());
  for (std::string directory = name; !directory.empty(); directory = ParentOf(directory)) {
    directories_.try_emplace(directory, operations_);
  }
  return absl::OkStatus();
}

absl::Status MemoryDisk::RenameDirectory(const std::string& from, const std::string& to) {
  if (!directories_.contains(from)) {
    return absl::NotFoundError(absl::StrCat(from, ": no such directory"));
  }
  WATTLE_RETURN_IF_ERROR(Operate());
  const auto moved = [&](const std::string& name) { return to + name.substr(from.size()); };
  const auto is_below = [&](const std::string& name) {
    return name == from || absl::StartsWith(name, from + "/");
  };
  std::map<std::string, std::string> files;
  for (auto& [name, content] : files_) {
    files[is_below(name) ? moved(name) : name] = std::move(content);
  }
  files_ = std::move(files);
  std::map<std::string, int64_t> directories;
  for (const auto& [name, operation] : directories_) {
    directories[is_below(name) ? moved(name) : name] = operation;
  }
  directories_ = std::move(directories);
  directories_[ParentOf(to)] = operations_;
  return absl::OkStatus();
}

void MemoryDisk::Remove(const std::string& name) {
  if (!Operate().ok()) {
    return;
  }
  const std::string below = name + "/";
  for (auto file = files_.begin(); file != files_.end();) {
    const bool gone = file->first == name || absl::StartsWith(file->first, below);
    file = gone ? files_.erase(file) : std::next(file);
  }
  for (auto directory = directories_.begin(); directory != directories_.end();) {
    const bool gone = directory->first == name || absl::StartsWith(directory->first, below);
    directory = gone ? directories_.erase(directory) : std::next(directory);
  }
}

std::vector<DiskEntry> MemoryDisk::List(const std::string& directory) {
  const std::string above = directory.empty() ? "" : directory + "/";
  std::map<std::string, DiskEntry> entries;
  const auto changed_at = [](int64_t operation) {
    return absl::UnixEpoch() + absl::Seconds(operation);
  };
  const auto entry_for = [&](const std::string& name) -> DiskEntry* {
    if (!absl::StartsWith(name, above) || name.size() == above.size()) {
      return nullptr;
    }
    const std::string rest = name.substr(above.size());
    const std::string first = rest.substr(0, rest.find('/'));
    DiskEntry& entry = entries[first];
    entry.name = first;
    entry.is_directory = entry.is_directory || first != rest;
    return &entry;
  };
  for (const auto& [name, operation] : directories_) {
    if (DiskEntry* entry = entry_for(name)) {
      entry->is_directory = true;
      if (above + entry->name == name) {
        entry->changed = changed_at(operation);
      }
    }
  }
  for (const auto& [name, content] : files_) {
    if (DiskEntry* entry = entry_for(name)) {
      entry->size_bytes += static_cast<int64_t>(content.size());
    }
  }
  std::vector<DiskEntry> list;
  for (auto& [name, entry] : entries) {
    list.push_back(std::move(entry));
  }
  return list;
}

// SplitMix64 (Steele, Lea and Flood 2014).
uint64_t MemoryDisk::Random() {
  uint64_t bits = random_ += 0x9e3779b97f4a7c15;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

void MemoryDisk::SetUnreadable(const std::string& name, bool unreadable) {
  if (unreadable) {
    unreadable_.insert(name);
  } else {
    unreadable_.erase(name);
  }
}

void MemoryDisk::LoseTail(const std::string& name, size_t size_bytes) {
  const auto file = files_.find(name);
  if (file != files_.end() && file->second.size() >= size_bytes) {
    file->second.resize(file->second.size() - size_bytes);
  }
}

void MemoryDisk::FlipBit(const std::string& name, size_t bit) {
  const auto file = files_.find(name);
  if (file != files_.end() && bit / 8 < file->second.size()) {
    file->second[bit / 8] = static_cast<char>(file->second[bit / 8] ^ (1 << (bit % 8)));
  }
}

void MemoryDisk::Forget(const std::string& name) {
  files_.erase(name);
}

}  // namespace wattle::agent
