// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#ifndef WATTLE_BASE_OWN_ADDRESSES_H_
#define WATTLE_BASE_OWN_ADDRESSES_H_

#include <string>
#include <vector>

namespace wattle {

// The IP addresses of this machine's interfaces, loopback included, without link-local addresses
// (fe80::…), which need an interface. Empty if the system does not report them. Thread-safe.
std::vector<std::string> OwnAddresses();

}  // namespace wattle

#endif  // WATTLE_BASE_OWN_ADDRESSES_H_
