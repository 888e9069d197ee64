// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fleet's timetable as text: the current and planned work of each device, and its charge. Pure.
#ifndef WATTLE_CLI_TIMETABLE_VIEW_H_
#define WATTLE_CLI_TIMETABLE_VIEW_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/plan.pb.h"

namespace wattle::cli {

// ", rests about 13 h at its reserve"; "" for a run that does not rest.
std::string RestWords(const v1::TimetableEntry& entry);

std::string RenderTimetable(const v1::Timetable& timetable, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TIMETABLE_VIEW_H_
