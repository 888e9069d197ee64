// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/disk.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace wattle::sim {
namespace {

absl::Status Full(const std::string& path) {
  return absl::ResourceExhaustedError(absl::StrCat(path, ": cannot write: the disk is full"));
}

}  // namespace

void Disk::Apply(const Change& change, std::string& content) {
  if (change.offset < 0) {
    content.resize(static_cast<size_t>(change.size_bytes), '\0');
    return;
  }
  const auto offset = static_cast<size_t>(change.offset);
  if (content.size() < offset + change.bytes.size()) {
    content.resize(offset + change.bytes.size(), '\0');
  }
  std::copy(change.bytes.begin(), change.bytes.end(),
            content.begin() + static_cast<std::ptrdiff_t>(offset));
}

const std::string* Disk::Find(const std::string& path) const {
  const auto file = files_.find(path);
  return file == files_.end() ? nullptr : &file->second.content;
}

std::vector<std::string> Disk::List(absl::string_view prefix) const {
  std::vector<std::string> paths;
  for (auto file = files_.lower_bound(std::string(prefix));
       file != files_.end() && absl::StartsWith(file->first, prefix); ++file) {
    paths.push_back(file->first);
  }
  return paths;
}

absl::Status Disk::Write(const std::string& path, int64_t offset, absl::string_view bytes) {
  if (full_) {
    return Full(path);
  }
  File& file = files_[path];
  file.unsynced.push_back({offset, 0, std::string(bytes)});
  Apply(file.unsynced.back(), file.content);
  return absl::OkStatus();
}

absl::Status Disk::Append(const std::string& path, absl::string_view bytes) {
  const std::string* content = Find(path);
  return Write(path, content == nullptr ? 0 : static_cast<int64_t>(content->size()), bytes);
}

void Disk::Truncate(const std::string& path, int64_t size_bytes) {
  File& file = files_[path];
  file.unsynced.push_back({-1, size_bytes, ""});
  Apply(file.unsynced.back(), file.content);
}

void Disk::Sync(const std::string& path) {
  const auto found = files_.find(path);
  if (found == files_.end()) {
    return;
  }
  File& file = found->second;
  for (const Change& change : file.unsynced) {
    Apply(change, file.durable);
  }
  file.unsynced.clear();
}

absl::Status Disk::Replace(const std::string& path, absl::string_view content) {
  if (full_) {
    return Full(path);
  }
  File& file = files_[path];
  file.unsynced.clear();
  file.content = std::string(content);
  file.durable = file.content;
  return absl::OkStatus();
}

void Disk::Remove(const std::string& path) {
  files_.erase(path);
}

void Disk::LosePower() {
  for (auto& [path, file] : files_) {
    if (file.unsynced.empty()) {
      continue;
    }
    const auto kept =
        static_cast<size_t>(random_.Below(static_cast<int>(file.unsynced.size()) + 1));
    // Unsynced writes may reach the disk in any number, but in order.
    for (size_t i = 0; i < kept; ++i) {
      Apply(file.unsynced[i], file.durable);
    }
    // The write under way may be torn at any byte, so readers must detect a partial record.
    if (kept < file.unsynced.size() && file.unsynced[kept].offset >= 0) {
      Change torn = file.unsynced[kept];
      torn.bytes.resize(
          static_cast<size_t>(random_.Below(static_cast<int>(torn.bytes.size()) + 1)));
      Apply(torn, file.durable);
    }
    file.unsynced.clear();
    // After the restart only the durable bytes exist.
    file.content = file.durable;
  }
}

bool Disk::Damage(absl::string_view prefix) {
  const std::vector<std::string> paths = List(prefix);
  if (paths.empty()) {
    return false;
  }
  File& file = files_[paths[static_cast<size_t>(random_.Below(static_cast<int>(paths.size())))]];
  if (file.durable.empty()) {
    return false;
  }
  const auto at = static_cast<size_t>(random_.Below(static_cast<int>(file.durable.size())));
  const int bit = 1 << random_.Below(8);
  file.durable[at] = static_cast<char>(file.durable[at] ^ bit);
  // A running process also reads the damaged byte.
  if (at < file.content.size()) {
    file.content[at] = static_cast<char>(file.content[at] ^ bit);
  }
  return true;
}

Disk::Image Disk::Copy() const {
  Image image;
  for (const auto& [path, file] : files_) {
    image.emplace(path, file.content);
  }
  return image;
}

void Disk::Restore(const Image& image) {
  files_.clear();
  for (const auto& [path, content] : image) {
    files_[path] = {.durable = content, .content = content, .unsynced = {}};
  }
}

}  // namespace wattle::sim
