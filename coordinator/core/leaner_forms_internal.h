// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a job could be changed to: where memory refuses it, or where another form is cheaper.
// Private to coordinator/core. Pure.
#ifndef WATTLE_COORDINATOR_CORE_LEANER_FORMS_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_LEANER_FORMS_INTERNAL_H_

#include <string>
#include <vector>

#include "wattle/v1/spec.pb.h"

namespace wattle::core {

struct ChangedSpec {
  v1::JobSpec spec;    // valid
  std::string change;  // "activation_checkpointing: true, batch_size: 4, …", as a job file has it
};

// Forms of a valid job that take less memory and do the same work, each leaner than the one before:
// with activation checkpointing; then with half the batch, and half of that, whose gradients are
// accumulated over more passes, so that a step has its examples. Only update_in_backward, which
// accumulates nothing, has smaller steps. Generation and evaluation: smaller batches. Empty: there
// is none.
std::vector<ChangedSpec> LeanerForms(const v1::JobSpec& spec);

// A valid job with other batches that do the same work: smaller ones first, each half of the one
// before, then up to eight times as large. A fine-tune accumulates gradients over as many passes as
// a step needs for its examples, so it has no larger batch than one of a whole step. Empty: there
// is none.
std::vector<ChangedSpec> OtherBatches(const v1::JobSpec& spec);

// A valid job that loads its unquantized model in int8, and in int4. Of a fine-tune the weights
// beside adapters. Empty: the kind has no such form, or the job names one already.
std::vector<ChangedSpec> QuantizedForms(const v1::JobSpec& spec);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LEANER_FORMS_INTERNAL_H_
