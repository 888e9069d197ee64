// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The name of a message's kind in the .proto files, job files, the journal and the CLI: the name of
// the field set in its oneof. Thread-safe.
#ifndef WATTLE_PROTO_KIND_NAME_H_
#define WATTLE_PROTO_KIND_NAME_H_

#include <string>

#include "wattle/v1/journal.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// "finetune", "quantize", "generate", "evaluate"; empty: not set.
std::string KindName(const v1::JobSpec& spec);

// "job_submitted" …; empty: not set, or a kind of a newer version.
std::string KindName(const v1::Event& event);

}  // namespace wattle

#endif  // WATTLE_PROTO_KIND_NAME_H_
