// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The operating system's figures besides power: load and frequency of processor and GPU, memory,
// pressure (PSI), bytes of disks and networks. Only metrics use them; no decision does. Figures
// that a kernel does not have are left out. Formats: the kernel's filesystems/proc.rst,
// accounting/psi.rst and admin-guide/iostats.rst.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "telemetry/sensors/pressure.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

constexpr absl::Duration kHostCadence = absl::Seconds(2);
constexpr int kSectorBytes = 512;  // of /proc/diskstats, independent of the disk's own sectors

// The file's lines; empty if the file is absent. Files below /proc may be longer than a page.
std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> WordsOf(const std::string& line) {
  return absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

std::optional<double> ToNumber(absl::string_view text) {
  double number = 0;
  return absl::SimpleAtod(text, &number) ? std::optional(number) : std::nullopt;
}

// Reads a value from a file or from one field of a line.
using Read = std::function<std::optional<double>()>;

Read ScaledFile(const std::string& path, double scale) {
  return [path, scale]() -> std::optional<double> {
    const absl::StatusOr<int64_t> value = ReadInteger(path);
    return value.ok() ? std::optional(static_cast<double>(*value) * scale) : std::nullopt;
  };
}

// The number in field `field` of the line whose field `key_field` is `key`.
Read FieldOfLine(const std::string& path, size_t key_field, const std::string& key, size_t field,
                 double scale) {
  return [=]() -> std::optional<double> {
    for (const std::string& line : LinesOf(path)) {
      const std::vector<std::string> words = WordsOf(line);
      if (words.size() > std::max(key_field, field) && words[key_field] == key) {
        const auto number = ToNumber(words[field]);
        return number ? std::optional(*number * scale) : std::nullopt;
      }
    }
    return std::nullopt;
  };
}

Read StalledSeconds(const std::string& root, const std::string& resource, const std::string& kind) {
  return [=]() -> std::optional<double> {
    const std::optional<absl::Duration> stalled = StalledTime(root, resource, kind);
    return stalled ? std::optional(absl::ToDoubleSeconds(*stalled)) : std::nullopt;
  };
}

// Share of processor time that was not idle since the last call; nullopt at the first call.
Read BusyRatio(const std::string& path) {
  struct Times {
    double idle = 0;
    double all = 0;
  };
  return [path, before = std::make_shared<std::optional<Times>>()]() -> std::optional<double> {
    const std::vector<std::string> lines = LinesOf(path);
    const std::vector<std::string> words =
        lines.empty() ? std::vector<std::string>() : WordsOf(lines[0]);
    if (words.size() < 6 || words[0] != "cpu") {
      return std::nullopt;
    }
    Times now;
    // user nice system idle iowait irq softirq steal; the guest times after them are in user.
    for (size_t i = 1; i < std::min<size_t>(words.size(), 9); ++i) {
      const double ticks = ToNumber(words[i]).value_or(0);
      now.all += ticks;
      now.idle += i == 4 || i == 5 ? ticks : 0;
    }
    const std::optional<Times> last = std::exchange(*before, now);
    if (!last || now.all <= last->all) {
      return std::nullopt;
    }
    const double idle = (now.idle - last->idle) / (now.all - last->all);
    return std::clamp(1 - idle, 0.0, 1.0);
  };
}

class Host final : public Source {
 public:
  Host() {
    info_.name = "host";
    info_.cadence = kHostCadence;
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  // Adds a channel if it has a value now, or with `needed` also if the value comes later.
  void Add(Channel channel, bool tally, Read read, bool needed = false) {
    if (needed || read()) {
      info_.channels.push_back(std::move(channel));
      items_.push_back({std::move(read), tally});
    }
  }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> readings;
    for (size_t i = 0; i < items_.size(); ++i) {
      if (const std::optional<double> number = items_[i].read()) {
        readings.push_back(
            {i, items_[i].tally ? Value(Tally{*number}) : Value(Level{*number}), now});
      }
    }
    if (readings.empty()) {
      return absl::UnavailableError("/proc and /sys tell nothing of this machine now");
    }
    return readings;
  }

 private:
  struct Item {
    Read read;
    bool tally;
  };
  std::vector<Item> items_;  // one for each channel
  SourceInfo info_;
};

void AddProcessor(const std::string& root, Host& host) {
  const std::string stat = root + "/proc/stat";
  if (!LinesOf(stat).empty()) {
    host.Add({.name = "all",
              .file = stat,
              .metric = "wattle_cpu_busy_ratio",
              .help = "Share of the processors' time that was not idle, 0 to 1."},
             false, BusyRatio(stat), /*needed=*/true);
  }
  const std::string policies = root + "/sys/devices/system/cpu/cpufreq";
  for (const std::string& policy : ListDirectory(policies)) {
    const std::string path = absl::StrCat(policies, "/", policy, "/scaling_cur_freq");
    host.Add({.name = policy,
              .file = path,
              .metric = "wattle_cpu_frequency_hertz",
              .help = "Frequency of a group of processor cores."},
             false, ScaledFile(path, 1e3));
  }
}

// The integrated GPU of a Jetson is a devfreq device.
void AddGpu(const std::string& root, Host& host) {
  static constexpr const char* kGpus[] = {"gpu", "gp10b", "gv11b", "ga10b", "gb10b"};
  const std::string devices = root + "/sys/class/devfreq";
  for (const std::string& device : ListDirectory(devices)) {
    const std::string directory = absl::StrCat(devices, "/", device);
    const std::string node = ReadText(directory + "/device/of_node/name").value_or("");
    const std::string suffix = device.substr(device.rfind('.') + 1);
    const bool gpu = std::any_of(std::begin(kGpus), std::end(kGpus),
                                 [&](const char* name) { return node == name || suffix == name; });
    if (!gpu) {
      continue;
    }
    host.Add({.name = device,
              .file = directory + "/cur_freq",
              .metric = "wattle_gpu_frequency_hertz",
              .help = "Frequency of a GPU."},
             false, ScaledFile(directory + "/cur_freq", 1));
    host.Add({.name = device,
              .file = directory + "/device/load",
              .metric = "wattle_gpu_busy_ratio",
              .help = "Share of the last period in which a GPU ran a kernel, 0 to 1."},
             false, ScaledFile(directory + "/device/load", 1e-3));
  }
}

void AddMemory(const std::string& root, Host& host) {
  const std::string meminfo = root + "/proc/meminfo";
  for (const auto& [key, metric, help] :
       {std::tuple("MemTotal:", "wattle_memory_total_bytes", "Memory of the machine."),
        std::tuple("MemAvailable:", "wattle_memory_available_bytes",
                   "Memory that programs can still take."),
        std::tuple("NvMapMemUsed:", "wattle_memory_nvmap_bytes",
                   "Memory that a Jetson's GPU holds.")}) {
    host.Add({.name = "machine", .file = meminfo, .metric = metric, .help = help}, false,
             FieldOfLine(meminfo, 0, key, 1, 1024));
  }
  for (const char* resource : {"cpu", "memory", "io"}) {
    const std::string path = absl::StrCat(root, "/proc/pressure/", resource);
    for (const char* kind : {"some", "full"}) {
      host.Add({.name = absl::StrCat(resource, " ", kind),
                .file = path,
                .metric = "wattle_pressure_stalled_seconds_total",
                .help = "Time in which some or all tasks waited for a resource."},
               true, StalledSeconds(root, resource, kind));
    }
  }
}

void AddDisks(const std::string& root, Host& host) {
  const std::string stats = root + "/proc/diskstats";
  for (const std::string& disk : ListDirectory(root + "/sys/block")) {  // without partitions
    if (absl::StartsWith(disk, "loop") || absl::StartsWith(disk, "ram") ||
        absl::StartsWith(disk, "zram")) {
      continue;
    }
    host.Add({.name = disk,
              .file = stats,
              .metric = "wattle_disk_read_bytes_total",
              .help = "Bytes read from a disk."},
             true, FieldOfLine(stats, 2, disk, 5, kSectorBytes));
    host.Add({.name = disk,
              .file = stats,
              .metric = "wattle_disk_written_bytes_total",
              .help = "Bytes written to a disk."},
             true, FieldOfLine(stats, 2, disk, 9, kSectorBytes));
  }
}

void AddNetworks(const std::string& root, Host& host) {
  const std::string networks = root + "/sys/class/net";
  for (const std::string& network : ListDirectory(networks)) {
    if (network == "lo" || absl::StartsWith(network, "veth")) {
      continue;
    }
    const std::string directory = absl::StrCat(networks, "/", network, "/statistics");
    host.Add({.name = network,
              .file = directory + "/rx_bytes",
              .metric = "wattle_network_receive_bytes_total",
              .help = "Bytes that came in over a network interface."},
             true, ScaledFile(directory + "/rx_bytes", 1));
    host.Add({.name = network,
              .file = directory + "/tx_bytes",
              .metric = "wattle_network_transmit_bytes_total",
              .help = "Bytes that went out over a network interface."},
             true, ScaledFile(directory + "/tx_bytes", 1));
  }
}

// One source; none if the tree has none of these files.
std::vector<Candidate> DiscoverHost(const std::string& root,
                                    const std::vector<SourceSettings>& /*entries*/) {
  auto host = std::make_unique<Host>();
  AddProcessor(root, *host);
  AddGpu(root, *host);
  AddMemory(root, *host);
  AddDisks(root, *host);
  AddNetworks(root, *host);
  std::vector<Candidate> found;
  if (!host->info().channels.empty()) {
    found.push_back({.name = "host", .source = std::move(host)});
  }
  return found;
}

}  // namespace

extern const SourceKind kHostKind = {"host", {}, DiscoverHost};

}  // namespace wattle::telemetry
