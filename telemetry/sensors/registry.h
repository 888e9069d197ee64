// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The list of every kind of source, and what this board has of them. A new source is a file beside
// this one and an entry in registry.cc.
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
  const char* name;                    // "ina3221", also the `kind` of an entry of the settings
  absl::Span<const Setting> settings;  // empty: the kind takes no entry
  // Every source of this kind, usable or not, without those that are merely absent. root: "" for
  // this machine, a directory with a copied file tree in tests. entries: of this kind, checked. No
  // discovery waits for a network: a plug that cannot be reached is a source that answers later.
  std::vector<Candidate> (*discover)(const std::string& root,
                                     const std::vector<SourceSettings>& entries);
};

absl::Span<const SourceKind> AllSourceKinds();

// kInvalidArgument, naming the entry by its number from 1: a kind that does not exist or takes no
// settings, or settings that the kind does not take.
absl::Status CheckSettings(const std::vector<SourceSettings>& entries);

// Every kind's candidates, in the order of the list. entries: checked.
std::vector<Candidate> DiscoverSources(const std::string& root,
                                       const std::vector<SourceSettings>& entries = {});

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_REGISTRY_H_
