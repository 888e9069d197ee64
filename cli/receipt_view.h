// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A receipt as text: what was predicted beside what was measured. The head of the second column
// says what the numbers are: measured, emulated, or modelled. Pure; thread-safe.
#ifndef WATTLE_CLI_RECEIPT_VIEW_H_
#define WATTLE_CLI_RECEIPT_VIEW_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/job.pb.h"

namespace wattle::cli {

// attempt: the one whose receipt is shown; has_receipt.
std::string RenderReceipt(const v1::Job& job, const v1::Attempt& attempt, const TextStyle& style);

// The job's whole: where several attempts have a receipt, what each of them took and their total,
// then the receipt of the last one. At least one has a receipt.
std::string RenderReceipts(const v1::Job& job, const TextStyle& style);

// The job's last attempt that has a receipt; nullptr: none has.
const v1::Attempt* LastReceipt(const v1::Job& job);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_RECEIPT_VIEW_H_
