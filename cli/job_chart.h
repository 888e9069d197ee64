// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Charts of a job: loss and watts over the seconds of its run. Pure; thread-safe.
#ifndef WATTLE_CLI_JOB_CHART_H_
#define WATTLE_CLI_JOB_CHART_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/job.pb.h"

namespace wattle::cli {

// Charts of the latest attempt that has a curve. The curve is the receipt's, or that of the
// progress where the attempt still runs. Returns a sentence where no attempt has a curve.
std::string RenderJobChart(const v1::Job& job, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_CHART_H_
