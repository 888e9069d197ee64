// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A receipt as text: the predicted numbers beside those of the run. The head of the second column
// says how the run's numbers were found: measured, emulated, or modelled. Pure; thread-safe.
#ifndef WATTLE_CLI_RECEIPT_VIEW_H_
#define WATTLE_CLI_RECEIPT_VIEW_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/job.pb.h"

namespace wattle::cli {

// attempt: the attempt whose receipt is shown. REQUIRES: attempt.has_receipt().
std::string RenderReceipt(const v1::Job& job, const v1::Attempt& attempt, const TextStyle& style);

// The receipts of the whole job. Where several attempts have one: what each of them took, and their
// total; then the last receipt in full. REQUIRES: at least one attempt has a receipt.
std::string RenderReceipts(const v1::Job& job, const TextStyle& style);

// The job's last attempt that has a receipt; nullptr where no attempt has one.
const v1::Attempt* LastReceipt(const v1::Job& job);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_RECEIPT_VIEW_H_
