// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/pi_firmware.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

constexpr char kReadRails[] = "pmic_read_adc";
constexpr char kGetThrottled[] = "get_throttled";

constexpr Setting kPiFirmwareSettings[] = {
    {.name = "slope",
     .meaning = "watts at the board's input for each watt of the rails' sum",
     .low = 0.5,
     .high = 3},
    {.name = "offset_watts",
     .meaning = "watts at the board's input where the rails' sum is 0",
     .low = -5,
     .high = 20},
};

// Newer firmware has a separate device for these calls.
constexpr const char* kDevices[] = {"/dev/vcio_gencmd", "/dev/vcio"};
constexpr size_t kPiFirmwareAnswerMax = 4096;

absl::StatusOr<int> OpenMailbox() {
  absl::Status problem;
  for (const char* device : kDevices) {
    const int file = open(device, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
      return file;
    }
    const std::string text = absl::StrCat(device, ": ", std::generic_category().message(errno));
    if (errno == EACCES || errno == EPERM) {
      return absl::PermissionDeniedError(absl::StrCat(
          text, "; add the worker's user to the group video (usermod -aG video USER)"));
    }
    problem = absl::NotFoundError(text);
  }
  return problem;
}

// The property mailbox's "gencmd" message: header, one tag with the command as text, end tag.
absl::StatusOr<std::string> AskFirmware(const std::string& command) {
  constexpr uint32_t kGencmdTag = 0x00030080;
  constexpr size_t kWords = 7 + kPiFirmwareAnswerMax / sizeof(uint32_t);
  std::array<uint32_t, kWords> message = {};
  message[0] = sizeof(message);
  message[2] = kGencmdTag;
  message[3] = kPiFirmwareAnswerMax;
  std::memcpy(&message[6], command.c_str(), std::min(command.size() + 1, kPiFirmwareAnswerMax - 1));
  WATTLE_ASSIGN_OR_RETURN(const int mailbox, OpenMailbox());
  // _IOWR(100, 0, char *), as the firmware driver defines it.
  const int result = ioctl(mailbox, _IOWR(100, 0, char*), message.data());
  const int error = errno;
  close(mailbox);
  if (result < 0) {
    return absl::UnavailableError(absl::StrCat("the firmware's mailbox: ", command, ": ",
                                               std::generic_category().message(error)));
  }
  if (message[5] != 0) {
    return absl::UnavailableError(
        absl::StrCat("the firmware refuses ", command, ", error ", message[5]));
  }
  const char* text = reinterpret_cast<const char*>(&message[6]);
  return std::string(text, strnlen(text, kPiFirmwareAnswerMax));
}

FirmwareCall CallFor(const std::string& root) {
  if (root.empty()) {
    return AskFirmware;
  }
  return [root](const std::string& command) {
    return ReadText(absl::StrCat(root, "/vcgencmd/", command));
  };
}

class Pmic final : public Source {
 public:
  Pmic(FirmwareCall ask, const std::vector<PmicRail>& rails,
       const std::vector<SourceSettings>& entries)
      : ask_(std::move(ask)), fitted_(!entries.empty()) {
    info_ = {.name = "pi pmic",
             .cadence = absl::Milliseconds(500),
             .energy_source = v1::ENERGY_SOURCE_PMIC,
             .scope = fitted_ ? "estimated" : "rails_sum",
             .rank = 15,
             .plausible_max = Watts(60),
             // Measured on one Pi 5 with a USB-C meter.
             .error_ratio = 0.05,
             .error_floor = Watts(0.1)};
    for (const PmicRail& rail : rails) {
      info_.channels.push_back({.name = rail.name,
                                .file = kReadRails,
                                .metric = "wattle_rail_power_watts",
                                .help = "Power of one rail, latest sample.",
                                .in_total = !fitted_});
    }
    if (fitted_) {
      slope_ = entries.back().Number("slope", 1);
      offset_ = Watts(entries.back().Number("offset_watts", 0));
      info_.channels.push_back({.name = "input, estimated",
                                .file = kReadRails,
                                .metric = "wattle_rail_power_watts",
                                .help = "Power of one rail, latest sample.",
                                .in_total = true});
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    WATTLE_ASSIGN_OR_RETURN(const std::string answer, ask_(kReadRails));
    WATTLE_ASSIGN_OR_RETURN(const std::vector<PmicRail> rails, ParsePmicAnswer(answer));
    std::map<std::string, Watts> power;
    for (const PmicRail& rail : rails) {
      power[rail.name] = rail.power;
    }
    std::vector<Reading> readings;
    Watts sum;
    const size_t wanted = info_.channels.size() - (fitted_ ? 1 : 0);
    for (size_t i = 0; i < wanted; ++i) {
      const auto rail = power.find(info_.channels[i].name);
      if (rail == power.end()) {
        return absl::UnavailableError(absl::StrCat(kReadRails, ": ", info_.channels[i].name,
                                                   " is missing in the firmware's answer"));
      }
      sum += rail->second;
      readings.push_back({i, rail->second, now});
    }
    if (fitted_) {
      readings.push_back({wanted, slope_ * sum + offset_, now});
    }
    return readings;
  }

 private:
  FirmwareCall ask_;
  bool fitted_;
  double slope_ = 1;
  Watts offset_;
  SourceInfo info_;
};

// Each of the four low bits is a condition that holds now. The same four bits from bit 16 on say
// that the condition has held since boot. The kernel's own driver may clear these, so the source
// also remembers them.
constexpr const char* kConditions[] = {"under_voltage", "frequency_capped", "throttled",
                                       "soft_temperature_limit"};
constexpr uint32_t kSinceBootShift = 16;
// Under-voltage does not by itself lower the clocks; the other bits are set when the firmware
// lowered them.
constexpr uint32_t kClocksLowered = 0b1110;
constexpr uint32_t kUnderVoltage = 0b0001;

class Throttled final : public Source {
 public:
  explicit Throttled(FirmwareCall ask) : ask_(std::move(ask)) {
    info_.name = "pi throttled";
    info_.channels = {{.name = "firmware",
                       .file = kGetThrottled,
                       .metric = "wattle_throttled",
                       .help = "1 while the device has lowered its clocks."}};
    for (const char* condition : kConditions) {
      info_.channels.push_back({.name = condition,
                                .file = kGetThrottled,
                                .metric = "wattle_firmware_condition",
                                .help = "1 while the board's firmware reports the condition."});
    }
    for (const char* condition : kConditions) {
      info_.channels.push_back({.name = condition,
                                .file = kGetThrottled,
                                .metric = "wattle_firmware_condition_since_boot",
                                .help = "1 if the firmware reported the condition since boot."});
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    WATTLE_ASSIGN_OR_RETURN(const std::string answer, ask_(kGetThrottled));
    WATTLE_ASSIGN_OR_RETURN(const uint32_t bits, ParseThrottled(answer));
    seen_ |= bits | bits >> kSinceBootShift;
    std::vector<Reading> readings = {{0, Throttling{(bits & kClocksLowered) != 0}, now}};
    for (const uint32_t word : {bits, seen_}) {
      for (size_t i = 0; i < std::size(kConditions); ++i) {
        readings.push_back({readings.size(), Level{(word >> i & 1U) != 0 ? 1.0 : 0.0}, now});
      }
    }
    readings[1].value = UnderVoltage{(bits & kUnderVoltage) != 0};
    return readings;
  }

 private:
  FirmwareCall ask_;
  uint32_t seen_ = 0;
  SourceInfo info_;
};

// root: "" asks the firmware; a recorded tree has the answers as files root/vcgencmd/COMMAND.
std::vector<Candidate> DiscoverThisPi(const std::string& root,
                                      const std::vector<SourceSettings>& entries) {
  return DiscoverPiFirmware(CallFor(root), entries);
}

}  // namespace

absl::StatusOr<std::vector<PmicRail>> ParsePmicAnswer(absl::string_view answer) {
  std::vector<std::pair<std::string, double>> currents;
  std::map<std::string, double> volts;
  for (const absl::string_view line : absl::StrSplit(answer, '\n')) {
    // "   VDD_CORE_A current(7)=1.11625000A"
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    const std::vector<std::string> halves =
        words.size() == 2 ? absl::StrSplit(words[1], '=') : std::vector<std::string>();
    if (halves.size() != 2 || halves[1].empty()) {
      continue;
    }
    double value = 0;
    if (!absl::SimpleAtod(halves[1].substr(0, halves[1].size() - 1), &value) ||
        !std::isfinite(value)) {
      continue;
    }
    if (absl::EndsWith(words[0], "_A") && absl::StartsWith(halves[0], "current(")) {
      currents.emplace_back(absl::StripSuffix(words[0], "_A"), value);
    } else if (absl::EndsWith(words[0], "_V") && absl::StartsWith(halves[0], "volt(")) {
      volts[std::string(absl::StripSuffix(words[0], "_V"))] = value;
    }
  }
  std::vector<PmicRail> rails;
  for (const auto& [name, amperes] : currents) {
    const auto voltage = volts.find(name);
    if (voltage != volts.end()) {
      rails.push_back({name, Watts(amperes * voltage->second)});
    }
  }
  if (rails.empty()) {
    return absl::UnavailableError(absl::StrCat(
        kReadRails, ": no rail in the firmware's answer: ", OneLine(answer.substr(0, 80))));
  }
  return rails;
}

absl::StatusOr<uint32_t> ParseThrottled(absl::string_view answer) {
  uint32_t bits = 0;
  const absl::string_view digits = absl::StripPrefix(answer, "throttled=");
  if (digits.empty() || !absl::SimpleHexAtoi(digits, &bits)) {
    return absl::InternalError(absl::StrCat(kGetThrottled, ": \"", OneLine(answer.substr(0, 80)),
                                            "\" is not throttled=0x…"));
  }
  return bits;
}

std::vector<Candidate> DiscoverPiFirmware(const FirmwareCall& ask,
                                          const std::vector<SourceSettings>& entries) {
  std::vector<Candidate> found;
  const absl::StatusOr<std::string> throttled = ask(kGetThrottled);
  if (absl::IsPermissionDenied(throttled.status())) {
    found.push_back({.name = "pi firmware", .problem = throttled.status()});
    return found;
  }
  if (throttled.ok() && ParseThrottled(*throttled).ok()) {
    found.push_back({.name = "pi throttled", .source = std::make_unique<Throttled>(ask)});
  }
  const absl::StatusOr<std::string> answer = ask(kReadRails);
  if (answer.ok()) {
    const auto rails = ParsePmicAnswer(*answer);
    if (rails.ok()) {  // a Pi 4's firmware lacks this command
      found.push_back({.name = "pi pmic", .source = std::make_unique<Pmic>(ask, *rails, entries)});
    }
  }
  return found;
}

std::vector<std::pair<std::string, std::string>> FirmwareAnswers(const std::string& root) {
  std::vector<std::pair<std::string, std::string>> answers;
  for (const char* command : {kReadRails, kGetThrottled}) {
    const absl::StatusOr<std::string> answer = CallFor(root)(command);
    if (answer.ok()) {
      answers.emplace_back(command, *answer);
    }
  }
  return answers;
}

extern const SourceKind kPiFirmwareKind = {"pi_firmware", kPiFirmwareSettings, DiscoverThisPi};

}  // namespace wattle::telemetry
