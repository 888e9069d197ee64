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

// The policy's demands, one clause for each field; with_columns: also fields that have a column.
std::vector<std::string> Clauses(const v1::Policy& policy, bool with_columns) {
  std::vector<std::string> clauses;
  for (const policy::Field& field : policy::Fields()) {
    const bool is_told = !field.clause.empty() && (with_columns || field.head.empty());
    if (std::string text = is_told ? field.text(policy) : ""; !text.empty()) {
      clauses.push_back(absl::Substitute(field.clause, text));
    }
  }
  return clauses;
}

std::string FirstOf(std::vector<std::string> names) {
  constexpr size_t kNamesMax = 3;
  const size_t more = names.size() - std::min(names.size(), kNamesMax);
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
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
  std::map<std::string, std::vector<std::string>> names;  // of boards, by the sentence
  for (const v1::Device& device : devices.devices()) {
    if (policy::Selecting(applied.policies(), device.info()).empty()) {
      continue;
    }
    const policy::Limits limits =
        policy::LimitsOf(policy::Selecting(all.policies(), device.info()));
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
  const bool has_more = std::any_of(
      policies.policies().begin(), policies.policies().end(),
      [](const auto& policy) { return !Clauses(policy, /*with_columns=*/false).empty(); });
  if (has_more) {
    columns.push_back({"more", Align::kLeft, true});
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
    if (has_more) {
      cells.push_back(absl::StrJoin(Clauses(policy, /*with_columns=*/false), ", "));
    }
    table.AddRow(std::move(cells));
  }
  return table.Render(style);
}

std::string RenderPolicy(const v1::Policy& policy) {
  std::vector<std::string> parts = Clauses(policy, /*with_columns=*/true);
  parts.insert(parts.begin(), Selector(policy));
  return absl::StrCat(Printable(absl::StrCat(policy.name(), ": ", absl::StrJoin(parts, ", "))),
                      "\n");
}

}  // namespace wattle::cli
