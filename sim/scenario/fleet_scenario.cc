// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/fleet_scenario.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <yaml-cpp/yaml.h>

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "formats/yaml_node.h"
#include "policy/selector.h"
#include "scheduler/predict/imported_rows.h"
#include "scheduler/profiles/exported_rows.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/scenario/board_class.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {
namespace {

using formats::MessageText;
using formats::ScalarText;

constexpr double kBytesPerMegabitOfLink = 125'000.0;
// If neither the board nor its class has a value.
constexpr double kIdleWattsAssumed = 5.0;
constexpr double kGaugeErrorMax = 0.2;  // The limit for a scenario's boards.
constexpr const char* kOfFleet[] = {"fleet", "fleet_policies", "profiles"};
// Labels that a device sets itself; the simulation's boards get their own.
constexpr const char* kOwnLabels[] = {"device", "class", "isolation"};

bool IsKnownClass(const std::string& name) {
  const auto classes = BoardClasses();
  return std::any_of(classes.begin(), classes.end(),
                     [&](const BoardClass& one) { return one.name == name; });
}

double GaugeErrorOf(const v1::Device& device) {
  return device.heartbeat().gauge_error_ratio() > 0.0 ? device.heartbeat().gauge_error_ratio()
                                                      : device.info().gauge_error_ratio();
}

// The lines of one board's entry, and its assumed values.
class BoardText {
 public:
  // gauge: the board that measures the pack; itself, or another one on a shared pack.
  BoardText(const v1::Device& device, const v1::Device& gauge)
      : device_(device), gauge_(gauge), info_(device.info()) {}

  std::string Write() {
    const std::string name = ScalarText(info_.name());
    Add("name", name);
    Add("class", ScalarText(info_.device_class()));
    Add("boards", absl::StrCat("[", name, "]"));
    AddProcessor();
    AddPack();
    AddLink();
    std::vector<std::string> labels;
    for (const v1::Label& label : info_.labels()) {
      if (std::find(std::begin(kOwnLabels), std::end(kOwnLabels), label.key()) ==
          std::end(kOwnLabels)) {
        labels.push_back(ScalarText(
            label.value().empty() ? label.key() : absl::StrCat(label.key(), "=", label.value())));
      }
    }
    if (!labels.empty()) {
      Add("labels", absl::StrCat("[", absl::StrJoin(labels, ", "), "]"));
    }
    return absl::StrCat("  - {", absl::StrJoin(parts_, ", "), "}\n");
  }

  [[nodiscard]] bool idle_assumed() const { return idle_assumed_; }
  [[nodiscard]] bool pack_unknown() const { return pack_unknown_; }
  [[nodiscard]] bool link_assumed() const { return link_assumed_; }
  [[nodiscard]] bool has_pack() const { return has_pack_; }

 private:
  void Add(const char* field, const std::string& value) {
    parts_.push_back(absl::StrCat(field, ": ", value));
  }

  void AddProcessor() {
    const double idle = device_.heartbeat().idle_power_watts() > 0.0
                            ? device_.heartbeat().idle_power_watts()
                            : info_.idle_power_watts();
    idle_assumed_ = !(idle > 0.0);
    if (idle > 0.0 || !IsKnownClass(info_.device_class())) {
      Add("idle_watts", ScalarText(idle > 0.0 ? idle : kIdleWattsAssumed));
    }
    Add("memory_bytes", absl::StrCat(info_.memory_bytes()));
    Add("cores", absl::StrCat(std::max(1, info_.cores())));
    if (!info_.accelerator().empty()) {
      Add("accelerator", ScalarText(info_.accelerator()));
    }
    if (info_.accelerator_total_bytes() > 0 && !info_.accelerator_shares_memory()) {
      Add("card_bytes", absl::StrCat(info_.accelerator_total_bytes()));
    }
    if (info_.throughput_flops_datasheet() > 0.0) {
      Add("flops_per_second", ScalarText(info_.throughput_flops_datasheet()));
    }
    if (!info_.power_mode().empty()) {
      Add("power_mode", ScalarText(info_.power_mode()));
    }
  }

  void AddPack() {
    const double capacity_wh = gauge_.info().battery_capacity_wh();
    pack_unknown_ = gauge_.info().has_battery_gauge() && capacity_wh < 1.0;
    has_pack_ = capacity_wh >= 1.0;
    if (!has_pack_) {
      return;
    }
    Add("pack_wh", ScalarText(capacity_wh));
    if (gauge_.heartbeat().has_battery()) {
      Add("charge", ScalarText(std::clamp(gauge_.heartbeat().state_of_charge_ratio(), 0.0, 1.0)));
    }
    Add("gauge_error",
        ScalarText(std::clamp(GaugeErrorOf(info_.has_battery_gauge() ? device_ : gauge_), 0.0,
                              kGaugeErrorMax)));
    Add("panel_watts", "0");
  }

  void AddLink() {
    const double measured = device_.heartbeat().link().download_bytes_per_second();
    const double bytes = measured > 0.0 ? measured : info_.link_bytes_per_second();
    link_assumed_ = !(bytes > 0.0);
    if (bytes > 0.0) {
      Add("link_mbit", ScalarText(std::clamp(bytes / kBytesPerMegabitOfLink, 0.01, 1e5)));
    }
  }

  const v1::Device& device_;
  const v1::Device& gauge_;
  const v1::DeviceInfo& info_;
  std::vector<std::string> parts_;
  bool idle_assumed_ = false;
  bool pack_unknown_ = false;
  bool link_assumed_ = false;
  bool has_pack_ = false;
};

// The boards whose field no change sets: "mast-1.link_mbit=5" applies to one, "link_mbit=5" to all.
std::vector<std::string> NotSet(std::vector<std::string> boards,
                                const std::vector<std::string>& set, absl::string_view field) {
  // Without a board's name, these fields apply to every board that lacks them.
  const bool of_all = field == "panel_watts" || field == "link_mbit";
  const auto is_set = [&](const std::string& board) {
    return std::any_of(set.begin(), set.end(), [&](const std::string& change) {
      return absl::StartsWith(change, absl::StrCat(board, ".", field, "=")) ||
             (of_all && absl::StartsWith(change, absl::StrCat(field, "=")));
    });
  };
  boards.erase(std::remove_if(boards.begin(), boards.end(), is_set), boards.end());
  return boards;
}

class FleetWriter {
 public:
  FleetWriter(const FleetTold& told, const std::vector<std::string>& set)
      : told_(told), set_(set) {}

  // has: the fields of the rest of the file.
  absl::StatusOr<FleetScenario> Write(absl::string_view rest, const std::set<std::string>& has) {
    FleetScenario written;
    const std::string fleet = Fleet();
    const std::string policies = Policies();
    const std::string rows = Rows();
    if (fleet.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "no board that can work: ", absl::StrJoin(left_out_, ", "), "; see wattle devices"));
    }
    const auto section = [](const char* name, const std::string& lines) {
      return lines.empty() ? "" : absl::StrCat(name, ":\n", lines);
    };
    written.assumed = Assumed(set_);
    written.text =
        absl::StrCat(rest, rest.empty() || absl::EndsWith(rest, "\n") ? "" : "\n",
                     "# The fleet as its coordinator told it. Assumed: ", Assumed({}), ".\n",
                     has.count("name") > 0 ? "" : "name: fleet\n",
                     has.count("duration") > 0 ? "" : "duration: 1d\n", section("fleet", fleet),
                     section("fleet_policies", policies), section("profiles", rows),
                     has.count("models") > 0 ? "" : section("models", Models()),
                     has.count("data") > 0 ? "" : section("data", DataSets()));
    return written;
  }

 private:
  static std::string WhyLeftOut(const v1::Device& device) {
    return device.drained()                    ? "drained"
           : !device.connected()               ? "not connected"
           : device.waits_for_approval()       ? "not approved"
           : device.info().memory_bytes() <= 0 ? "of unknown memory"
                                               : "";
  }

  std::string Fleet() {
    std::string text;
    for (const v1::Device& device : told_.devices) {
      if (const std::string why = WhyLeftOut(device); !why.empty()) {
        left_out_.push_back(absl::StrCat(device.info().name(), " is ", why));
        continue;
      }
      boards_.push_back(&device);
      emulated_ = emulated_ || device.info().emulated();
    }
    for (const v1::Device* device : boards_) {
      BoardText board(*device, GaugeOf(*device));
      absl::StrAppend(&text, board.Write());
      const std::string& name = device->info().name();
      for (const auto& [is_so, names] : {std::pair(board.idle_assumed(), &without_idle_),
                                         {board.pack_unknown(), &without_pack_},
                                         {board.link_assumed(), &without_link_},
                                         {board.has_pack(), &with_pack_}}) {
        if (is_so) {
          names->push_back(name);
        }
      }
    }
    return text;
  }

  // The board that measures this board's pack: on a shared pack the one with the best gauge, as in
  // plans.
  const v1::Device& GaugeOf(const v1::Device& device) {
    for (const v1::Policy& policy : told_.policies) {
      if (!policy.power_group().shared_pack() || !policy::Selects(policy, device.info())) {
        continue;
      }
      const std::string& group = policy.power_group().name();
      const v1::Device* best = nullptr;
      for (const v1::Device* const other : boards_) {
        const bool tells =
            other->info().battery_capacity_wh() >= 1.0 && other->heartbeat().has_battery();
        if (tells && IsInGroup(*other, group) &&
            (best == nullptr || GaugeErrorOf(*other) < GaugeErrorOf(*best))) {
          best = other;
        }
      }
      if (best != nullptr) {
        shared_packs_.insert(group);
        return *best;
      }
    }
    return device;
  }

  [[nodiscard]] bool IsInGroup(const v1::Device& device, const std::string& group) const {
    return std::any_of(told_.policies.begin(), told_.policies.end(), [&](const v1::Policy& policy) {
      return policy.power_group().name() == group && policy::Selects(policy, device.info());
    });
  }

  std::string Policies() {
    std::string text;
    for (v1::Policy policy : told_.policies) {
      has_place_ = has_place_ || policy.has_place();
      policy.clear_place();
      if (policy.has_power_group() && shared_packs_.count(policy.power_group().name()) == 0) {
        policy.mutable_power_group()->clear_shared_pack();  // Its capacity is unknown.
      }
      if (policy.power_group().power_cap_watts() == 0.0 && !policy.power_group().shared_pack()) {
        policy.clear_power_group();
      }
      if (core::ValidatePolicy(policy).ok()) {  // Otherwise the policy has become empty.
        absl::StrAppend(&text, "  - ", MessageText(policy), "\n");
      }
    }
    return text;
  }

  // The measured rows of classes, and those of single boards whose class has no such row. Rows of
  // real boards come before those of emulated ones, because all boards of a class are equal in the
  // simulation.
  std::string Rows() {
    scheduler::ProfileTable table;
    std::set<std::string> origins = {""};  // The classes' own come first.
    for (const v1::ProfileRow& row : told_.rows) {
      (void)table.Put(row);  // The table rejects invalid rows, which no prediction may use.
      origins.insert(row.device_id());
    }
    std::map<std::string, v1::ProfileRow> chosen;
    for (const bool emulated : {false, true}) {
      for (const std::string& origin : origins) {
        for (v1::ProfileRow row : scheduler::RowsToExport(table, "", origin)) {
          if (row.emulated() == emulated) {
            row.clear_emulated();
            chosen.emplace(scheduler::ProfileKey(row), std::move(row));
          }
        }
      }
    }
    std::string text;
    for (const auto& [key, row] : chosen) {
      v1::ProfileExport one;
      one.set_format(std::string(scheduler::kExportFormat));
      one.set_version(scheduler::kExportVersion);
      *one.add_rows() = row;
      const bool taken =
          rows_ < scheduler::kExportRowsMax &&
          scheduler::ImportedRows(scheduler::ProfileTable::Priors(), one, kProfilesName).ok();
      rows_ += taken ? 1 : 0;
      rows_left_out_ += taken ? 0 : 1;
      absl::StrAppend(&text, taken ? absl::StrCat("  - ", MessageText(row), "\n") : "");
    }
    return text;
  }

  [[nodiscard]] std::string Models() const {
    std::string text;
    std::set<std::string> names;
    for (const v1::ArtifactInfo& one : told_.artifacts) {
      if (one.kind() == v1::ARTIFACT_KIND_MODEL && one.has_model_shape() && !one.name().empty() &&
          (one.quantization().empty() || one.quantization() == "none") &&
          names.insert(one.name()).second) {
        absl::StrAppend(&text, "  ", ScalarText(one.name()), ": ", MessageText(one.model_shape()),
                        "\n");
      }
    }
    return text;
  }

  [[nodiscard]] std::string DataSets() const {
    std::string text;
    std::set<std::string> names;
    for (const v1::ArtifactInfo& one : told_.artifacts) {
      if (one.kind() == v1::ARTIFACT_KIND_DATASET && one.dataset().examples() > 0 &&
          !one.name().empty() && names.insert(one.name()).second) {
        const double bytes = std::clamp(one.dataset().mean_byte_length(), 1.0, 1e6);
        absl::StrAppend(&text, "  ", ScalarText(one.name()),
                        ": {examples: ", one.dataset().examples(),
                        ", mean_bytes: ", ScalarText(bytes),
                        one.dataset().format().empty()
                            ? ""
                            : absl::StrCat(", format: ", ScalarText(one.dataset().format())),
                        "}\n");
      }
    }
    return text;
  }

  // "links without cuts; no panel (panel_watts 0) on mast-1; …", without the values in `set`.
  [[nodiscard]] std::string Assumed(const std::vector<std::string>& set) const {
    std::vector<std::string> lines = {"links without cuts"};
    const auto add = [&lines](const char* what, const std::vector<std::string>& names) {
      if (!names.empty()) {
        lines.push_back(absl::StrCat(what, absl::StrJoin(names, ", ")));
      }
    };
    add("no panel (panel_watts 0) on ", NotSet(with_pack_, set, "panel_watts"));
    add("mains, because the pack's Wh are not known, on ", NotSet(without_pack_, set, "pack_wh"));
    add("an idle draw that nobody has measured on ", NotSet(without_idle_, set, "idle_watts"));
    add("10 Mbit/s on ", NotSet(without_link_, set, "link_mbit"));
    const std::vector<std::string> shared(shared_packs_.begin(), shared_packs_.end());
    add("the charge by the best gauge of the boards of the packs ", shared);
    if (has_place_) {
      lines.emplace_back("no place of policies");
    }
    if (emulated_) {
      lines.emplace_back("real boards in place of emulated ones");
    }
    if (rows_left_out_ > 0) {
      lines.push_back(absl::StrCat("without ", rows_left_out_,
                                   rows_left_out_ == 1 ? " row that contradicts its class"
                                                       : " rows that contradict their class"));
    }
    add("left out: ", left_out_);
    return absl::StrJoin(lines, "; ");
  }

  const FleetTold& told_;
  const std::vector<std::string>& set_;
  std::vector<const v1::Device*> boards_;
  std::vector<std::string> left_out_;
  std::vector<std::string> with_pack_;
  std::vector<std::string> without_pack_;
  std::vector<std::string> without_idle_;
  std::vector<std::string> without_link_;
  std::set<std::string> shared_packs_;
  bool has_place_ = false;
  bool emulated_ = false;
  int rows_ = 0;
  int rows_left_out_ = 0;
};

}  // namespace

absl::StatusOr<FleetScenario> ScenarioOfFleet(const FleetTold& told, absl::string_view rest,
                                              absl::string_view file,
                                              const std::vector<std::string>& set) {
  std::set<std::string> has;
  if (!rest.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const YAML::Node root, formats::ParseYaml(rest, file));
    if (!root.IsMap() || root.Style() == YAML::EmitterStyle::Flow) {
      return absl::InvalidArgumentError(absl::StrCat(
          file,
          ":1: wanted fields (name: value) on lines of their own, so that the fleet can "
          "follow them"));
    }
    for (const auto& entry : root) {
      const std::string name = entry.first.as<std::string>("");
      has.insert(name);
      if (std::find(std::begin(kOfFleet), std::end(kOfFleet), name) != std::end(kOfFleet)) {
        return absl::InvalidArgumentError(
            absl::StrCat(file, ":", entry.first.Mark().line + 1, ": ", name,
                         ": comes from the coordinator too; remove it here, or leave out "
                         "--from-fleet"));
      }
    }
  }
  return FleetWriter(told, set).Write(rest, has);
}

}  // namespace wattle::sim
