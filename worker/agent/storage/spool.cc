// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/spool.h"

#include <optional>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/crc32c.h"
#include "base/fault_point.h"
#include "base/status_macros.h"
#include "worker/agent/storage/bytes_internal.h"

namespace wattle::agent {
namespace {

constexpr char kName[] = "spool";
constexpr char kDamagedName[] = "spool.damaged";
constexpr absl::string_view kSpoolMagic = "wattle-spool-02\n";
// The format of workers before version 2 of the file: no checksum of the header, and CRC-32 (IEEE
// 802.3) for each record.
constexpr absl::string_view kSpoolMagic1 = "wattle-spool-01\n";
constexpr size_t kNumbersSize = 16;
constexpr size_t kSpoolHeaderSize = kSpoolMagic.size() + kNumbersSize + 4;
constexpr size_t kSpoolHeader1Size = kSpoolMagic1.size() + kNumbersSize;
constexpr size_t kRecordHeaderSize = 8;
// Higher than the report count of any worker.
constexpr int64_t kDroppedMax = int64_t{1} << 53;
// The file is rewritten once its acknowledged part has this size, which is harmless for an SD card.
constexpr int64_t kRewriteAtBytes = int64_t{256} << 10;

uint32_t Crc32Ieee(absl::string_view bytes) {
  uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
    }
  }
  return ~crc;
}

std::string Record(const v1::Report& report) {
  const std::string payload = report.SerializeAsString();
  std::string record;
  AppendLittleEndian(payload.size(), 4, &record);
  AppendLittleEndian(Crc32c(payload), 4, &record);
  return record + payload;
}

// The report whose record begins at `at`, and the beginning of the next record.
struct FoundReport {
  v1::Report report;
  size_t end = 0;
};
std::optional<FoundReport> ReportAt(absl::string_view records, size_t at) {
  if (records.size() - at < kRecordHeaderSize) {
    return std::nullopt;
  }
  const uint64_t size = ReadLittleEndian(records.substr(at, 4));
  const uint64_t crc = ReadLittleEndian(records.substr(at + 4, 4));
  const size_t begin = at + kRecordHeaderSize;
  if (size == 0 || records.size() - begin < size) {
    return std::nullopt;
  }
  const absl::string_view payload = records.substr(begin, size);
  FoundReport found;
  if ((Crc32c(payload) != crc && Crc32Ieee(payload) != crc) ||
      !found.report.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return std::nullopt;
  }
  found.end = begin + size;
  return found;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(Disk* disk) {
  std::unique_ptr<Spool> spool(new Spool(disk));
  WATTLE_RETURN_IF_ERROR(spool->Load());
  return spool;
}

// Returns the size of the header, 0 if it is damaged.
size_t Spool::ReadHeader(absl::string_view content) {
  const bool is_version_1 =
      content.size() >= kSpoolHeader1Size && content.substr(0, kSpoolMagic1.size()) == kSpoolMagic1;
  if (!is_version_1 &&
      (content.size() < kSpoolHeaderSize || content.substr(0, kSpoolMagic.size()) != kSpoolMagic)) {
    return 0;
  }
  const absl::string_view numbers = content.substr(kSpoolMagic.size(), kNumbersSize);
  if (!is_version_1 &&
      ReadLittleEndian(content.substr(kSpoolMagic.size() + kNumbersSize, 4)) != Crc32c(numbers)) {
    return 0;
  }
  incarnation_ = static_cast<int64_t>(ReadLittleEndian(numbers.substr(0, 8)));
  dropped_ = static_cast<int64_t>(ReadLittleEndian(numbers.substr(8, 8)));
  if (incarnation_ <= 0 || dropped_ < 0 || dropped_ > kDroppedMax) {
    return 0;  // version 1, whose numbers have no checksum
  }
  return is_version_1 ? kSpoolHeader1Size : kSpoolHeaderSize;
}

// Reads every complete record. After damage the next record begins at the first place from which a
// complete record can be read; the checksum makes a false match practically impossible.
void Spool::ReadRecords(absl::string_view records) {
  size_t skipped_bytes = 0;
  size_t at = 0;
  while (at < records.size()) {
    std::optional<FoundReport> found = ReportAt(records, at);
    if (!found) {
      ++skipped_bytes;
      ++at;
      continue;
    }
    pending_.push_back(std::move(found->report));
    at = found->end;
  }
  if (skipped_bytes > 0) {
    repair_ = absl::StrCat(skipped_bytes, " bytes of its records cannot be read");
    return;
  }
  int64_t expected = dropped_;
  for (const v1::Report& report : pending_) {
    // All records are readable, but a gap shows that some were lost.
    if (report.sequence() != ++expected) {
      repair_ = absl::StrCat("report ", report.sequence(), " stands where ", expected, " should");
      return;
    }
  }
}

absl::Status Spool::Load() {
  const absl::StatusOr<std::string> content = disk_->Read(kName);
  if (absl::IsNotFound(content.status())) {
    return BeginIncarnation();
  }
  // Unsent reports that the disk cannot read now may be intact.
  WATTLE_RETURN_IF_ERROR(content.status());
  const size_t header_size = ReadHeader(*content);
  ReadRecords(absl::string_view(*content).substr(header_size));
  if (header_size == 0) {
    repair_ = "its header is damaged";
  }
  if (repair_.empty()) {
    size_bytes_ = static_cast<int64_t>(content->size());
    return absl::OkStatus();
  }
  repair_ =
      absl::StrCat(disk_->PathOf(kName), ": ", repair_, "; ", pending_.size(),
                   " reports were saved, the numbers begin anew, the old file is ", kDamagedName);
  // The copy is only for a person who inspects the damage.
  (void)disk_->KeepAs(kName, kDamagedName);
  return BeginIncarnation();
}

absl::Status Spool::BeginIncarnation() {
  const int64_t incarnation = incarnation_;
  const int64_t dropped = dropped_;
  // Kept for an error: the old numbering must stay if the disk refuses the new file.
  const std::deque<v1::Report> pending = pending_;
  incarnation_ = static_cast<int64_t>(disk_->Random() >> 1) | 1;  // positive, never 0
  dropped_ = 0;
  int64_t sequence = 0;
  for (v1::Report& report : pending_) {
    report.set_sequence(++sequence);
  }
  const absl::Status written = Rewrite();
  if (!written.ok()) {
    incarnation_ = incarnation;
    dropped_ = dropped;
    pending_ = pending;
  }
  return written;
}

absl::Status Spool::Change(const std::function<void(v1::Report&)>& change) {
  const std::deque<v1::Report> before = pending_;
  for (v1::Report& report : pending_) {
    change(report);
  }
  const absl::Status written = Rewrite();
  if (!written.ok()) {
    pending_ = before;
  }
  return written;
}

absl::Status Spool::Rewrite() {
  std::string content(kSpoolMagic);
  std::string numbers;
  AppendLittleEndian(static_cast<uint64_t>(incarnation_), 8, &numbers);
  AppendLittleEndian(static_cast<uint64_t>(dropped_), 8, &numbers);
  content += numbers;
  AppendLittleEndian(Crc32c(numbers), 4, &content);
  for (const v1::Report& report : pending_) {
    content += Record(report);
  }
  WATTLE_RETURN_IF_ERROR(disk_->Replace(kName, content));
  size_bytes_ = static_cast<int64_t>(content.size());
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Spool::Append(v1::Report report) {
  report.set_sequence(last_sequence() + 1);
  const std::string record = Record(report);
  if (!WATTLE_FAULT_POINT("spool fsync")) {
    WATTLE_RETURN_IF_ERROR(disk_->Append(kName, record));
  }
  size_bytes_ += static_cast<int64_t>(record.size());
  pending_.push_back(std::move(report));
  return pending_.back().sequence();
}

absl::Status Spool::Acknowledge(int64_t sequence) {
  if (pending_.empty() || pending_.front().sequence() > sequence) {
    return absl::OkStatus();
  }
  CrashPoint("spool:acknowledge");
  int64_t pending_bytes = 0;
  while (!pending_.empty() && pending_.front().sequence() <= sequence) {
    dropped_ = pending_.front().sequence();
    pending_.pop_front();
  }
  for (const v1::Report& report : pending_) {
    pending_bytes += static_cast<int64_t>(report.ByteSizeLong());
  }
  // Acknowledged records still in the file only cause a repeated report after a restart.
  return size_bytes_ - pending_bytes < kRewriteAtBytes ? absl::OkStatus() : Rewrite();
}

}  // namespace wattle::agent
