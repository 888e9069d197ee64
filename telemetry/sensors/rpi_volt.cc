// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether a Raspberry Pi's supply is too weak, from the kernel's driver raspberrypi-hwmon, which
// every user may read; the firmware's own answer (pi_firmware.cc) requires the group video. The
// driver asks the firmware every two seconds for the dips since it asked before
// (drivers/hwmon/raspberrypi-hwmon.c), so one poll a second misses none.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

class RpiVolt final : public Source {
 public:
  explicit RpiVolt(const std::string& file) {
    info_.name = "rpi_volt";
    info_.channels = {{.name = "supply",
                       .file = file,
                       .metric = "wattle_under_voltage",
                       .help = "1 while the supply gives less than the board needs."},
                      {.name = "supply",
                       .file = file,
                       .metric = "wattle_under_voltage_events_total",
                       .help = "Times at which the supply became too weak."}};
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    WATTLE_ASSIGN_OR_RETURN(const int64_t alarm, ReadInteger(info_.channels[0].file));
    const bool low = alarm != 0;
    const bool was_low = std::exchange(was_low_, low);
    events_ += low && !was_low ? 1 : 0;
    return std::vector<Reading>{{0, UnderVoltage{low}, now},
                                {1, Tally{static_cast<double>(events_)}, now}};
  }

 private:
  SourceInfo info_;
  bool was_low_ = false;
  int64_t events_ = 0;
};

std::vector<Candidate> DiscoverRpiVolt(const std::string& root,
                                       const std::vector<SourceSettings>& /*entries*/) {
  std::vector<Candidate> found;
  const std::string hwmon = root + "/sys/class/hwmon";
  for (const std::string& entry : ListDirectory(hwmon)) {
    const std::string directory = absl::StrCat(hwmon, "/", entry);
    const std::string file = directory + "/in0_lcrit_alarm";
    if (ReadText(directory + "/name").value_or("") == "rpi_volt" &&
        !absl::IsNotFound(ReadText(file).status())) {
      found.push_back({.name = "rpi_volt", .source = std::make_unique<RpiVolt>(file)});
    }
  }
  return found;
}

}  // namespace

extern const SourceKind kRpiVoltKind = {"rpi_volt", {}, DiscoverRpiVolt};

}  // namespace wattle::telemetry
