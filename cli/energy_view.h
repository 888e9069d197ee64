// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An energy report as a table and as CSV. Pure; thread-safe.
#ifndef WATTLE_CLI_ENERGY_VIEW_H_
#define WATTLE_CLI_ENERGY_VIEW_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/coordinator.pb.h"

namespace wattle::cli {

// by: what one row stands for; UNSPECIFIED is JOB.
std::string RenderEnergy(const v1::EnergyReport& report, v1::EnergyGrouping by,
                         const TextStyle& style);
// CSV by RFC 4180 with a line of heads. Joules and seconds are plain numbers; an unknown number is
// an empty field.
std::string EnergyCsv(const v1::EnergyReport& report, v1::EnergyGrouping by);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ENERGY_VIEW_H_
