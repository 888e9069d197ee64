// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Raspberry Pi's firmware reports (vcgencmd in Raspberry Pi's documentation) whether the board
// throttles or has too little voltage, and on a Pi 5 the power of twelve rails. The sum of the
// rails excludes the 5 V rail (USB, HATs, NVMe, fan) and the regulators' losses, so its scope is
// "rails_sum" and never the board's input. An operator can fit a line with a meter at the input
// (settings slope and offset_watts); the sum then gives an "estimated" input. The source asks by
// the mailbox call on /dev/vcio, as vcgencmd does.
#ifndef WATTLE_TELEMETRY_SENSORS_PI_FIRMWARE_H_
#define WATTLE_TELEMETRY_SENSORS_PI_FIRMWARE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One rail of the answer to pmic_read_adc.
struct PmicRail {
  std::string name{};  // "VDD_CORE"
  Watts power{};
};

// Rails with both a current and a voltage, paired by name, in the order of the currents. Errors:
// kUnavailable if the firmware does not know the command (a Pi 4) or the answer has no rail.
absl::StatusOr<std::vector<PmicRail>> ParsePmicAnswer(absl::string_view answer);

// "throttled=0x50005", or the bare hexadecimal number of sysfs → the bits. Errors: kInternal for
// any other text.
absl::StatusOr<uint32_t> ParseThrottled(absl::string_view answer);

// The firmware's answer to a command of vcgencmd. Errors: kNotFound (not a Raspberry Pi),
// kPermissionDenied with the remedy, kUnavailable.
using FirmwareCall = std::function<absl::StatusOr<std::string>(const std::string& command)>;

std::vector<Candidate> DiscoverPiFirmware(const FirmwareCall& ask,
                                          const std::vector<SourceSettings>& entries);

// Commands and answers that a recording of this board keeps; empty on other boards.
std::vector<std::pair<std::string, std::string>> FirmwareAnswers(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_PI_FIRMWARE_H_
