// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What kind a message is, in the word that the .proto, job files, the journal and the CLI have for
// it: the name of the field that its oneof holds. Thread-safe.
#ifndef WATTLE_PROTO_KIND_NAME_H_
#define WATTLE_PROTO_KIND_NAME_H_

#include <string>

#include "wattle/v1/journal.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// "finetune", "quantize", "generate", "evaluate"; empty: none is set.
std::string KindName(const v1::JobSpec& spec);

// "job_submitted" …; empty: none is set, or one of a newer version.
std::string KindName(const v1::Event& event);

}  // namespace wattle

#endif  // WATTLE_PROTO_KIND_NAME_H_
