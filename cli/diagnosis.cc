// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/diagnosis.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/labels.h"
#include "cli/profile_view.h"
#include "cli/table.h"
#include "cli/upgrade_view.h"

#include "scheduler/profiles/contradiction.h"
#include "scheduler/profiles/profile_table.h"
#include "units/format.h"

namespace wattle::cli {
namespace {

constexpr double kClockSecondsMax = 2.0;
constexpr int64_t kDiskBytesMin = int64_t{1} << 30;
constexpr double kDiskShareMin = 0.05;
constexpr int64_t kDeviceDiskBytesMin = int64_t{512} << 20;

class Doctor {
 public:
  explicit Doctor(const Facts& facts) : facts_(facts) {}

  std::vector<Finding> Diagnose() {
    Versions();
    Certificate();
    Restore();
    Upgrade();
    Clocks();
    Disks();
    Devices();
    Sensors();
    Isolation();
    Classes();
    Names();
    Policies();
    return std::move(findings_);
  }

 private:
  void Well(std::string what) { findings_.push_back({false, std::move(what), ""}); }
  void Trouble(std::string what, std::string remedy) {
    findings_.push_back({true, std::move(what), std::move(remedy)});
    ++troubles_;
  }
  // Runs `check`; if it finds no trouble, adds the finding that all is well.
  template <typename Check>
  void Look(const std::string& well, const Check& check) {
    const int before = troubles_;
    check();
    if (troubles_ == before) {
      Well(well);
    }
  }

  void Versions() {
    const std::string& version = facts_.coordinator.version();
    Look(absl::StrCat("coordinator ", version, " answers; all versions are alike"), [&] {
      if (version != facts_.version) {
        Trouble(absl::StrCat("the coordinator is version ", version, ", this wattle is ",
                             facts_.version),
                "install the same version on both");
      }
      for (const v1::Device& device : facts_.devices.devices()) {
        const std::string& worker = device.info().worker_version();
        if (!worker.empty() && worker != version) {
          Trouble(absl::StrCat(Name(device), ": its worker is version ", worker,
                               ", the coordinator is ", version),
                  "install the same version on both");
        }
      }
    });
  }

  // The coordinator's certificate. A board warns about its own certificate itself.
  void Certificate() {
    if (const std::string& problem = facts_.coordinator.certificate_problem(); !problem.empty()) {
      Trouble(Printable(problem), "");
    }
  }

  // The attempts that a restored journal lost.
  void Restore() {
    const v1::CoordinatorStatus& coordinator = facts_.coordinator;
    if (coordinator.epoch() == 0) {
      return;  // the journal was never restored
    }
    const std::string since = FormatInstant(coordinator.restored_unix_seconds());
    Look(absl::StrCat("the restore of ", since, " lost nothing that a device knows of"), [&] {
      for (const v1::RestoreFinding& finding : coordinator.restore_findings()) {
        if (!finding.recovered()) {
          // The coordinator's sentence contains the remedy, if there is one.
          Trouble(absl::StrCat("after the restore of ", since, ": ", Printable(finding.text())),
                  "");
        }
      }
      const int64_t older = coordinator.restore_findings_total() -
                            static_cast<int64_t>(coordinator.restore_findings_size());
      if (older > 0) {
        Trouble(absl::StrCat(older, " earlier findings of the restore are not shown"),
                "list all: wattle-coordinator restore --data-dir DIRECTORY --report");
      }
    });
  }

  // An upgrade that stopped by itself waits for a person, and only this check says so.
  void Upgrade() {
    if (facts_.upgrade && facts_.upgrade->state() == v1::UPGRADE_STATE_PAUSED) {
      Trouble(UpgradeStateWords(*facts_.upgrade),
              "each board's: wattle upgrade status; then wattle upgrade resume, or abort");
    }
  }

  void Clocks() {
    const bool told = AnyDevice([](const v1::Device& device) {
      return device.connected() && device.heartbeat().unix_seconds() > 0.0;
    });
    Look(told ? "clocks agree" : "this machine's clock agrees with the coordinator's", [&] {
      const double here = absl::ToDoubleSeconds(facts_.asked_at - absl::UnixEpoch());
      const double error = absl::ToDoubleSeconds(facts_.answered_within);
      const double offset = facts_.coordinator.unix_seconds() - here;
      if (std::abs(offset) > kClockSecondsMax + error) {
        Trouble(absl::StrFormat("the coordinator's clock is %.0f s %s this machine's",
                                std::abs(offset), offset > 0 ? "ahead of" : "behind"),
                "set both by NTP: timedatectl set-ntp true");
      }
      for (const v1::Device& device : facts_.devices.devices()) {
        const v1::ClockSource source = device.heartbeat().clock_source();
        if (source == v1::CLOCK_SOURCE_FLOOR || source == v1::CLOCK_SOURCE_UNKNOWN) {
          Trouble(absl::StrCat(Name(device), ": does not know the time, so work that a policy ",
                               "allows at some times of day waits"),
                  "set it by NTP: timedatectl set-ntp true");
          continue;
        }
        const double theirs = device.heartbeat().unix_seconds();
        const double behind = theirs - device.last_seen_unix_seconds();
        if (theirs > 0.0 && device.connected() && std::abs(behind) > kClockSecondsMax) {
          Trouble(absl::StrFormat("%s: its clock is %.0f s %s the coordinator's", Name(device),
                                  std::abs(behind), behind > 0 ? "ahead of" : "behind"),
                  "set it by NTP: timedatectl set-ntp true");
        }
      }
    });
  }

  void Disks() {
    const bool told = AnyDevice(
        [](const v1::Device& device) { return device.heartbeat().disk_free_bytes() > 0; });
    Look(told ? "disks have room" : "the coordinator's disk has room", [&] {
      const v1::CoordinatorStatus& coordinator = facts_.coordinator;
      const int64_t free = coordinator.data_free_bytes();
      const double share = static_cast<double>(free) /
                           static_cast<double>(std::max<int64_t>(coordinator.data_size_bytes(), 1));
      if (coordinator.has_data_space() && (free < kDiskBytesMin || share < kDiskShareMin)) {
        Trouble(absl::StrCat("the coordinator's disk has ", FormatBytes(free), " left"),
                "remove artifacts (wattle model ls, wattle model rm) or start it with "
                "--artifact-quota-gib");
      }
      for (const v1::Device& device : facts_.devices.devices()) {
        const int64_t left = device.heartbeat().disk_free_bytes();
        if (left > 0 && left < kDeviceDiskBytesMin) {
          Trouble(absl::StrCat(Name(device), ": its disk has ", FormatBytes(left), " left"),
                  "free some space, or start its worker with a smaller --disk-quota-bytes");
        }
      }
    });
  }

  // A board held by its owner, an operator or a policy is no fault, so it is only mentioned.
  [[nodiscard]] std::string DevicesAreWell() const {
    std::vector<std::string> held;
    for (const v1::Device& device : facts_.devices.devices()) {
      if (device.drained() || device.heartbeat().owner_hold_seconds() > 0.0 ||
          !device.heartbeat().guard_reason().empty()) {
        held.push_back(absl::StrCat(Name(device), " (", DeviceStateWord(device), ")"));
      }
    }
    return held.empty() ? "every device is heard of and can run jobs"
                        : absl::StrCat("every device is heard of; these run no jobs now: ",
                                       absl::StrJoin(held, ", "));
  }

  void Devices() {
    if (facts_.devices.devices().empty()) {
      Trouble("no device has registered", "start one: wattle-worker --coordinator HOST:PORT");
      return;
    }
    Look(DevicesAreWell(), [&] {
      const absl::Time now = Now();
      for (const v1::Device& device : facts_.devices.devices()) {
        if (!device.problem().empty()) {
          Trouble(Printable(device.problem()), "");
        } else if (!device.connected() && !device.heartbeat().power_off_reason().empty()) {
          Trouble(absl::StrCat(Name(device), " switched itself off: ",
                               Printable(device.heartbeat().power_off_reason())),
                  "charge its battery, and start it unless its supply does");
        } else if (!device.connected() || device.unreachable()) {
          Trouble(absl::StrCat(Name(device), " ", LastHeardWords(device, facts_.coordinator, now)),
                  absl::StrCat("look at its power, its link and its worker's log; if it left for "
                               "good: wattle device rm ",
                               Name(device)));
        } else if (!device.heartbeat().guard_warning().empty()) {
          Trouble(absl::StrCat(Name(device), ": ", Printable(device.heartbeat().guard_warning())),
                  "");
        } else if (device.info().engine_version().empty()) {
          Trouble(absl::StrCat(Name(device), " has no engine"),
                  "install wattle-runner beside its worker");
        }
      }
    });
  }

  void Sensors() {
    Look("no real device lacks a power sensor", [&] {
      for (const v1::Device& device : facts_.devices.devices()) {
        for (const std::string& finding : device.info().findings()) {
          Trouble(absl::StrCat(Name(device), ": ", Printable(finding)), "");
        }
        if (device.info().findings().empty() && !device.info().emulated() &&
            EvidenceWord(device.info().energy_source(), false) == "modelled") {
          Trouble(absl::StrCat(Name(device),
                               " has no power sensor that its worker can read: its "
                               "energy is modelled"),
                  "let the worker's user read the sensor (docs/operate), or add one");
        }
      }
    });
  }

  // A kernel without Landlock is no fault that a person could fix at once, so it is only mentioned.
  void Isolation() {
    std::vector<std::string> less;
    bool told = false;  // older workers do not report it
    for (const v1::Device& device : facts_.devices.devices()) {
      told = told || !device.info().isolation().empty();
      if (device.info().isolation() == "seccomp") {
        less.push_back(Name(device));
      }
    }
    if (!told) {
      return;
    }
    Look(less.empty()
             ? std::string("runners are in a sandbox (isolation full)")
             : absl::StrCat("runners are in a sandbox; without Landlock they can read their "
                            "worker's files (isolation seccomp): ",
                            absl::StrJoin(less, ", ")),
         [&] {
           for (const v1::Device& device : facts_.devices.devices()) {
             if (device.info().isolation() == "none") {
               Trouble(absl::StrCat(Name(device),
                                    ": a runner may do there all that its worker may (isolation "
                                    "none)"),
                       "start the worker without --isolation, or see docs/operate/security.md");
             }
           }
         });
  }

  // Boards whose rows contradict those of their class. Learning is shared by a class, so an odd
  // board spoils the predictions for all its boards.
  void Classes() {
    scheduler::ProfileTable rows;
    for (const v1::ProfileRow& row : facts_.profiles.rows()) {
      (void)rows.Put(row);  // an invalid row serves no prediction, so it contradicts none
    }
    if (rows.size() == 0) {
      return;
    }
    Look("no board's rows contradict its class", [&] {
      for (const scheduler::Contradiction& found : scheduler::FindContradictions(rows)) {
        Trouble(
            ContradictionWords(found),
            absl::StrCat("compare fan, power supply and power mode of both: wattle device show ",
                         NameOf(found.row.device_id())));
      }
    });
  }

  [[nodiscard]] std::string ContradictionWords(const scheduler::Contradiction& found) const {
    const bool time = found.quantity == scheduler::Quantity::kTime;
    const auto number = [&](const v1::ProfileRow& row) {
      return time ? UnitSeconds(row.seconds_per_unit().mean())
                  : UnitEnergy(row.energy_joules_per_unit().mean());
    };
    const bool more = found.ratio > 1;
    const double allowed = more ? found.allowed_ratio - 1 : 1 - 1 / found.allowed_ratio;
    const std::string mode = found.row.power_mode();
    const std::string drift = DriftWords(found.row, Now());
    return absl::StrCat(
        NameOf(found.row.device_id()), " contradicts its class ",
        Printable(DeviceClassWord(found.row.device_class(), found.row.emulated())), ": ",
        number(found.row), " for a ", UnitWord(found.row.unit()), " of ",
        Printable(WorkloadWords(found.row.signature())),
        mode.empty() ? "" : absl::StrCat(" in ", Printable(mode)), ", ",
        NameOf(found.other.device_id()), " ", number(found.other),
        absl::StrFormat(": %.0f %% %s, their runs allow %.0f %%", std::abs(found.ratio - 1) * 100,
                        more ? "more" : "less", allowed * 100),
        drift.empty() ? "" : absl::StrCat(" (", drift, ")"));
  }

  [[nodiscard]] std::string NameOf(const std::string& device_id) const {
    for (const v1::Device& device : facts_.devices.devices()) {
      if (device.info().device_id() == device_id) {
        return Name(device);
      }
    }
    return Printable(device_id.substr(0, 8));  // the device has left the fleet
  }

  [[nodiscard]] absl::Time Now() const {
    return absl::UnixEpoch() + absl::Seconds(facts_.coordinator.unix_seconds());
  }

  void Names() {
    Look("names are unique", [&] {
      std::map<std::string, std::vector<std::string>> ids;
      for (const v1::Device& device : facts_.devices.devices()) {
        ids[device.info().name()].push_back(device.info().device_id().substr(0, 8));
      }
      for (const auto& [name, list] : ids) {
        if (list.size() > 1) {
          Trouble(absl::StrCat(Printable(name), " is the name of ", list.size(), " devices (",
                               absl::StrJoin(list, ", "), ")"),
                  "start all but one of their workers with another --name");
        }
      }
    });
  }

  void Policies() {
    if (facts_.policies.selected_devices_size() != facts_.policies.policies_size()) {
      return;  // an older coordinator does not support the call
    }
    Look("every policy selects a device", [&] {
      for (int i = 0; i < facts_.policies.selected_devices_size(); ++i) {
        if (facts_.policies.selected_devices(i) == 0) {
          const std::string name = Printable(facts_.policies.policies(i).name());
          Trouble(absl::StrCat("policy ", name, " selects no device"),
                  absl::StrCat("start workers with its --label, or remove it: wattle policy rm ",
                               name));
        }
      }
    });
  }

  // Workers of older versions do not report everything; a check without any report yields no
  // finding.
  template <typename Told>
  [[nodiscard]] bool AnyDevice(const Told& told) const {
    return std::any_of(facts_.devices.devices().begin(), facts_.devices.devices().end(), told);
  }
  static std::string Name(const v1::Device& device) { return Printable(device.info().name()); }

  const Facts& facts_;
  std::vector<Finding> findings_;
  int troubles_ = 0;
};

}  // namespace

std::vector<Finding> Diagnose(const Facts& facts) {
  return Doctor(facts).Diagnose();
}

std::string RenderDiagnosis(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& finding : findings) {
    absl::StrAppend(&out, finding.trouble ? "!!  " : "ok  ", finding.what,
                    finding.remedy.empty() ? "" : "; ", finding.remedy, "\n");
  }
  return out;
}

}  // namespace wattle::cli
