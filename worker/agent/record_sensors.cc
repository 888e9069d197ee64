// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "telemetry/sensors/pi_firmware.h"
#include "telemetry/sensors/sysfs.h"
#include "worker/agent/probe.h"
#include "worker/power/power_modes.h"

namespace wattle::agent {
namespace {

namespace fs = std::filesystem;

// Directories of devices; each device is a directory of attributes.
constexpr const char* kClasses[] = {"/sys/class/hwmon", "/sys/class/power_supply",
                                    "/sys/class/thermal", "/sys/class/powercap"};
constexpr char kDevfreq[] = "/sys/class/devfreq";
constexpr char kIioDriver[] = "/sys/bus/i2c/drivers/ina3221x";
constexpr const char* kFiles[] = {"/proc/device-tree/compatible",
                                  "/proc/device-tree/model",
                                  "/run/device-tree/compatible",
                                  "/run/device-tree/model",
                                  "/proc/meminfo",
                                  "/proc/stat",
                                  "/proc/diskstats",
                                  "/proc/pressure/cpu",
                                  "/proc/pressure/memory",
                                  "/proc/pressure/io",
                                  "/sys/devices/system/cpu/online",
                                  "/etc/nvpmodel.conf",
                                  "/etc/nv_tegra_release",
                                  "/var/lib/nvpmodel/status"};
// uevent also has the serial number.
constexpr const char* kPrivate[] = {"serial_number", "uevent"};
// Limit of a file; the longest one is nvpmodel.conf.
constexpr size_t kBytesMax = size_t{1} << 16;
constexpr int64_t kExamBytesMax = int64_t{1} << 20;

void AddAttributes(const std::string& root, const std::string& path,
                   std::vector<std::string>* files) {
  for (const std::string& name : telemetry::ListDirectory(root + path)) {
    if (std::find(std::begin(kPrivate), std::end(kPrivate), name) == std::end(kPrivate)) {
      files->push_back(absl::StrCat(path, "/", name));
    }
  }
}

// Frequencies, networks and disks: single files, because their other attributes contain addresses
// and serial numbers.
void AddHost(const std::string& root, std::vector<std::string>* files) {
  const std::string cpus = "/sys/devices/system/cpu";
  for (const std::string& entry : telemetry::ListDirectory(root + cpus)) {
    files->push_back(absl::StrCat(cpus, "/", entry, "/online"));
    AddAttributes(root, absl::StrCat(cpus, "/", entry, "/cpufreq"), files);
  }
  for (const std::string& policy : telemetry::ListDirectory(root + cpus + "/cpufreq")) {
    AddAttributes(root, absl::StrCat(cpus, "/cpufreq/", policy), files);
  }
  for (const std::string& network : telemetry::ListDirectory(root + "/sys/class/net")) {
    for (const char* counter : {"rx_bytes", "tx_bytes"}) {
      files->push_back(absl::StrCat("/sys/class/net/", network, "/statistics/", counter));
    }
  }
  for (const std::string& disk : telemetry::ListDirectory(root + "/sys/block")) {
    files->push_back(absl::StrCat("/sys/block/", disk, "/size"));
  }
}

// A GPU's load and name are in the folder of its device, which is a link that leads out of this
// one.
void AddDevfreq(const std::string& root, std::vector<std::string>* files) {
  for (const std::string& entry : telemetry::ListDirectory(root + kDevfreq)) {
    const std::string path = absl::StrCat(kDevfreq, "/", entry);
    for (const std::string& name : telemetry::ListDirectory(root + path)) {
      if (name != "device" && name != "uevent") {
        files->push_back(absl::StrCat(path, "/", name));
      }
    }
    for (const char* name : {"/device/load", "/device/of_node/name"}) {
      files->push_back(path + name);
    }
  }
}

// The files that the board's power modes write, and the files with the highest values beside them.
void AddPowerModeFiles(const std::string& root, std::vector<std::string>* files) {
  for (const PowerModeRow& mode : NvpmodelModes(root)) {
    for (const PowerSetting& setting : mode.settings) {
      for (const std::string& path : setting.paths) {
        if (absl::StartsWith(path, "/sys/") && !absl::StrContains(path, "..")) {
          files->push_back(path);
          files->push_back(absl::StrCat(path.substr(0, path.rfind('/')), "/available_frequencies"));
        }
      }
    }
  }
}

std::vector<std::string> FilesOf(const std::string& root) {
  std::vector<std::string> files(std::begin(kFiles), std::end(kFiles));
  for (const char* folder : kClasses) {
    for (const std::string& entry : telemetry::ListDirectory(root + folder)) {
      AddAttributes(root, absl::StrCat(folder, "/", entry), &files);
    }
  }
  for (const std::string& device : telemetry::ListDirectory(root + kIioDriver)) {
    const std::string path = absl::StrCat(kIioDriver, "/", device);
    for (const std::string& entry : telemetry::ListDirectory(root + path)) {
      AddAttributes(root, absl::StrCat(path, "/", entry), &files);
    }
  }
  AddDevfreq(root, &files);
  AddHost(root, &files);
  AddPowerModeFiles(root, &files);
  return files;
}

absl::Status WriteCopy(const std::string& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RecordSensors(const std::string& root, const std::string& directory) {
  std::error_code error;
  if (fs::exists(directory, error) && !fs::is_empty(directory, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": is not an empty directory; name a new one"));
  }
  if (fs::create_directories(directory, error); error) {
    return absl::UnavailableError(absl::StrCat(directory, ": ", error.message()));
  }
  for (const std::string& file : FilesOf(root)) {
    // A chip's I2C device is named by the last part of the link `device`.
    if (fs::path(file).filename() == "device") {
      const fs::path target = fs::read_symlink(root + file, error);
      if (!error) {
        fs::create_directories(fs::path(directory + file).parent_path(), error);
        fs::create_symlink(target, directory + file, error);
      }
      continue;
    }
    // An attribute may be write-only or a directory; unreadable ones are not needed.
    if (!fs::is_regular_file(root + file, error)) {
      continue;
    }
    std::ifstream in(root + file, std::ios::binary);
    std::string text(kBytesMax, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(std::max<std::streamsize>(in.gcount(), 0)));
    if (!text.empty()) {
      WATTLE_RETURN_IF_ERROR(WriteCopy(directory + file, text));
    }
  }
  for (const auto& [command, answer] : telemetry::FirmwareAnswers(root)) {
    WATTLE_RETURN_IF_ERROR(WriteCopy(absl::StrCat(directory, "/vcgencmd/", command), answer));
  }
  return absl::OkStatus();
}

absl::Status RecordExam(const std::string& exam, const std::string& directory) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(exam, kExamBytesMax));
  google::protobuf::Struct figures;
  if (!google::protobuf::util::JsonStringToMessage(text, &figures).ok() ||
      figures.fields().count("figures") == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(exam, ": is no exam; name the gpu-exam.json of ./dev gpu-exam"));
  }
  return WriteCopy(directory + "/gpu-exam.json", text);
}

}  // namespace wattle::agent
