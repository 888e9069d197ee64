// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Changed forms of a job, for a device whose memory refuses it, or because another form is cheaper.
// Private to coordinator/core. Pure.
#ifndef WATTLE_COORDINATOR_CORE_LEANER_FORMS_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_LEANER_FORMS_INTERNAL_H_

#include <string>
#include <vector>

#include "wattle/v1/spec.pb.h"

namespace wattle::core {

struct ChangedSpec {
  v1::JobSpec spec;  // valid
  std::string
      change;  // "activation_checkpointing: true, batch_size: 4, …", as written in a job file
};

// Forms of a valid job that need less memory and do the same work, each leaner than its
// predecessor: with activation checkpointing; then with repeatedly halved batches, whose gradients
// are accumulated over more passes so that a step keeps its examples. With update_in_backward,
// which cannot accumulate, the steps get smaller instead. Generation and evaluation: smaller
// batches. Empty: there is none.
std::vector<ChangedSpec> LeanerForms(const v1::JobSpec& spec);

// The forms of a valid job with other batches that do the same work: first smaller ones, each half
// of its predecessor, then up to eight times as large. A fine-tune accumulates gradients over as
// many passes as a step needs for its examples, so its batch is never larger than a whole step.
// Empty: there is none.
std::vector<ChangedSpec> OtherBatches(const v1::JobSpec& spec);

// The forms of a valid job that load its unquantized model in int8 and in int4; for a fine-tune,
// the weights beside adapters. Empty: the kind has no such form, or the job names one already.
std::vector<ChangedSpec> QuantizedForms(const v1::JobSpec& spec);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LEANER_FORMS_INTERNAL_H_
