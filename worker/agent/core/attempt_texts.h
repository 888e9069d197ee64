// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's texts about an attempt: lines of `wattle job logs`, the message of a failure, the
// tail of a generation's text. Pure; thread-safe.
#ifndef WATTLE_WORKER_AGENT_CORE_ATTEMPT_TEXTS_H_
#define WATTLE_WORKER_AGENT_CORE_ATTEMPT_TEXTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "proto/checkpoint_interval.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/runner.pb.h"
#include "worker/agent/core/agent_ports.h"

namespace wattle::agent {

// "fetched model gpt2, data squad: 474.7 MiB over the link".
std::string FetchedLine(const v1::Assignment& assignment, const FetchResult& result);
// "the runner starts on cpu, 4 threads".
std::string StartLine(const v1::RunnerTask& task);
// The checkpoint interval, and its reason.
std::string CheckpointLine(const CheckpointInterval& next, const CheckpointFacts& facts);
// The line for a frame. Empty for a step without a held-out loss, for a sign of life, and for a
// failure, which the attempt's end reports with its class.
std::string LineOf(const v1::RunnerFrame& frame);

// A failure's message for the person who submitted the job: inputs have the names from the job file
// instead of their paths on this device. "data squad" for the input's file, "model
// gpt2/config.json" for a file in the input's directory.
std::string InUsersWords(const std::string& message, const v1::Assignment& assignment,
                         const std::vector<FetchedInput>& inputs);

// Heartbeats carry only the latest progress, so each tail of a generation's text is long enough for
// a reader who saw the one before.
inline constexpr size_t kTextTailBytes = 4096;

// Appends to progress.text, keeps its last kTextTailBytes, and adds to progress.text_bytes. The
// tail begins with a whole character.
void AppendText(const std::string& text, v1::AttemptProgress& progress);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ATTEMPT_TEXTS_H_
