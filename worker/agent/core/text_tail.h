// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The end of the text that a generation has made so far, as progress carries it. Heartbeats keep
// only their latest value, so each one holds enough for a reader who saw the one before. Pure.
#ifndef WATTLE_WORKER_AGENT_CORE_TEXT_TAIL_H_
#define WATTLE_WORKER_AGENT_CORE_TEXT_TAIL_H_

#include <cstddef>
#include <string>

#include "wattle/v1/device.pb.h"

namespace wattle::agent {

inline constexpr size_t kTextTailBytes = 4096;

// Appends to progress.text, of which at most kTextTailBytes stay, and counts progress.text_bytes.
// The tail begins with a whole character.
void AppendText(const std::string& text, v1::AttemptProgress& progress);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_TEXT_TAIL_H_
