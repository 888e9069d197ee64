// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tail of a generation's text, which progress carries. Heartbeats carry only the latest
// progress, so each tail is long enough for a reader who saw the one before. Pure.
#ifndef WATTLE_WORKER_AGENT_CORE_TEXT_TAIL_H_
#define WATTLE_WORKER_AGENT_CORE_TEXT_TAIL_H_

#include <cstddef>
#include <string>

#include "wattle/v1/device.pb.h"

namespace wattle::agent {

inline constexpr size_t kTextTailBytes = 4096;

// Appends to progress.text, keeps its last kTextTailBytes, and adds to progress.text_bytes. The
// tail begins with a whole character.
void AppendText(const std::string& text, v1::AttemptProgress& progress);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_TEXT_TAIL_H_
