// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/spool.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "worker/agent/storage/crash_point.h"
#include "worker/agent/storage/state_directory.h"

namespace wattle::agent {
namespace {

constexpr char kMagic[] = "wattle-spool-01\n";
constexpr size_t kMagicSize = sizeof(kMagic) - 1;
constexpr size_t kHeaderSize = kMagicSize + 16;
constexpr size_t kRecordHeaderSize = 8;
// The file is written anew once this much of it is acknowledged: far below what an SD card minds.
constexpr int64_t kRewriteAtBytes = int64_t{256} << 10;

// CRC-32 (IEEE 802.3), bit by bit: records are small and rare.
uint32_t Crc32(absl::string_view bytes) {
  uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
    }
  }
  return ~crc;
}

// Little endian, on every architecture.
void AppendInteger(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}
uint64_t ReadLittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[i - 1]);
  }
  return value;
}

std::string Record(const v1::Report& report) {
  const std::string payload = report.SerializeAsString();
  std::string record;
  AppendInteger(payload.size(), 4, &record);
  AppendInteger(Crc32(payload), 4, &record);
  return record + payload;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(const std::string& path) {
  std::unique_ptr<Spool> spool(new Spool(path));
  WATTLE_RETURN_IF_ERROR(spool->Load());
  return spool;
}

Spool::~Spool() {
  if (file_ >= 0) {
    close(file_);
  }
}

absl::Status Spool::Load() {
  absl::StatusOr<std::string> content = ReadWholeFile(path_);
  const bool header_good = content.ok() && content->size() >= kHeaderSize &&
                           absl::string_view(*content).substr(0, kMagicSize) == kMagic;
  if (!header_good) {
    if (content.ok()) {
      rename(path_.c_str(), (path_ + ".damaged").c_str());
    } else if (!absl::IsNotFound(content.status())) {
      return content.status();
    }
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
      return FileError(errno, path_, "cannot draw an incarnation");
    }
    incarnation_ = static_cast<int64_t>(random >> 1) | 1;  // positive, never 0
    return Rewrite();
  }
  const absl::string_view bytes(*content);
  incarnation_ = static_cast<int64_t>(ReadLittleEndian(bytes.substr(kMagicSize, 8)));
  dropped_ = static_cast<int64_t>(ReadLittleEndian(bytes.substr(kMagicSize + 8, 8)));
  size_t at = kHeaderSize;
  while (bytes.size() - at >= kRecordHeaderSize) {
    const uint64_t size = ReadLittleEndian(bytes.substr(at, 4));
    const uint64_t crc = ReadLittleEndian(bytes.substr(at + 4, 4));
    if (bytes.size() - at - kRecordHeaderSize < size) {
      break;
    }
    const absl::string_view payload = bytes.substr(at + kRecordHeaderSize, size);
    v1::Report report;
    if (Crc32(payload) != crc ||
        !report.ParseFromArray(payload.data(), static_cast<int>(payload.size())) ||
        report.sequence() != dropped_ + static_cast<int64_t>(pending_.size()) + 1) {
      break;
    }
    pending_.push_back(std::move(report));
    at += kRecordHeaderSize + size;
  }
  if (at == bytes.size()) {
    size_bytes_ = static_cast<int64_t>(at);
    file_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    return file_ >= 0 ? absl::OkStatus() : FileError(errno, path_, "cannot open");
  }
  return Rewrite();  // without the torn tail
}

absl::Status Spool::Rewrite() {
  std::string content = kMagic;
  AppendInteger(static_cast<uint64_t>(incarnation_), 8, &content);
  AppendInteger(static_cast<uint64_t>(dropped_), 8, &content);
  for (const v1::Report& report : pending_) {
    content += Record(report);
  }
  WATTLE_RETURN_IF_ERROR(ReplaceFile(path_, content));
  if (file_ >= 0) {
    close(file_);
  }
  file_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  size_bytes_ = static_cast<int64_t>(content.size());
  return file_ >= 0 ? absl::OkStatus() : FileError(errno, path_, "cannot open");
}

absl::StatusOr<int64_t> Spool::Append(v1::Report report) {
  report.set_sequence(dropped_ + static_cast<int64_t>(pending_.size()) + 1);
  const std::string record = Record(report);
  CrashPoint("spool:write");
  const ssize_t written = write(file_, record.data(), record.size());
  int error = written < 0 ? errno : ENOSPC;  // a short write: the disk just became full
  bool good = written == static_cast<ssize_t>(record.size());
  if (good) {
    CrashPoint("spool:fsync");
    good = fdatasync(file_) == 0;
    error = good ? 0 : errno;
  }
  if (!good) {
    // Half a record must not stand before the next one. If even this fails, the next start cuts it.
    if (ftruncate(file_, size_bytes_) != 0) {
      return absl::InternalError(absl::StrCat(path_, ": cannot be written nor cut back"));
    }
    return FileError(error, path_, "cannot write");
  }
  size_bytes_ += static_cast<int64_t>(record.size());
  pending_.push_back(std::move(report));
  return pending_.back().sequence();
}

absl::Status Spool::Acknowledge(int64_t sequence) {
  if (!pending_.empty() && pending_.front().sequence() <= sequence) {
    CrashPoint("spool:acknowledge");
  }
  while (!pending_.empty() && pending_.front().sequence() <= sequence) {
    dropped_ = pending_.front().sequence();
    pending_.pop_front();
  }
  // Acknowledged records that still stand in the file are only sent once more after a restart.
  if (size_bytes_ < kRewriteAtBytes) {
    return absl::OkStatus();
  }
  return Rewrite();
}

}  // namespace wattle::agent
