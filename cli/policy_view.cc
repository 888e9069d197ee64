// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/substitute.h"
#include "absl/time/time.h"
#include "cli/fleet_view.h"
#include "cli/table.h"
#include "google/protobuf/descriptor.h"

#include "policy/fields.h"
#include "policy/limits.h"
#include "policy/schedule.h"
#include "policy/selector.h"

namespace wattle::cli {
namespace {

std::string Selector(const v1::Policy& policy) {
  return policy.selector().empty() ? "every device" : absl::StrJoin(policy.selector(), ", ");
}

std::string FirstOf(std::vector<std::string> names) {
  constexpr size_t kNamesMax = 3;
  const size_t more = names.size() - std::min(names.size(), kNamesMax);
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

std::vector<const v1::Policy*> Selecting(const v1::ListPoliciesResponse& policies,
                                         const v1::DeviceInfo& device) {
  std::vector<const v1::Policy*> selecting;
  for (const v1::Policy& policy : policies.policies()) {
    if (policy::Selects(policy, device)) {
      selecting.push_back(&policy);
    }
  }
  return selecting;
}

}  // namespace

std::optional<int> SelectedDevices(const v1::ListPoliciesResponse& policies,
                                   absl::string_view name) {
  for (int i = 0; i < policies.selected_devices_size() && i < policies.policies_size(); ++i) {
    if (policies.policies(i).name() == name) {
      return policies.selected_devices(i);
    }
  }
  return std::nullopt;
}

std::vector<std::string> NeverOpen(const v1::ListPoliciesResponse& applied,
                                   const v1::ListPoliciesResponse& all,
                                   const v1::ListDevicesResponse& devices, absl::Time now) {
  std::map<std::string, std::vector<std::string>> names;  // Of the boards, by what is said of them.
  for (const v1::Device& device : devices.devices()) {
    if (Selecting(applied, device.info()).empty()) {
      continue;
    }
    const policy::Limits limits = policy::LimitsOf(Selecting(all, device.info()));
    const auto look = [&](absl::string_view what, const std::vector<policy::WindowLimit>& windows) {
      if (policy::OpensAt(windows, now) == absl::InfiniteFuture()) {
        names[absl::StrCat(what, ": ", policy::DescribeNeverOpen(windows, now))].push_back(
            device.info().name());
      }
    };
    look("work may never run", limits.windows);
    look("artifacts may never come or leave", limits.link_windows);
  }
  std::vector<std::string> lines;
  for (const auto& [said, boards] : names) {
    lines.push_back(absl::StrCat(FirstOf(boards), ": ", said));
  }
  return lines;
}

std::string RenderPolicies(const v1::ListPoliciesResponse& policies, const TextStyle& style) {
  if (policies.policies().empty()) {
    return "no policies; apply one with: wattle policy apply FILE\n";
  }
  std::vector<Column> columns = {
      {"policy"}, {"devices", Align::kLeft, true}, {"now", Align::kRight}};
  for (const policy::Field& field : policy::Fields()) {
    if (!field.head.empty()) {
      const bool is_list =
          v1::Policy::descriptor()->FindFieldByName(std::string(field.name))->is_repeated();
      columns.push_back(
          {std::string(field.head), field.high > 0 ? Align::kRight : Align::kLeft, is_list});
    }
  }
  Table table(std::move(columns));
  for (const v1::Policy& policy : policies.policies()) {
    const std::optional<int> now = SelectedDevices(policies, policy.name());
    std::vector<std::string> cells = {policy.name(), Selector(policy),
                                      now ? absl::StrCat(*now) : ""};
    for (const policy::Field& field : policy::Fields()) {
      if (!field.head.empty()) {
        cells.push_back(field.text(policy));
      }
    }
    table.AddRow(std::move(cells));
  }
  return table.Render(style);
}

std::string RenderPolicy(const v1::Policy& policy) {
  std::string out = absl::StrCat(policy.name(), ": ", Selector(policy));
  for (const policy::Field& field : policy::Fields()) {
    const std::string text = field.clause.empty() ? "" : field.text(policy);
    if (!text.empty()) {
      absl::StrAppend(&out, ", ", absl::Substitute(field.clause, text));
    }
  }
  return absl::StrCat(Printable(out), "\n");
}

}  // namespace wattle::cli
