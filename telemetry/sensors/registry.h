// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The list of all kinds of sources, and discovery of this board's sources. To add a kind: a file in
// this folder like rapl.cc, which ends with the kind's row; the row's name in registry.cc; the file
// in CMakeLists.txt; a row in docs/operate/sensors.md. A new origin of energy is also a value of
// EnergySource (energy.proto), whose name is the origin's name everywhere.
#ifndef WATTLE_TELEMETRY_SENSORS_REGISTRY_H_
#define WATTLE_TELEMETRY_SENSORS_REGISTRY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

struct SourceKind {
  const char* name = "";               // "ina3221", also the `kind` of an entry of the settings
  absl::Span<const Setting> settings;  // empty: the kind takes no entry
  // Every source of this kind that is present, usable or not. root: "" for this machine; in tests a
  // directory with a copied file tree. entries: the checked entries of this kind. Discovery never
  // waits for a network: an unreachable plug is a source that answers later.
  std::vector<Candidate> (*discover)(const std::string& root,
                                     const std::vector<SourceSettings>& entries) = nullptr;
};

absl::Span<const SourceKind> AllSourceKinds();

// Errors: kInvalidArgument names the entry by its number from 1: an unknown kind, a kind without
// settings, or a setting that the kind does not have.
absl::Status CheckSettings(const std::vector<SourceSettings>& entries);

// The candidates of all kinds, in the order of the list. entries: checked.
std::vector<Candidate> DiscoverSources(const std::string& root,
                                       const std::vector<SourceSettings>& entries = {});

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_REGISTRY_H_
