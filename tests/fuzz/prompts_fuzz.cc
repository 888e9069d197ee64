// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/chat.h"
#include "formats/data_set.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(prompts, bytes) {
  (void)formats::ParseChat(bytes, "chat.jsonl").ok();  // any answer except a crash is right
  return formats::ParsePrompts(bytes, "prompts.jsonl").status();
}
