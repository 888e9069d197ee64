// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The project of what names none, such as jobs of before there were projects. Thread-safe.
#ifndef WATTLE_PROTO_PROJECT_NAME_H_
#define WATTLE_PROTO_PROJECT_NAME_H_

#include <string>

namespace wattle {

inline constexpr char kDefaultProject[] = "default";

// project: as a message has it.
inline std::string ProjectName(const std::string& project) {
  return project.empty() ? kDefaultProject : project;
}

}  // namespace wattle

#endif  // WATTLE_PROTO_PROJECT_NAME_H_
