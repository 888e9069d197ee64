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

// The file's text without the white space (and NULs, as in the device tree) at its end. Errors:
// kNotFound (no such file or device), kPermissionDenied, kUnavailable (the driver has no value now:
// ENODATA, EAGAIN, EIO, ETIMEDOUT …).
absl::StatusOr<std::string> ReadText(const std::string& path);

// As ReadText, and the text is one whole decimal number. kInternal: it is not (names file and
// text). An empty file is kUnavailable: some drivers print nothing for "off".
absl::StatusOr<int64_t> ReadInteger(const std::string& path);

// Names in a directory, sorted; empty where there is no such directory. Kernel indices (hwmon3) are
// not stable over boots: callers match on what the files say.
std::vector<std::string> ListDirectory(const std::string& path);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SYSFS_H_
