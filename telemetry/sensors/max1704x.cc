// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/max1704x.h"

#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

constexpr Setting kMax1704xSettings[] = {
    {.name = "bus",
     .meaning = "number of the I2C bus, as in /dev/i2c-1",
     .required = true,
     .low = 0,
     .high = 255},
    {.name = "chip",
     .meaning = "which chip it is, for its voltage; absent: max17048",
     .choices = "max17040|max17041|max17043|max17044|max17048|max17049"},
    {.name = "capacity_wh", .meaning = "watt-hours of the full battery", .low = 0.1, .high = 1e6},
};

constexpr uint16_t kAddress = 0x36;
constexpr uint8_t kVoltage = 0x02;
constexpr uint8_t kChargeRegister = 0x04;
// The chip updates its percent about twice a minute and its voltage twice a second.
constexpr absl::Duration kMax1704xCadence = absl::Seconds(2);
// A chip that has just learned a battery may report a little more than 100 %.
constexpr double kPercentMax = 110;

absl::StatusOr<uint16_t> ReadOverI2c(int bus, uint8_t number) {
  const std::string path = absl::StrCat("/dev/i2c-", bus);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) {
    const std::string text = absl::StrCat(path, ": ", std::generic_category().message(errno));
    if (errno == EACCES || errno == EPERM) {
      return absl::PermissionDeniedError(
          absl::StrCat(text, "; add the worker's user to the group i2c (usermod -aG i2c USER)"));
    }
    return absl::NotFoundError(absl::StrCat(
        text, "; load i2c-dev and enable the bus (on a Raspberry Pi dtparam=i2c_arm=on)"));
  }
  std::array<uint8_t, 2> answer = {};
  std::array<i2c_msg, 2> messages = {};
  messages[0] = {.addr = kAddress, .flags = 0, .len = 1, .buf = &number};
  messages[1] = {.addr = kAddress,
                 .flags = I2C_M_RD,
                 .len = static_cast<uint16_t>(answer.size()),
                 .buf = answer.data()};
  i2c_rdwr_ioctl_data transfer = {.msgs = messages.data(),
                                  .nmsgs = static_cast<uint32_t>(messages.size())};
  const int result = ioctl(file, I2C_RDWR, &transfer);
  const int error = errno;
  close(file);
  if (result < 0) {
    return absl::UnavailableError(absl::StrFormat("%s: no chip answers at 0x%02x: %s", path,
                                                  kAddress,
                                                  std::generic_category().message(error)));
  }
  return static_cast<uint16_t>(answer[0] << 8 | answer[1]);
}

absl::StatusOr<uint16_t> ReadRecorded(const std::string& root, int bus, uint8_t number) {
  const std::string path = absl::StrFormat("%s/i2c/%d-%04x/%02x", root, bus, kAddress, number);
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  uint32_t value = 0;
  if (!absl::SimpleHexAtoi(text, &value) || value > 0xffff) {
    return absl::InternalError(absl::StrCat(path, ": \"", text, "\" is no register's value"));
  }
  return static_cast<uint16_t>(value);
}

// Volts of one step of VCELL after the shift, by the chips' data sheets; not verified on boards.
struct VoltageStep {
  int shift;
  double volts;
};

VoltageStep StepOf(const std::string& chip) {
  if (chip == "max17040" || chip == "max17043") {
    return {4, 1.25e-3};
  }
  if (chip == "max17041" || chip == "max17044") {  // two cells
    return {4, 2.5e-3};
  }
  return {0, 78.125e-6};
}

class Max1704x final : public Source {
 public:
  Max1704x(const SourceSettings& entry, ReadRegister read)
      : read_(std::move(read)), step_(StepOf(entry.Text("chip", "max17048"))) {
    if (entry.Has("capacity_wh")) {
      capacity_ = FromWattHours(entry.Number("capacity_wh", 0));
    }
    const std::string device = absl::StrFormat("%s-%04x", entry.Text("bus"), kAddress);
    info_ = {.name = absl::StrCat("max1704x ", device),
             .cadence = kMax1704xCadence,
             .gauge_error = Fraction(0.05),
             .gauge_rank = 15};
    info_.channels = {{.name = device,
                       .file = absl::StrCat("/dev/i2c-", entry.Text("bus")),
                       .metric = "wattle_battery_charge_ratio",
                       .help = "State of charge of one battery, 0 to 1.",
                       .gauge = true},
                      {.name = device,
                       .file = absl::StrCat("/dev/i2c-", entry.Text("bus")),
                       .metric = "wattle_battery_voltage_volts",
                       .help = "Voltage of one battery."}};
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    WATTLE_ASSIGN_OR_RETURN(const uint16_t voltage, read_(kVoltage));
    WATTLE_ASSIGN_OR_RETURN(const uint16_t charge, read_(kChargeRegister));
    const double volts = (voltage >> step_.shift) * step_.volts;
    const double percent = charge / 256.0;
    if (percent > kPercentMax) {
      return absl::InternalError(
          absl::StrFormat("%s: %.1f %% of charge; another chip, or nothing, is at this address",
                          info_.name, percent));
    }
    if (voltage == 0) {
      return absl::UnavailableError(absl::StrCat(info_.name, ": 0 V, no battery is there"));
    }
    return std::vector<Reading>{
        {0,
         ChargeState{.state_of_charge = Fraction(std::min(percent / 100, 1.0)),
                     .capacity = capacity_},
         now},
        {1, Level{volts}, now}};
  }

 private:
  ReadRegister read_;
  VoltageStep step_;
  std::optional<Joules> capacity_;
  SourceInfo info_;
};

// One source for each entry. Errors of Poll: kNotFound (no such bus), kPermissionDenied with the
// remedy, kUnavailable (no chip answers, or no battery), kInternal (values of another chip). In a
// recorded tree the registers are the files root/i2c/BUS-0036/NUMBER, both numbers hexadecimal.
std::vector<Candidate> DiscoverMax1704x(const std::string& root,
                                        const std::vector<SourceSettings>& entries) {
  std::vector<Candidate> found;
  for (const SourceSettings& entry : entries) {
    const int bus = static_cast<int>(entry.Number("bus", 0));
    ReadRegister read = [root, bus](uint8_t number) {
      return root.empty() ? ReadOverI2c(bus, number) : ReadRecorded(root, bus, number);
    };
    std::unique_ptr<Source> source = MakeMax1704x(entry, std::move(read));
    const std::string name = source->info().name;
    found.push_back({.name = name, .source = std::move(source)});
  }
  return found;
}

}  // namespace

std::unique_ptr<Source> MakeMax1704x(const SourceSettings& entry, ReadRegister read) {
  return std::make_unique<Max1704x>(entry, std::move(read));
}

extern const SourceKind kMax1704xKind = {"max1704x", kMax1704xSettings, DiscoverMax1704x};

}  // namespace wattle::telemetry
