// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The environment of a runner: an allow-list, so that no token or password of the agent's
// environment reaches it. Pure.
#ifndef WATTLE_WORKER_SANDBOX_ENVIRONMENT_H_
#define WATTLE_WORKER_SANDBOX_ENVIRONMENT_H_

#include <string>
#include <vector>

namespace wattle::sandbox {

// The variables ("NAME=value") of a null-terminated array that a runner may have: where programs
// and libraries are, language and time zone, and the settings of libtorch, CUDA and the allocator.
std::vector<std::string> CleanEnvironment(const char* const* variables);

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_ENVIRONMENT_H_
