// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Words a failure for the person who submitted the job: inputs have the names from the job file,
// not their paths on this device. Pure; thread-safe.
#ifndef WATTLE_WORKER_AGENT_CORE_INPUT_WORDS_H_
#define WATTLE_WORKER_AGENT_CORE_INPUT_WORDS_H_

#include <string>
#include <vector>

#include "wattle/v1/fleet.pb.h"
#include "worker/agent/core/agent_ports.h"

namespace wattle::agent {

// Returns `message` with each input's path replaced: "data squad" for the input's file, "model
// gpt2/config.json" for a file in the input's directory.
std::string InUsersWords(const std::string& message, const v1::Assignment& assignment,
                         const std::vector<FetchedInput>& inputs);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_INPUT_WORDS_H_
