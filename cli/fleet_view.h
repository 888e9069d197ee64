// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Devices, policies, forecasts and the energy report as text. Pure; thread-safe.
#ifndef WATTLE_CLI_FLEET_VIEW_H_
#define WATTLE_CLI_FLEET_VIEW_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::cli {

std::string RenderDevices(const v1::ListDevicesResponse& devices, absl::Time now,
                          const TextStyle& style);
// policies: all policies of the fleet; those that select the device define its power group.
std::string RenderDevice(const v1::Device& device, absl::Time now,
                         const v1::ListPoliciesResponse& policies = {});

// The number of devices that the named policy selects; absent if the coordinator does not report
// it.
std::optional<int> SelectedDevices(const v1::ListPoliciesResponse& policies,
                                   absl::string_view name);
std::string RenderPolicies(const v1::ListPoliciesResponse& policies, const TextStyle& style);
// One line for each set of windows that leaves boards no time to work, or no time to transfer
// artifacts. Checks the boards that an applied policy selects, under all policies of the fleet.
std::vector<std::string> NeverOpen(const v1::ListPoliciesResponse& applied,
                                   const v1::ListPoliciesResponse& all,
                                   const v1::ListDevicesResponse& devices, absl::Time now);
std::string RenderForecasts(const v1::ListForecastsResponse& forecasts, const TextStyle& style);
std::string RenderPolicy(
    const v1::Policy& policy);  // one line: its limits, and the devices that it selects

// A table. by: what a row represents; UNSPECIFIED means JOB.
std::string RenderEnergy(const v1::EnergyReport& report, v1::EnergyGrouping by,
                         const TextStyle& style);
// CSV by RFC 4180 with a header line. Joules and seconds are plain numbers; an unknown number is an
// empty field.
std::string EnergyCsv(const v1::EnergyReport& report, v1::EnergyGrouping by);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_FLEET_VIEW_H_
