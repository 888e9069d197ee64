// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells two reports with the same number apart. Worker and coordinator of different versions get
// the same digest for the same report, so it covers only what every version knows: the number, the
// time stamp, the kind of the fact, and the attempt with its token. Thread-safe.
#ifndef WATTLE_PROTO_REPORT_DIGEST_H_
#define WATTLE_PROTO_REPORT_DIGEST_H_

#include <cstdint>

#include "wattle/v1/fleet.pb.h"

namespace wattle {

// FNV-1a (64 bits) of those parts; never 0, which stands for "not known". Not cryptographic: the
// case it is for is an SD card that was copied, not a forger.
uint64_t ReportDigest(const v1::Report& report);

}  // namespace wattle

#endif  // WATTLE_PROTO_REPORT_DIGEST_H_
