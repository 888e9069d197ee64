// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A UPS behind Network UPS Tools: its charge, and its output power where the settings say that this
// device alone hangs on it. Asked by upsd's own protocol (LIST VAR) over TCP; reading needs no
// login. Found by settings alone.
#ifndef WATTLE_TELEMETRY_SENSORS_NUT_H_
#define WATTLE_TELEMETRY_SENSORS_NUT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

using UpsVariables = std::map<std::string, std::string>;

// One line `VAR ups key "value"`, put into *variables. kInternal: another line.
absl::Status ParseUpsVariable(absl::string_view line, UpsVariables* variables);

// What upsd's `ERR REASON` means, with the remedy: kUnavailable, kNotFound (no such UPS),
// kPermissionDenied.
absl::Status UpsError(absl::string_view line);

absl::Span<const Setting> NutSettings();

// One source for each entry, reachable or not. Its Poll answers within the deadline.
std::vector<Candidate> DiscoverNut(const std::string& root,
                                   const std::vector<SourceSettings>& entries);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_NUT_H_
