// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The class of a board with an accelerator identifies the accelerator's rows and rates. The board's
// cores have a class of their own, "jetson-orin-nano/cpu", so that no prediction mixes the two.
// Pure.
#ifndef WATTLE_PROTO_BOARD_CLASS_H_
#define WATTLE_PROTO_BOARD_CLASS_H_

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace wattle {

inline constexpr absl::string_view kClassOfCores = "/cpu";

inline std::string ClassOfCores(absl::string_view board_class) {
  return absl::StrCat(board_class, kClassOfCores);
}

// Returns "jetson-orin-nano" for the class itself and for the class of its cores.
inline absl::string_view BoardClassOf(absl::string_view device_class) {
  return absl::StripSuffix(device_class, kClassOfCores);
}

// Whether every board of the class has an accelerator.
inline bool HasAccelerator(absl::string_view board_class) {
  return absl::StartsWith(board_class, "jetson-");
}

}  // namespace wattle

#endif  // WATTLE_PROTO_BOARD_CLASS_H_
