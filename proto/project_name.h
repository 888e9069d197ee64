// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The default project, for objects that name none, such as jobs from before projects existed.
// Thread-safe.
#ifndef WATTLE_PROTO_PROJECT_NAME_H_
#define WATTLE_PROTO_PROJECT_NAME_H_

#include <string>

namespace wattle {

inline constexpr char kDefaultProject[] = "default";

// project: the field of a message.
inline std::string ProjectName(const std::string& project) {
  return project.empty() ? kDefaultProject : project;
}

}  // namespace wattle

#endif  // WATTLE_PROTO_PROJECT_NAME_H_
