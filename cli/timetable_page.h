// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fleet's timetable as a page for a browser: the current and planned work of each device, and
// its charge. The page needs no network and no script. Pure.
#ifndef WATTLE_CLI_TIMETABLE_PAGE_H_
#define WATTLE_CLI_TIMETABLE_PAGE_H_

#include <string>

#include "wattle/v1/plan.pb.h"

namespace wattle::cli {

std::string TimetablePage(const v1::Timetable& timetable);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TIMETABLE_PAGE_H_
