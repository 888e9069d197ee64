// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An issuing key outside the authority's folder: a key of the operator's CA, or the fleet's own as
// a credential of the service manager.
#ifndef WATTLE_COORDINATOR_AUTHORITY_OPERATOR_ISSUER_H_
#define WATTLE_COORDINATOR_AUTHORITY_OPERATOR_ISSUER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace wattle::authority {

// Paths, as --issuer-key and --issuer-cert name them.
struct OperatorIssuer {
  std::string key_path = {};    // Empty: the key is in the authority's folder.
  std::string chain_path = {};  // Empty: the certificates are in the folder, and the root is the
                                // fleet's.
  // The key is a file of the service manager, for which stat shows the access list's mask as group
  // rights.
  bool key_is_credential = false;
};

// The key in PEM. Errors: kInvalidArgument, one line with the flag: cannot be read, others may read
// it, no key.
absl::StatusOr<std::string> ReadIssuerKey(const OperatorIssuer& issuer);

struct IssuerChain {
  std::string root_pem;
  std::string issuer_pem;  // The issuer and its chain up to the root.
};
// key_pem: the issuer's key. Signs a test certificate and verifies it up to the root as a program
// of the fleet would. Errors: kInvalidArgument, one line with the flag: cannot be read, no root, of
// another key, may not sign, does not lead to the root, expired.
absl::StatusOr<IssuerChain> ReadIssuerChain(const OperatorIssuer& issuer,
                                            const std::string& key_pem, absl::Time now);

}  // namespace wattle::authority

#endif  // WATTLE_COORDINATOR_AUTHORITY_OPERATOR_ISSUER_H_
