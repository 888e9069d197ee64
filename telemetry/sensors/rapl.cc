// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Energy counters of x86 processors (powercap's intel-rapl, which AMD's driver also uses): packages
// plus their dram zones. core and uncore are parts of the package and are not added; the -mmio copy
// of a package does not count again. The source passes the counters on unchanged, with the value at
// which they wrap.
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

// The largest power of a server's package with its memory.
constexpr Watts kZoneMax(1000);

struct Zone {
  std::string name{};
  std::string energy_path{};
  Joules modulus{};  // 0: unknown
};

class Rapl final : public Source {
 public:
  explicit Rapl(std::vector<Zone> zones) : zones_(std::move(zones)) {
    info_ = {.name = "rapl",
             // The counter changes every millisecond; two reads a second are enough.
             .cadence = absl::Milliseconds(500),
             .energy_source = v1::ENERGY_SOURCE_RAPL,
             .scope = "soc_rails",
             .rank = 50,
             .averages = true,
             .plausible_max = kZoneMax * static_cast<double>(zones_.size()),
             .error_ratio = 0.05};
    for (const Zone& zone : zones_) {
      info_.channels.push_back({.name = zone.name,
                                .file = zone.energy_path,
                                .metric = "wattle_rapl_energy_joules_total",
                                .help = "Energy counter of a processor zone, as the kernel has it; "
                                        "it wraps.",
                                .in_total = true});
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> readings;
    for (size_t i = 0; i < zones_.size(); ++i) {
      WATTLE_ASSIGN_OR_RETURN(const int64_t microjoules, ReadInteger(zones_[i].energy_path));
      readings.push_back(
          {i, EnergyCount{Joules(static_cast<double>(microjoules) * 1e-6), zones_[i].modulus},
           now});
    }
    return readings;
  }

 private:
  SourceInfo info_;
  std::vector<Zone> zones_;
};

absl::StatusOr<Zone> OpenZone(const std::string& directory, const std::string& name) {
  Zone zone = {.name = name, .energy_path = directory + "/energy_uj"};
  const absl::Status readable = ReadInteger(zone.energy_path).status();
  if (absl::IsPermissionDenied(readable)) {
    return absl::PermissionDeniedError(
        absl::StrCat(zone.energy_path,
                     ": only root may read it; run the worker as root or make it readable "
                     "(chmod a+r, a udev rule makes that last)"));
  }
  WATTLE_RETURN_IF_ERROR(readable);
  const absl::StatusOr<int64_t> range = ReadInteger(directory + "/max_energy_range_uj");
  zone.modulus = Joules(range.ok() ? static_cast<double>(*range) * 1e-6 : 0.0);
  return zone;
}

absl::StatusOr<std::vector<Zone>> FindZones(const std::string& root) {
  const std::string powercap = root + "/sys/class/powercap";
  std::vector<Zone> zones;
  std::set<std::string> packages;
  for (const std::string& entry : ListDirectory(powercap)) {
    // "intel-rapl:0" is a package, "intel-rapl:0:1" a zone inside it; "intel-rapl-mmio:0" repeats a
    // package.
    if (!absl::StartsWith(entry, "intel-rapl:")) {
      continue;
    }
    const std::string directory = absl::StrCat(powercap, "/", entry);
    const std::string name = ReadText(directory + "/name").value_or("");
    const bool package = absl::StartsWith(name, "package-") && packages.insert(name).second;
    if (package || name == "dram") {
      const std::string label = package ? name : absl::StrCat(name, " ", entry);
      WATTLE_ASSIGN_OR_RETURN(Zone zone, OpenZone(directory, label));
      zones.push_back(std::move(zone));
    }
  }
  return zones;
}

// One candidate on a machine with RAPL. The candidate is a problem with its remedy if only root may
// read energy_uj (kernels since 5.10).
std::vector<Candidate> DiscoverRapl(const std::string& root,
                                    const std::vector<SourceSettings>& /*entries*/) {
  std::vector<Candidate> found;
  absl::StatusOr<std::vector<Zone>> zones = FindZones(root);
  if (!zones.ok()) {
    found.push_back({.name = "rapl", .problem = zones.status()});
  } else if (!zones->empty()) {
    found.push_back({.name = "rapl", .source = std::make_unique<Rapl>(*std::move(zones))});
  }
  return found;
}

}  // namespace

extern const SourceKind kRaplKind = {"rapl", {}, DiscoverRapl};

}  // namespace wattle::telemetry
