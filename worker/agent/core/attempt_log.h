// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The lines of `wattle job logs` about an attempt besides the runner's own: what was fetched, the
// runner's settings, phases, checkpoints and the result. Pure; thread-safe.
#ifndef WATTLE_WORKER_AGENT_CORE_ATTEMPT_LOG_H_
#define WATTLE_WORKER_AGENT_CORE_ATTEMPT_LOG_H_

#include <cstdint>
#include <string>

#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/runner.pb.h"

namespace wattle::agent {

// "fetched model gpt2, data squad: 474.7 MiB over the link".
std::string FetchedLine(const v1::Assignment& assignment, int64_t moved_bytes);
// "the runner starts on cpu, 4 threads".
std::string StartLine(const v1::RunnerTask& task);
// The line for a frame. Empty for a step without a held-out loss, for a sign of life, and for a
// failure, which the attempt's end reports with its class.
std::string LineOf(const v1::RunnerFrame& frame);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ATTEMPT_LOG_H_
