// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/board_probe.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "base/file.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::agent {
namespace {

// Module numbers in `compatible`, the most specific entry first; then only the chip.
constexpr std::array<std::pair<absl::string_view, absl::string_view>, 16> kClasses = {{
    {"p3448-0003", "jetson-nano-2gb"},
    {"p3448", "jetson-nano"},
    {"jetson-nano", "jetson-nano"},
    {"p3310", "jetson-tx2"},
    {"p3668", "jetson-xavier-nx"},
    {"p2888", "jetson-agx-xavier"},
    {"p3701", "jetson-agx-orin"},
    {"p3767-0000", "jetson-orin-nx"},
    {"p3767-0001", "jetson-orin-nx"},
    {"p3767-0003", "jetson-orin-nano"},
    {"p3767-0004", "jetson-orin-nano"},
    {"p3767-0005", "jetson-orin-nano"},
    {"raspberrypi,5", "raspberry-pi-5"},
    {"raspberrypi,500", "raspberry-pi-5"},
    {"raspberrypi,4", "raspberry-pi-4"},
    {"nvidia,p3450", "jetson-nano"},
}};

// The second path is for Docker, whose containers hide the first; deploy/jetson/run mounts it
// there.
constexpr std::array<absl::string_view, 2> kDeviceTrees = {"/proc/device-tree", "/run/device-tree"};

// If a driver is loaded, one of these exists: desktop and server cards, then Jetson boards.
constexpr std::array<absl::string_view, 3> kNvidiaDevices = {"/dev/nvidia0", "/dev/nvhost-gpu",
                                                             "/dev/nvgpu"};

std::string ClassOf(const std::vector<std::string>& compatible) {
  for (const std::string& entry : compatible) {
    for (const auto& [part, device_class] : kClasses) {
      if (absl::StrContains(entry, part)) {
        return std::string(device_class);
      }
    }
  }
  return "";
}

}  // namespace

BoardIdentity ProbeBoard(const std::string& root) {
  BoardIdentity identity;
  utsname name = {};
  if (uname(&name) == 0) {
    identity.architecture = name.machine;
  }
  identity.memory_bytes = ReadKibibyteLine(root + "/proc/meminfo", "MemTotal").value_or(0);
  identity.board = telemetry::ReadText(root + "/sys/class/dmi/id/product_name").value_or("");
  for (const absl::string_view tree : kDeviceTrees) {
    const auto compatible = ReadWholeFile(absl::StrCat(root, tree, "/compatible"));
    if (compatible.ok()) {
      identity.device_class = ClassOf(absl::StrSplit(*compatible, '\0', absl::SkipEmpty()));
      identity.board = telemetry::ReadText(absl::StrCat(root, tree, "/model")).value_or("");
      break;
    }
  }
  if (identity.device_class.empty()) {
    identity.device_class = absl::StrCat(
        "generic-", identity.architecture == "x86_64" ? "x86-64" : identity.architecture);
  }
  return identity;
}

int64_t MemoryAvailableBytes(const std::string& root) {
  return ReadKibibyteLine(root + "/proc/meminfo", "MemAvailable").value_or(0);
}

std::string BootId(const std::string& root) {
  return telemetry::ReadText(root + "/proc/sys/kernel/random/boot_id").value_or("");
}

std::string NvidiaDriverProblem(const std::string& root) {
  const bool found =
      std::any_of(kNvidiaDevices.begin(), kNvidiaDevices.end(), [&root](absl::string_view device) {
        return access(absl::StrCat(root, device).c_str(), F_OK) == 0;
      });
  return found ? ""
               : absl::StrCat("this machine has no NVIDIA driver (none of ",
                              absl::StrJoin(kNvidiaDevices, ", "),
                              "); install or load it, or start with --device cpu");
}

}  // namespace wattle::agent
