// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The ordered table and its key. validate_row.cc defines which rows are valid.
#include "scheduler/profiles/profile_table.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

const ProfileTable::ClassRows& NoRows() {
  static const auto* const kNone = new ProfileTable::ClassRows();
  return *kNone;
}

absl::string_view SourceName(v1::ProfileSource source) {
  switch (source) {
    case v1::PROFILE_SOURCE_PUBLISHED:
      return "published";
    case v1::PROFILE_SOURCE_PROBED:
      return "probed";
    case v1::PROFILE_SOURCE_IMPORTED:
      return "imported";
    default:
      return "measured";
  }
}

// The prefix of the keys of all rows of the row's device.
std::string DeviceKey(const v1::ProfileRow& row) {
  return absl::StrCat(SourceName(row.source()), "|", row.device_class(), "|", row.device_id(), "|",
                      row.emulated() ? "emulated" : "real", "|");
}

// A wildcard precision equals only a wildcard.
bool IsOfOneWorkload(const v1::ProfileRow& a, const v1::ProfileRow& b) {
  return a.signature().precision() == b.signature().precision() &&
         SameIn(SignaturePart::kModel, a.signature(), b.signature()) &&
         SameIn(SignaturePart::kWorkload, a.signature(), b.signature());
}

}  // namespace

std::string ProfileKey(const v1::ProfileRow& row) {
  return absl::StrCat(DeviceKey(row), row.power_mode(), SignatureKey(row.signature()), "|",
                      v1::WorkUnit_Name(row.unit()));
}

absl::Status ProfileTable::Put(const v1::ProfileRow& row) {
  WATTLE_RETURN_IF_ERROR(ValidateProfileRow(row));
  if (row.source() == v1::PROFILE_SOURCE_MEASURED && !row.device_id().empty()) {
    RemoveProbesOf(row);
  }
  const std::string key = ProfileKey(row);
  ClassRows& rows = by_class_.Mutable(row.device_class());
  size_ -= rows.size();
  v1::ProfileRow& stored = rows.Mutable(key);
  calibration_.Count(stored, -1);
  stored = row;
  calibration_.Count(stored, 1);
  size_ += rows.size();
  Index(row.device_class(), *rows.find(key));
  return absl::OkStatus();
}

void ProfileTable::Index(const std::string& device_class, const ClassRows::value_type& entry) {
  WorkloadRows& rows =
      by_workload_.Mutable(device_class).Mutable(WorkloadDigest(entry.second.signature()));
  const v1::ProfileRow& row = entry.second;
  const v1::PowerMode* const mode = ModeOfRuns(row);
  const WorkloadRow indexed{.entry = &entry,
                            .device = TextDigest(row.device_id()),
                            .power_mode = TextDigest(ModeNameOf(row)),
                            .mode_numbers = mode == nullptr ? ModeNumbers() : ModeNumbersOf(*mode),
                            .source = row.source(),
                            .batch_size = row.signature().batch_size(),
                            .length = LengthOf(row.signature()),
                            .of_class = row.device_id().empty(),
                            .emulated = row.emulated(),
                            .as_first = false};
  const auto at = std::lower_bound(
      rows.begin(), rows.end(), entry.first,
      [](const WorkloadRow& known, const std::string& key) { return known.entry->first < key; });
  if (at != rows.end() && at->entry->first == entry.first) {
    const bool as_first = at->as_first;  // Equal keys have equal signatures.
    *at = indexed;
    at->as_first = as_first;
  } else if (at == rows.begin()) {
    rows.insert(at, indexed);
    CompareWithFirst(rows);
  } else {
    rows.insert(at, indexed)->as_first = IsOfOneWorkload(row, rows.front().row());
  }
}

void ProfileTable::CompareWithFirst(WorkloadRows& rows) {
  for (WorkloadRow& each : rows) {
    each.as_first = IsOfOneWorkload(each.row(), rows.front().row());
  }
}

void ProfileTable::Erase(const v1::ProfileRow& row, const std::string& key) {
  WorkloadRows& rows =
      by_workload_.Mutable(row.device_class()).Mutable(WorkloadDigest(row.signature()));
  rows.erase(std::remove_if(rows.begin(), rows.end(),
                            [&](const WorkloadRow& known) { return known.entry->first == key; }),
             rows.end());
  CompareWithFirst(rows);
  by_class_.Mutable(row.device_class()).erase(key);
  --size_;
}

const ProfileTable::WorkloadRows& ProfileTable::OfWorkload(
    const std::string& device_class, const v1::WorkloadSignature& signature) const {
  static const auto* const kNone = new WorkloadRows();
  const ByWorkload* const of_class = by_workload_.Find(device_class);
  const WorkloadRows* const rows =
      of_class == nullptr ? nullptr : of_class->Find(WorkloadDigest(signature));
  return rows == nullptr ? *kNone : *rows;
}

void ProfileTable::RemoveProbesOf(const v1::ProfileRow& measured) {
  v1::ProfileRow of_device = measured;
  of_device.set_source(v1::PROFILE_SOURCE_PROBED);
  std::vector<const v1::ProfileRow*> ended;
  for (const v1::ProfileRow* probe : OfDevice(of_device)) {
    const v1::WorkloadSignature& work = probe->signature();
    if (ModeNameOf(*probe) == ModeNameOf(measured) && probe->unit() == measured.unit() &&
        SameIn(SignaturePart::kModel, work, measured.signature()) &&
        SameIn(SignaturePart::kWorkload, work, measured.signature()) &&
        work.batch_size() == measured.signature().batch_size() &&
        LengthOf(work) == LengthOf(measured.signature())) {
      ended.push_back(probe);
    }
  }
  for (const v1::ProfileRow* probe : ended) {
    Erase(*probe, ProfileKey(*probe));
  }
}

int ProfileTable::RemoveImported(absl::string_view device_class) {
  std::vector<v1::ProfileRow> imported;
  for (const auto& [of_class, rows] : by_class_) {
    for (const auto& [key, row] : rows) {
      if (row.source() == v1::PROFILE_SOURCE_IMPORTED &&
          (device_class.empty() || of_class == device_class)) {
        imported.push_back(row);
      }
    }
  }
  for (const v1::ProfileRow& row : imported) {
    calibration_.Count(row, -1);
    Erase(row, ProfileKey(row));
  }
  return static_cast<int>(imported.size());
}

const v1::ProfileRow* ProfileTable::FindLike(const v1::ProfileRow& row) const {
  return OfClass(row.device_class()).Find(ProfileKey(row));
}

const ProfileTable::ClassRows& ProfileTable::OfClass(absl::string_view device_class) const {
  const ClassRows* rows = by_class_.Find(std::string(device_class));
  return rows == nullptr ? NoRows() : *rows;
}

std::vector<const v1::ProfileRow*> ProfileTable::OfDevice(const v1::ProfileRow& row) const {
  std::vector<const v1::ProfileRow*> rows;
  const ClassRows& of_class = OfClass(row.device_class());
  const std::string key = DeviceKey(row);
  for (auto at = of_class.lower_bound(key);
       at != of_class.end() && absl::StartsWith(at->first, key); ++at) {
    rows.push_back(&at->second);
  }
  return rows;
}

std::vector<v1::ProfileRow> ProfileTable::Rows() const {
  std::vector<v1::ProfileRow> all;
  all.reserve(size());
  for (const auto& [device_class, rows] : by_class_) {
    for (const auto& [key, row] : rows) {
      all.push_back(row);
    }
  }
  return all;
}

}  // namespace wattle::scheduler
