// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A digest that distinguishes two reports with the same number. Worker and coordinator of different
// versions must compute equal digests for a report, so the digest covers only fields that every
// version has: the number, the time stamp, the kind of the fact, and the attempt with its token.
// Thread-safe.
#ifndef WATTLE_PROTO_REPORT_DIGEST_H_
#define WATTLE_PROTO_REPORT_DIGEST_H_

#include <cstdint>

#include "wattle/v1/fleet.pb.h"

namespace wattle {

// FNV-1a (64 bits) of those parts; never 0, which means "unknown". Not cryptographic: the digest
// detects a copied SD card, not a forger.
uint64_t ReportDigest(const v1::Report& report);

}  // namespace wattle

#endif  // WATTLE_PROTO_REPORT_DIGEST_H_
