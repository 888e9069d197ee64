// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's child that counts: frames in, frames out (prompt_count.proto). It is started in
// a box, so it opens nothing. One thread.
#ifndef WATTLE_COORDINATOR_PROMPTS_COUNTER_PROGRAM_H_
#define WATTLE_COORDINATOR_PROMPTS_COUNTER_PROGRAM_H_

namespace wattle::prompts {

// The word by which wattle-coordinator is the child and nothing else.
inline constexpr char kCounterCommand[] = "count-prompts";
// Exit code of a child that got no more memory.
inline constexpr int kCounterOutOfMemory = 3;

// Answers questions until `input` ends. Returns the exit code.
int RunCounter(int input, int output);

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_COUNTER_PROGRAM_H_
