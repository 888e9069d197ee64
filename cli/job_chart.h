// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a job went: loss and watts over the seconds of its run. Pure; thread-safe.
#ifndef WATTLE_CLI_JOB_CHART_H_
#define WATTLE_CLI_JOB_CHART_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/job.pb.h"

namespace wattle::cli {

// Of the latest attempt that has a curve: its receipt's, or of a running one what its progress
// told. A sentence where there is none.
std::string RenderJobChart(const v1::Job& job, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_CHART_H_
