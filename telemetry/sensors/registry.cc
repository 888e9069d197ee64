// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/registry.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

#include "telemetry/sensors/sum_source.h"

namespace wattle::telemetry {

// The rows of the kinds. Each row is defined at the end of its kind's own file.
extern const SourceKind kIna3221Kind;
extern const SourceKind kIna2xxKind;
extern const SourceKind kPiFirmwareKind;
extern const SourceKind kRpiVoltKind;
extern const SourceKind kSmartPlugKind;
extern const SourceKind kNutKind;
extern const SourceKind kPowerSupplyKind;
extern const SourceKind kMax1704xKind;
extern const SourceKind kRaplKind;
extern const SourceKind kNvmlKind;
extern const SourceKind kTegrastatsLogKind;
extern const SourceKind kThermalZoneKind;
extern const SourceKind kThrottleAlertsKind;
extern const SourceKind kHostKind;

namespace {

absl::Status CheckOne(const SourceSettings& entry) {
  std::string kinds;
  for (const SourceKind& kind : AllSourceKinds()) {
    if (entry.kind == kind.name && !kind.settings.empty()) {
      return CheckEntry(entry, kind.settings);
    }
    if (!kind.settings.empty()) {
      absl::StrAppend(&kinds, kinds.empty() ? "" : ", ", kind.name);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("kind: \"", entry.kind, "\", kinds with settings are ", kinds));
}

}  // namespace

absl::Span<const SourceKind> AllSourceKinds() {
  static const SourceKind kKinds[] = {
      kIna3221Kind,     kIna2xxKind,         kPiFirmwareKind, kSmartPlugKind, kNutKind,
      kPowerSupplyKind, kMax1704xKind,       kRaplKind,       kNvmlKind,      kTegrastatsLogKind,
      kThermalZoneKind, kThrottleAlertsKind, kRpiVoltKind,    kHostKind,
  };
  return kKinds;
}

absl::Status CheckSettings(const std::vector<SourceSettings>& entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const absl::Status status = CheckOne(entries[i]);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("sensor ", i + 1, ", ", entries[i].kind, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

std::vector<Candidate> DiscoverSources(const std::string& root,
                                       const std::vector<SourceSettings>& entries) {
  std::vector<Candidate> all;
  for (const SourceKind& kind : AllSourceKinds()) {
    std::vector<SourceSettings> own;
    std::copy_if(entries.begin(), entries.end(), std::back_inserter(own),
                 [&kind](const SourceSettings& entry) { return entry.kind == kind.name; });
    std::vector<Candidate> found = kind.discover(root, own);
    std::move(found.begin(), found.end(), std::back_inserter(all));
  }
  AddGpusToProcessors(all);
  return all;
}

}  // namespace wattle::telemetry
