// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/registry.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

#include "telemetry/sensors/host.h"
#include "telemetry/sensors/ina2xx.h"
#include "telemetry/sensors/ina3221.h"
#include "telemetry/sensors/max1704x.h"
#include "telemetry/sensors/nut.h"
#include "telemetry/sensors/nvml.h"
#include "telemetry/sensors/pi_firmware.h"
#include "telemetry/sensors/power_supply.h"
#include "telemetry/sensors/rapl.h"
#include "telemetry/sensors/smart_plug.h"
#include "telemetry/sensors/sum_source.h"
#include "telemetry/sensors/tegrastats_log.h"
#include "telemetry/sensors/thermal_zone.h"
#include "telemetry/sensors/throttle_alerts.h"

namespace wattle::telemetry {
namespace {

// Discovers a kind by its files alone, without settings.
template <auto Discover>
std::vector<Candidate> ByFiles(const std::string& root,
                               const std::vector<SourceSettings>& /*entries*/) {
  return Discover(root);
}

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
      {"ina3221", {}, ByFiles<DiscoverIna3221>},
      {"ina2xx", Ina2xxSettings(), DiscoverIna2xx},
      {"pi_firmware", PiFirmwareSettings(), DiscoverPiFirmware},
      {"smart_plug", SmartPlugSettings(), DiscoverSmartPlugs},
      {"nut", NutSettings(), DiscoverNut},
      {"power_supply", PowerSupplySettings(), DiscoverPowerSupplies},
      {"max1704x", Max1704xSettings(), DiscoverMax1704x},
      {"rapl", {}, ByFiles<DiscoverRapl>},
      {"nvml", {}, ByFiles<DiscoverNvml>},
      {"tegrastats_log", TegrastatsLogSettings(), DiscoverTegrastatsLogs},
      {"thermal_zone", {}, ByFiles<DiscoverThermalZones>},
      {"throttle_alerts", {}, ByFiles<DiscoverThrottleAlerts>},
      {"host", {}, ByFiles<DiscoverHost>},
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
