// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A UPS behind Network UPS Tools: its charge, and its output power if the settings state that the
// UPS supplies only this device. Uses upsd's protocol (RFC 9271, LIST VAR) over TCP; reading needs
// no login. Such a UPS is read only if the settings name it.
#ifndef WATTLE_TELEMETRY_SENSORS_NUT_H_
#define WATTLE_TELEMETRY_SENSORS_NUT_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace wattle::telemetry {

using UpsVariables = std::map<std::string, std::string>;

// Parses one line `VAR ups key "value"` into *variables. Errors: kInternal for any other line.
absl::Status ParseUpsVariable(absl::string_view line, UpsVariables* variables);

// Converts upsd's `ERR REASON` to a status with the remedy: kUnavailable, kNotFound (no such UPS),
// kPermissionDenied.
absl::Status UpsError(absl::string_view line);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_NUT_H_
