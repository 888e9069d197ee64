// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Small text files of the kernel: one value, one newline. Functions are thread-safe.
#ifndef WATTLE_TELEMETRY_SENSORS_SYSFS_H_
#define WATTLE_TELEMETRY_SENSORS_SYSFS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::telemetry {

// The file's text without white space (and NULs, as in the device tree) at its end. Errors:
// kNotFound (no such file or device), kPermissionDenied, kUnavailable (the driver has no value now:
// ENODATA, EAGAIN, EIO, ETIMEDOUT …).
absl::StatusOr<std::string> ReadText(const std::string& path);

// ReadText for a text that is one whole decimal number. Errors: kInternal for any other text (names
// file and text); kUnavailable for an empty file, because some drivers print nothing for "off".
absl::StatusOr<int64_t> ReadInteger(const std::string& path);

// Names in a directory, sorted; empty if there is no such directory. Kernel indices (hwmon3) are
// not stable across boots, so callers match the content of files.
std::vector<std::string> ListDirectory(const std::string& path);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SYSFS_H_
